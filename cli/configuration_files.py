"""Files that say what is published: one layer, or several under `configuration:`.

A layer of a file is named by its `environment` and `module`, or by `layer: tenant`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from cli.client import Client
from cli.configuration_layers import Content, Layer, layer_of, publish
from cli.exit_codes import ExitCode
from cli.failure import Detail, Failure, mistakes, refuse_mistakes
from cli.field_names import pointer_parts
from cli.options import Invocation
from cli.output import note
from cli.yaml_files import load_yaml
from cli.yaml_lines import lines_of

FIELDS: Final[Mapping[str, tuple[type, str, str]]] = {
    "layer": (
        str,
        "tenant, environment or module",
        "Of the module, where one is named; else of the environment. `tenant` is never implied.",
    ),
    "environment": (str, "the name of an environment", "`--env` overrides it."),
    "module": (str, "module-<slug>", ""),
    "values": (
        dict,
        "a mapping of keys to values",
        "Needed. All of the layer: a key that is not there is removed.",
    ),
    "schema": (
        dict,
        "a JSON Schema",
        "2020-12; all of the layer's too. The merge of each module it reaches fits it.",
    ),
    "expectedVersion": (
        int,
        "the number of a version, 0 for none",
        "Refused where another is in force. Without it, what is in force is replaced.",
    ),
    "comment": (str, "text", "Kept with the version."),
}
"""Of each field its type, what it takes, and what it means."""
_EXPECTED: Final = "/expectedVersion"
_KINDS: Final = ("tenant", "environment", "module")
_EXAMPLE: Final = "begin with `environment: test`, `module: module-shop` and `values:`"


@dataclass(frozen=True)
class LayerFile:
    """A layer as a file says it; `place` is where in the file, as names and indices."""

    file: Path
    place: tuple[str, ...]
    said: Mapping[str, Any]

    @property
    def kind(self) -> str:
        implied = "module" if self.said.get("module") else "environment"
        return str(self.said.get("layer") or implied)

    @property
    def values(self) -> Mapping[str, Any]:
        values: Mapping[str, Any] = self.said["values"]
        return values

    @property
    def schema(self) -> Mapping[str, Any] | None:
        return self.said.get("schema")

    def find_layer(self, client: Client, environment: str | None) -> Layer:
        """Return its layer; *environment* is that of the command, which overrides the file's.

        Raises:
            Failure: its names contradict each other, or the environment is not there.
        """
        is_tenant = self.kind == "tenant" and not self.said.get("environment")
        name = None if is_tenant else environment or self.said.get("environment")
        given = {"--env": name, "--module": self.said.get("module")}
        return layer_of(self.kind, given, client, where=f"{self.at()}: ")

    def expected(self, current: Content) -> int:
        """Return the version that it was written against, else the *current* one."""
        return int(self.said.get("expectedVersion", current.version))

    def pointer(self, below: str = "") -> str:
        """Return the pointer into its file of what stands *below* it, a name or a pointer."""
        place = "".join(f"/{segment}" for segment in self.place)
        return f"{place}/{below.removeprefix('/')}" if below else place

    def at(self) -> str:
        """Return file and line of it."""
        (line,) = lines_of(self.file, [self.place])
        return f"{self.file}: line {line}" if line else str(self.file)


def read_layers(file: Path) -> list[LayerFile]:
    """Return what *file* publishes: the tenant's layer first, those of modules last.

    Raises:
        Failure: it cannot be read, or says something else than layers.
    """
    body = load_yaml(file, begins=_EXAMPLE)
    if "configuration" not in body:
        layer = LayerFile(file, (), body)
        refuse_mistakes([*layer_mistakes(layer)], file, _EXAMPLE)
        return [layer]
    if unknown := body.keys() - {"configuration", "environment"}:
        (line,) = lines_of(file, [(min(unknown),)])
        raise Failure(
            f"{file}: line {line}: {min(unknown)} stands beside configuration",
            ExitCode.USAGE,
            remedy=f"a release file is deployed: `runtimectl deploy -f {file}`; else keep "
            "configuration and environment",
        )
    layers, details = layers_in(body, file)
    refuse_mistakes(details, file, _EXAMPLE)
    return layers


def layers_in(body: Mapping[str, Any], file: Path) -> tuple[list[LayerFile], list[Detail]]:
    """Return the layers under `configuration` of *body*, the content of *file*, and its mistakes.

    One that has a mistake is none of the layers.
    """
    entries = body.get("configuration", [])
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        return [], [Detail("/configuration", "expected a list of layers")]
    common = {"environment": body["environment"]} if body.get("environment") else {}
    layers, details = list[LayerFile](), list[Detail]()
    for index, entry in enumerate(entries):
        layer = LayerFile(file, ("configuration", str(index)), _with(entry, common))
        wrong = [*layer_mistakes(layer)]
        details += wrong
        layers += [] if wrong else [layer]
    return sorted(layers, key=lambda layer: _KINDS.index(layer.kind)), details


def _with(entry: Mapping[str, Any], common: Mapping[str, Any]) -> Mapping[str, Any]:
    return dict(entry) if entry.get("layer") == "tenant" else {**common, **entry}


def layer_mistakes(layer: LayerFile) -> Iterator[Detail]:
    """Yield what makes *layer* none; targets are pointers into its file."""
    for name, value in layer.said.items():
        if name not in FIELDS:
            known = ", ".join(FIELDS)
            yield Detail(layer.pointer(name), f"there is no such field; there are {known}")
        elif not isinstance(value, FIELDS[name][0]) or isinstance(value, bool):
            yield Detail(layer.pointer(name), f"expected {FIELDS[name][1]}")
    if layer.kind not in _KINDS:
        expected = f"expected {', '.join(_KINDS)}, got {layer.kind!r}"
        yield Detail(layer.pointer("layer"), expected)
    if "values" not in layer.said:
        yield Detail(layer.pointer("values"), "a value is missing", code="Required")


def say_unchanged(layer: Layer, current: Content) -> None:
    """Say that what a file has is in force already."""
    note(f"{layer.label}: nothing differs from version {current.version}")


def publish_file(
    invocation: Invocation, entry: LayerFile, layer: Layer, current: Content, **more: Any
) -> Mapping[str, Any]:
    """Publish *entry* in place of *current*; return as `publish`, and raise where the file is."""
    said = {**more, "comment": more.get("comment") or entry.said.get("comment", "")}
    try:
        expected = entry.expected(current)
        return publish(invocation, layer, entry.values, entry.schema, expected, **said)
    except Failure as failure:
        raise refused_in(failure, entry, current) from failure


def refused_in(failure: Failure, layer: LayerFile, current: Content | None = None) -> Failure:
    """Return *failure* of the system with the lines of the file that it is about.

    With *current* it says too that the file was written against another version, which would be
    refused next, unless that is no version at all.
    """
    if not failure.details or failure.exit_code is not ExitCode.REFUSED:
        return failure
    wrong = [*failure.details]
    if any(each.target == _EXPECTED for each in wrong):
        current = None
    if current is not None and (said := layer.expected(current)) != current.version:
        words = f"version {current.version} is in force, not {said}"
        wrong.append(Detail(_EXPECTED, words, code="HeadMoved"))
    places = [(*layer.place, *pointer_parts(each.target)) for each in wrong]
    lines = lines_of(layer.file, places)
    details = [replace(each, line=line) for each, line in zip(wrong, lines, strict=True)]
    return Failure(
        mistakes(details, str(layer.file)), failure.exit_code, code=failure.code, details=details
    )
