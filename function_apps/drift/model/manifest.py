"""A manifest: a release file in a Git repository, and what of it is compared. Pure.

It is read as somebody else's bytes: bounded, without aliases, and by the same rules as the bodies
of a deployment and a publication. Secrets and how traffic moves are no state to compare.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from function_apps.drift.model.manifest_configuration import is_of_layers_only, read_layers
from shared.contracts.components import Component, ConfigurationChoice
from shared.contracts.deployments import Deploy
from shared.contracts.drift import Plane
from shared.contracts.validation import DEPTH_MAX, VALUES_MAX, parse
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Invalid
from shared.kernel.yaml_values import loader_of_json

Words = Mapping[str, str]
"""Properties by plane and path, such as `workload/version`."""
EVENTS_MAX: Final = 4 * VALUES_MAX
"""Of a parser: a field is two of them, and so is a list."""
_COMMAND_LINE: Final = frozenset({"environment", "environmentId", "secrets", "dryRun", "restart"})
"""Fields that say what a command is to do, or where."""
_NOT_NAMED: Final = "sha256:" + "0" * 64
"""Stands for the digest of an archive that the manifest names by its path."""
_RELEASE_NAME: Final = {"releaseRef": "manifest"}
"""Stands for the name of the release, of which nothing is read."""


@dataclass(frozen=True)
class Manifest:
    """The desired properties of each module, and the words of each layer of configuration."""

    modules: Mapping[str, Words]
    layers: Mapping[str, Words]


def read_manifest(content: bytes, environment_id: str, name: str) -> Manifest:
    """Return what a manifest of the environment *name* states.

    Raises:
        Invalid: it is no release file and has no layers, or is of another environment.
    """
    body = _mapping(content)
    for field, expected in (("environment", name), ("environmentId", environment_id)):
        if expected and body.get(field) not in (None, "", expected):
            raise Invalid(f"{field}: expected {expected}")
    layers = read_layers(body, environment_id, name)
    if is_of_layers_only(body):
        return Manifest({}, layers)
    release = {field: value for field, value in body.items() if field not in _COMMAND_LINE}
    if isinstance(release.get("configuration"), list):
        del release["configuration"]
    release["components"], unnamed = _components(release.get("components"))
    release = {**_RELEASE_NAME, **release, "environmentId": environment_id}
    deploy = parse(Deploy, json.dumps(release, allow_nan=False).encode())
    modules: dict[str, Words] = {
        component.module_id: _words(
            component, deploy.configuration, has_digest=component.module_id not in unnamed
        )
        for component in deploy.components
    }
    return Manifest(modules, layers)


def _mapping(content: bytes) -> dict[str, Any]:
    """Return the mapping in a YAML document, of which JSON is one. Raises Invalid."""
    import yaml  # noqa: PLC0415  slow to import

    base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # twenty times as fast, where it is
    try:
        text = content.decode("utf-8")
        # What is composed recurses, in C without a bound: events do not.
        _require_bounds(type(event).__name__ for event in yaml.parse(text, base))
        body = yaml.load(text, loader_of_json(base))  # noqa: S506  a safe loader with fewer kinds
    except (yaml.YAMLError, ValueError, RecursionError) as problem:
        raise Invalid(f"it is not YAML{_place_of(problem)}") from problem
    if not isinstance(body, dict):
        raise Invalid("expected a mapping that begins with `releaseRef: …`")
    return body


def _place_of(problem: Exception) -> str:
    """Return where *problem* is, and what it is without what stands there: that may be a secret."""
    mark = getattr(problem, "problem_mark", None)
    if mark is None:
        return ": it has bytes or characters that YAML does not have"
    what = re.split("['\"]", getattr(problem, "problem", None) or "")[0].strip()
    return f": line {mark.line + 1}, column {mark.column + 1}: {what[:200]}"


def _require_bounds(events: Iterable[str]) -> None:
    """Refuse what is deeper, or has more values, than a release may. Raises Invalid."""
    depth = 0
    for count, event in enumerate(events):
        depth += event.endswith(("MappingStartEvent", "SequenceStartEvent"))
        depth -= event.endswith(("MappingEndEvent", "SequenceEndEvent"))
        if event == "AliasEvent":
            raise Invalid("aliases are not read: write each value out")
        if depth > DEPTH_MAX or count > EVENTS_MAX:
            raise Invalid(f"expected at most {DEPTH_MAX} levels and {EVENTS_MAX} values")


def _components(given: Any) -> tuple[Any, set[str]]:
    """Return the components as a deployment has them, and the modules whose digest is not named."""
    if not isinstance(given, list):
        return given or [], set()
    components, unnamed = [], set[str]()
    for each in given:
        component = dict(each) if isinstance(each, dict) else each
        if isinstance(component, dict) and "artifact" in component:
            source = component.pop("artifact")
            is_digest = isinstance(source, str) and source.startswith("sha256:")
            component["artifactDigest"] = source if is_digest else _NOT_NAMED
            if not is_digest:
                unnamed.add(str(component.get("moduleId")))
        components.append(component)
    return components, unnamed


def _words(
    component: Component, pinned: ConfigurationChoice | None, *, has_digest: bool
) -> dict[str, str]:
    words = {
        "version": component.version,
        "digest": component.artifact_digest if has_digest else None,
        "image": component.image,
    }
    versions = pinned.model_dump(include={"tenant", "environment", "module"}) if pinned else {}
    stated = {
        **{f"{Plane.WORKLOAD}/{path}": word for path, word in words.items()},
        f"{Plane.REPLICAS}/replicas": component.replicas,
        **{f"{Plane.CONFIGURATION}/{layer}": version for layer, version in versions.items()},
    }
    return {path: str(word) for path, word in stated.items() if word is not None}
