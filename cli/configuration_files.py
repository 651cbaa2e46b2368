"""Files that say what is published: one layer, or several under `configuration:`.

A layer of a file is named by its `environment` and `module`, or by `layer: tenant`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cli.client import Client
from cli.configuration_layers import Content, Layer, layer_of
from cli.exit_codes import ExitCode
from cli.failure import Detail, Failure
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
KINDS: Final = ("tenant", "environment", "module")


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


def layers_of(file: Path, *, begins: str) -> tuple[list[LayerFile], list[Detail]]:
    """Return what *file* publishes, as `layers_in`; one that is empty *begins* so.

    Raises:
        Failure: it cannot be read, or is a release file.
    """
    body = load_yaml(file, begins=begins)
    if "configuration" not in body:
        return [LayerFile(file, (), body)], []
    if unknown := body.keys() - {"configuration", "environment"}:
        (line,) = lines_of(file, [(min(unknown),)])
        raise Failure(
            f"{file}: line {line}: {min(unknown)} stands beside configuration",
            ExitCode.USAGE,
            remedy=f"a release file is deployed: `runtimectl deploy -f {file}`; else keep "
            "configuration and environment",
        )
    return layers_in(body, file)


def layers_in(body: Mapping[str, Any], file: Path) -> tuple[list[LayerFile], list[Detail]]:
    """Return the layers under `configuration` of *body*, the content of *file*, or why none.

    The tenant's layer is first, those of modules last; nothing of them is checked.
    """
    entries = body.get("configuration", [])
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        return [], [Detail("/configuration", "expected a list of layers")]
    common = {"environment": body["environment"]} if body.get("environment") else {}
    layers = [
        LayerFile(file, ("configuration", str(index)), _with(entry, common))
        for index, entry in enumerate(entries)
    ]
    return sorted(layers, key=lambda layer: [*KINDS, layer.kind].index(layer.kind)), []


def _with(entry: Mapping[str, Any], common: Mapping[str, Any]) -> Mapping[str, Any]:
    return dict(entry) if entry.get("layer") == "tenant" else {**common, **entry}
