"""What a release file says beside the release: `configuration:` and `secrets:`.

Both are brought about before the deployment: layers are published where they differ, secrets are
bound where they are not. `configuration` as a mapping is the release's own field, and stays.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cli.configuration_files import LayerFile, layers_in
from cli.failure import Detail
from cli.field_names import pointer_parts
from cli.layer_check import doubts, layer_mistakes
from cli.refused_fields import refused_fields
from cli.unreleased import similar_module
from cli.variable_names import taken_names

if TYPE_CHECKING:
    from shared.contracts.secret_bindings import BindSecret

_ENVIRONMENT_ID: Final = "env-" + "a" * 12
_SECRET_NAMES: Final[Mapping[str, str]] = {"module": "moduleId", "name": "secretName"}
"""Fields of a secret that have a shorter name in a file."""
SECRET_FIELDS: Final = (
    "module", "name", "target", "delivery", "vaultUri", "external", "generator", "rotation",
)  # fmt: skip


@dataclass(frozen=True)
class Sections:
    """The layers that a release file publishes, and the bodies that bind its secrets.

    `mistakes` are what is wrong in them, with pointers into the file; `warnings` what may be.
    """

    layers: Sequence[LayerFile] = ()
    secrets: Sequence[Mapping[str, Any]] = ()
    """Without the environment."""
    mistakes: Sequence[Detail] = ()
    warnings: Sequence[str] = ()

    @property
    def is_empty(self) -> bool:
        return not self.layers and not self.secrets


def take_sections(body: dict[str, Any], file: Path | None) -> Sections:
    """Take the sections out of *body*, the content of *file*, with the mistakes in them."""
    is_published = isinstance(body.get("configuration"), list)
    if file is None or (not is_published and "secrets" not in body):
        return Sections()
    layers, details = layers_in(body, file) if is_published else ([], [])
    if is_published:
        del body["configuration"]
    details += [*layer_mistakes(layers), *_of_other_environments(layers, body)]
    entries = body.pop("secrets", [])
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        details.append(Detail("/secrets", "expected a list of secrets"))
        entries = []
    only = _only_module(body)
    secrets = [_to_request(entry, only) for entry in entries]
    details += _secret_mistakes(entries, secrets)
    details += taken_names(body, layers, secrets)
    warnings = [*doubts(layers), *_strange_modules(layers, secrets, body)]
    return Sections(layers, secrets, details, warnings)


def _of_other_environments(
    layers: Sequence[LayerFile], body: Mapping[str, Any]
) -> Iterator[Detail]:
    """Yield each layer of another environment than the release, or than the layers before it."""
    named = [body.get("environment"), *(layer.said.get("environment") for layer in layers)]
    only = next(filter(None, named), None)
    for layer in layers:
        if (other := layer.said.get("environment")) not in {None, only}:
            words = f"a release and its layers are of one environment, {only}; got {other}"
            yield Detail(layer.pointer("environment"), words)


def _only_module(body: Mapping[str, Any]) -> str | None:
    """Return the module of a release that has one: its secrets need not name it."""
    components = body.get("components")
    if isinstance(components, list) and len(components) == 1 and isinstance(components[0], dict):
        return components[0].get("moduleId")
    return None


def _strange_modules(
    layers: Sequence[LayerFile], secrets: Sequence[Mapping[str, Any]], body: Mapping[str, Any]
) -> Iterator[str]:
    """Yield a warning for each module that is none of the release, but is called nearly as one."""
    components = body.get("components")
    modules = {
        str(each.get("moduleId"))
        for each in (components if isinstance(components, list) else ())
        if isinstance(each, dict)
    }
    layered = [layer.said.get("module") for layer in layers]
    bound = [secret.get("moduleId") for secret in secrets]
    for module in dict.fromkeys(map(str, filter(None, [*layered, *bound]))):
        if module in modules:
            continue
        if likely := similar_module(module, modules):
            yield f"{module} is no component of this release; did you mean {likely}?"
        elif module in bound:
            yield (
                f"{module} is no component of this release: its secrets are bound for the next"
                " release that has it"
            )


def _to_request(entry: Mapping[str, Any], only: str | None) -> dict[str, Any]:
    """Return the body that binds the secret of *entry*; what it may not say is kept out."""
    said = {"module": only, **entry} if only else entry
    known = {name: value for name, value in said.items() if name in SECRET_FIELDS}
    return {_SECRET_NAMES.get(name, name): value for name, value in known.items()}


def _unplaced(index: int, command: "BindSecret") -> Iterator[Detail]:
    """Yield that no instance can be given the secret of *command* as it says."""
    from shared.kernel.errors import Invalid  # noqa: PLC0415  slow to import
    from shared.surfaces.secret_references import check_target  # noqa: PLC0415

    try:
        check_target(command.secret_name, command.target, command.delivery, "https://vault")
    except Invalid as refused:
        yield Detail(f"/secrets/{index}/target", refused.message)


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
        whole = {"environmentId": _ENVIRONMENT_ID, **request}
        refused = [*refused_fields(BindSecret, whole)]
        if not refused:
            yield from _unplaced(index, BindSecret.model_validate(whole))
        for each in refused:
            field, *rest = pointer_parts(each.target) or [""]
            if field == "moduleId" and "module" not in entry:
                continue  # it is the component's, which is named itself
            target = "/".join(["/secrets", str(index), names.get(field, field), *rest])
            yield replace(each, target=target.rstrip("/"))
