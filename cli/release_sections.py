"""What a release file says beside the release: `configuration:` and `secrets:`.

Both are brought about before the deployment: layers are published where they differ, secrets are
bound where they are not. `configuration` as a mapping is the release's own field, and stays.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cli.configuration_files import FIELDS, LayerFile, layers_in
from cli.exit_codes import ExitCode
from cli.failure import Detail, Failure, mistakes
from cli.field_names import pointer_parts
from cli.yaml_files import lines_of

if TYPE_CHECKING:
    from shared.contracts.shape import Command

_ENVIRONMENT_ID: Final = "env-" + "a" * 12
_SECRET_NAMES: Final[Mapping[str, str]] = {"module": "moduleId", "name": "secretName"}
"""Fields of a secret that have a shorter name in a file."""
SECRET_FIELDS: Final = (
    "module", "name", "target", "delivery", "vaultUri", "external", "generator", "rotation",
)  # fmt: skip
_EXAMPLE: Final = "write them as docs/release-file.md does: `runtimectl init` has an example"


@dataclass(frozen=True)
class Sections:
    """The layers that a release file publishes, and the bodies that bind its secrets."""

    layers: Sequence[LayerFile] = ()
    secrets: Sequence[Mapping[str, Any]] = ()
    """Without the environment."""

    @property
    def is_empty(self) -> bool:
        return not self.layers and not self.secrets


def take_sections(body: dict[str, Any], file: Path | None) -> Sections:
    """Take the sections out of *body*, the content of *file*.

    Raises:
        Failure: one of them says something wrong; each mistake with its line.
    """
    is_published = isinstance(body.get("configuration"), list)
    if file is None or (not is_published and "secrets" not in body):
        return Sections()
    layers = layers_in(body, file) if is_published else []
    if is_published:
        del body["configuration"]
    entries = body.pop("secrets", [])
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise Failure(f"{file}: secrets: expected a list", ExitCode.USAGE, remedy=_EXAMPLE)
    only = _only_module(body)
    secrets = [_to_request(entry, only) for entry in entries]
    details = [*_layer_mistakes(layers), *_secret_mistakes(entries, secrets)]
    if details:
        lines = lines_of(file, [pointer_parts(each.target) for each in details])
        placed = [replace(each, line=line) for each, line in zip(details, lines, strict=True)]
        raise Failure(mistakes(placed, str(file)), ExitCode.USAGE, code="Invalid", details=placed)
    return Sections(layers, secrets)


def _only_module(body: Mapping[str, Any]) -> str | None:
    """Return the module of a release that has one: its secrets need not name it."""
    components = body.get("components")
    if isinstance(components, list) and len(components) == 1 and isinstance(components[0], dict):
        return components[0].get("moduleId")
    return None


def _to_request(entry: Mapping[str, Any], only: str | None) -> dict[str, Any]:
    """Return the body that binds the secret of *entry*; what it may not say is kept out."""
    said = {"module": only, **entry} if only else entry
    known = {name: value for name, value in said.items() if name in SECRET_FIELDS}
    return {_SECRET_NAMES.get(name, name): value for name, value in known.items()}


def _layer_mistakes(layers: Sequence[LayerFile]) -> Iterator[Detail]:
    from shared.contracts.configurations import PublishConfiguration  # noqa: PLC0415  slow

    for layer in layers:
        body = {name: layer.said[name] for name in ("values", "schema") if name in layer.said}
        scope = {"layer": "tenant"}
        whole = {"scope": scope, "expectedVersion": 0, **body}
        if "comment" in layer.said:
            whole["comment"] = layer.said["comment"]
        for each in _refused(PublishConfiguration, whole):
            yield replace(each, target=f"/{'/'.join(layer.place)}{each.target}")
        module = layer.said.get("module")
        if isinstance(module, str) and not module.startswith("module-"):
            yield Detail(
                f"/{'/'.join(layer.place)}/module", f"expected {FIELDS['module'][1]}, got {module}"
            )


def _secret_mistakes(
    entries: Sequence[Mapping[str, Any]], requests: Sequence[Mapping[str, Any]]
) -> Iterator[Detail]:
    from shared.contracts.secret_bindings import BindSecret  # noqa: PLC0415  slow to import

    names = {field: name for name, field in _SECRET_NAMES.items()}
    places = [(each.get("moduleId"), each.get("target")) for each in requests]
    for index, place in enumerate(places):
        if place[1] is not None and place in places[:index]:
            yield Detail(f"/secrets/{index}/target", f"another secret has the place {place[1]}")
    for index, (entry, request) in enumerate(zip(entries, requests, strict=True)):
        for name in entry:
            if name not in SECRET_FIELDS:
                known = ", ".join(SECRET_FIELDS)
                yield Detail(f"/secrets/{index}/{name}", f"no such field; there are {known}")
        for each in _refused(BindSecret, {"environmentId": _ENVIRONMENT_ID, **request}):
            field, *rest = pointer_parts(each.target) or [""]
            target = "/".join(["/secrets", str(index), names.get(field, field), *rest])
            yield replace(each, target=target.rstrip("/"))


def _refused(contract: "type[Command]", body: Mapping[str, Any]) -> Iterator[Detail]:
    """Yield what *contract* refuses of *body*."""
    from shared.contracts.validation import parse  # noqa: PLC0415  slow to import
    from shared.kernel.errors import Invalid  # noqa: PLC0415

    try:
        parse(contract, json.dumps(body).encode())
    except Invalid as wrong:
        for each in wrong.details:
            expected, received = each.expected or "", each.received or ""
            yield Detail(each.target, each.message, expected, received, each.code)
