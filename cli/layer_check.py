"""Checks the layers of a file by themselves: their forms, and their values by their schemas.

What layers of the system give besides is not known here. So a value is a mistake where no other
layer can take its place, which is in the layer of a module; else it is doubtful.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cli.configuration_files import LayerFile
from cli.failure import Detail
from cli.refused_fields import detail_of, refused_fields


def content_mistakes(layers: Sequence[LayerFile]) -> Iterator[Detail]:
    """Yield what is refused of *layers* whatever else is published."""
    for layer in layers:
        yield from _of_one(layer)
    yield from (each for layer, each in _misfits(_right(layers)) if layer.kind == "module")


def doubts(layers: Sequence[LayerFile]) -> Iterator[str]:
    """Yield a warning for each value that fits no schema unless a later layer has another."""
    for layer, each in _misfits(_right(layers)):
        if layer.kind != "module":
            yield f"{each.text()}; it is refused unless each module has another"


def _right(layers: Sequence[LayerFile]) -> Sequence[LayerFile]:
    """Return those of *layers* that have no mistake by themselves: others cannot be merged."""
    return [layer for layer in layers if not any(_of_one(layer))]


def _of_one(layer: LayerFile) -> Iterator[Detail]:
    from shared.contracts.configuration_schemas import schema_violations  # noqa: PLC0415  slow
    from shared.contracts.configuration_values import value_violations  # noqa: PLC0415
    from shared.contracts.configurations import PublishConfiguration  # noqa: PLC0415

    said = {
        name: layer.said[name] for name in ("values", "schema", "comment") if name in layer.said
    }
    whole = {"scope": {"layer": "tenant"}, "expectedVersion": 0, **said}
    refused = [*refused_fields(PublishConfiguration, whole)]
    if all(each.target for each in refused):  # else it is too large, or too deep, to look into
        refused += map(detail_of, value_violations(layer.values))
        refused += map(detail_of, schema_violations(layer.schema or {}))
    for each in refused:
        yield replace(each, target=layer.pointer(each.target))


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
