"""Checks the layers of a file by themselves: their forms, and their values by their schemas.

What layers of the system give besides is not known here. So a value is a mistake where no other
layer can take its place, which is in the layer of a module; else it is doubtful.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from cli.configuration_files import FIELDS, KINDS, LayerFile, layers_of
from cli.failure import Detail, refuse_mistakes
from cli.refused_fields import detail_of, refused_fields

_EXAMPLE: Final = "begin with `environment: test`, `module: module-shop` and `values:`"
_CONTENT: Final = ("values", "schema", "expectedVersion", "comment")
"""Fields that are sent as they are written."""


def read_layers(file: Path) -> list[LayerFile]:
    """Return what *file* publishes: the tenant's layer first, those of modules last.

    Raises:
        Failure: it cannot be read, or has mistakes; all that can be seen here are named.
    """
    layers, details = layers_of(file, begins=_EXAMPLE)
    details += layer_mistakes(layers)
    is_begun = all(each.code != "Required" for each in details)
    refuse_mistakes(details, file, "" if is_begun else _EXAMPLE)
    return layers


def layer_mistakes(layers: Sequence[LayerFile]) -> Iterator[Detail]:
    """Yield what is refused of *layers* whatever else is published; targets are of their file."""
    for index, layer in enumerate(layers):
        yield from _of_one(layer)
        if any(_names(layer) == _names(other) for other in layers[:index]):
            yield Detail(layer.pointer(), "the same layer stands in this file twice")
    yield from (each for layer, each in _misfits(_right(layers)) if layer.kind == "module")


def _names(layer: LayerFile) -> Sequence[Any]:
    return [layer.kind, layer.said.get("environment"), layer.said.get("module")]


def doubts(layers: Sequence[LayerFile]) -> Iterator[str]:
    """Yield a warning for each value that fits no schema unless a later layer has another."""
    for layer, each in _misfits(_right(layers)):
        if layer.kind != "module":
            yield f"{each.text()}; it is refused unless each module has another"


def _right(layers: Sequence[LayerFile]) -> Sequence[LayerFile]:
    """Return those of *layers* that have no mistake by themselves: others cannot be merged."""
    return [layer for layer in layers if not any(_of_one(layer))]


def _of_one(layer: LayerFile) -> Iterator[Detail]:
    form = [*_form_mistakes(layer)]
    yield from form
    wrong = {each.target for each in form}
    content = {
        name: layer.said[name]
        for name in _CONTENT
        if name in layer.said and layer.pointer(name) not in wrong
    }
    for each in _refused_content({"values": {}, "expectedVersion": 0, **content}):
        yield replace(each, target=layer.pointer(each.target))


def _form_mistakes(layer: LayerFile) -> Iterator[Detail]:
    """Yield what makes *layer* none, whatever it says."""
    for name, value in layer.said.items():
        if name not in FIELDS:
            known = ", ".join(FIELDS)
            yield Detail(layer.pointer(name), f"there is no such field; there are {known}")
        elif not isinstance(value, FIELDS[name][0]) or isinstance(value, bool):
            yield Detail(layer.pointer(name), f"expected {FIELDS[name][1]}")
        elif name == "module" and not str(value).startswith("module-"):
            yield Detail(layer.pointer(name), f"expected {FIELDS[name][1]}, got {value}")
    if layer.kind not in KINDS:
        expected = f"expected {', '.join(KINDS)}, got {layer.kind!r}"
        yield Detail(layer.pointer("layer"), expected)
    if "values" not in layer.said:
        yield Detail(layer.pointer("values"), "a value is missing", code="Required")


def _refused_content(content: Mapping[str, Any]) -> Iterator[Detail]:
    """Yield what is refused of the *content* of a layer, whichever that is."""
    from shared.contracts.configuration_schemas import schema_violations  # noqa: PLC0415  slow
    from shared.contracts.configuration_values import value_violations  # noqa: PLC0415
    from shared.contracts.configurations import PublishConfiguration  # noqa: PLC0415

    refused = [*refused_fields(PublishConfiguration, {"scope": {"layer": "tenant"}, **content})]
    yield from refused
    if all(each.target for each in refused):  # else it is too large, or too deep, to look into
        yield from map(detail_of, value_violations(content["values"]))
        yield from map(detail_of, schema_violations(content.get("schema") or {}))


def _misfits(layers: Sequence[LayerFile]) -> Iterator[tuple[LayerFile, Detail]]:
    """Yield each value of *layers* once that does not fit a schema of them, with its layer."""
    from shared.contracts.configuration_merge import LayerContent, merge  # noqa: PLC0415  slow
    from shared.contracts.configuration_schemas import misfits  # noqa: PLC0415
    from shared.contracts.configurations import ConfigurationLayer  # noqa: PLC0415

    named = set[str]()
    for together in _merged_layers(layers):
        of_kind = {ConfigurationLayer(kind): layer for kind, layer in together.items()}
        content = {
            kind: LayerContent(1, layer.values, layer.schema) for kind, layer in of_kind.items()
        }
        for each in misfits(merge(content)):
            layer = of_kind[each.given_by]
            target = layer.pointer(f"values{each.at}")
            # What is missing, or too much for all of them, may be another layer's.
            if each.at and target not in named:
                named.add(target)
                by = f"{each.reason}, by the schema of the {each.schema_of} layer"
                yield layer, Detail(target, by, code=each.code)


def _merged_layers(layers: Sequence[LayerFile]) -> Iterator[Mapping[str, LayerFile]]:
    """Yield the layers of each module that *layers* are of, or of an environment without one."""
    tenants = {layer.kind: layer for layer in layers if layer.kind == "tenant"}
    names: list[Any] = [*{layer.said.get("environment"): None for layer in layers}]
    for name in names:
        of_it = [layer for layer in layers if layer.said.get("environment") == name]
        common = tenants | {layer.kind: layer for layer in of_it if layer.kind == "environment"}
        modules = [layer for layer in of_it if layer.kind == "module"]
        yield common
        for module in modules:
            yield {**common, "module": module}
