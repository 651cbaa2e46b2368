"""The request of `deploy`: a release file, and the options that override it.

The file is the body of POST /deployments. Three parts are resolved here: `environment` (a name), a
component's `artifact` (a digest, or the path of an archive, which is uploaded) and the options. The
server validates everything else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cli import artifacts
from cli.client import Client
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.lookup import environment_id
from cli.output import warn
from cli.release_check import archive_of, check_release
from cli.release_sections import Sections, take_sections
from cli.yaml_files import load_yaml

_EXAMPLE: Final = (
    "runtimectl deploy --env test --module module-shop --version 1.0 --artifact shop.zip "
    "--command 'python serve.py --port $PORT' --port 8080"
)


@dataclass(frozen=True)
class DeployOptions:
    """The options of the command line; None or empty leaves the file's value."""

    file: Path | None = None
    environment: str | None = None
    release_ref: str | None = None
    artifacts: Sequence[str] = ()
    component: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the one component, named as in the API."""
    request: Mapping[str, Any] = field(default_factory=dict)


def deploy_request(
    options: DeployOptions, client: Client
) -> tuple[dict[str, Any], Sections, Sequence[str]]:
    """Return the body of POST /deployments, what its file says beside it, and what was warned of.

    Archives are uploaded, names are resolved.

    Raises:
        Failure: the file or the options are invalid, or something that they name does not exist.
    """
    body = load_yaml(options.file) if options.file is not None else {}
    body |= {name: value for name, value in options.request.items() if value is not None}
    if isinstance(body.get("components", []), list):
        body["components"] = _components(body.get("components", []), options, body.get("remove"))
    if options.release_ref:
        body["releaseRef"] = options.release_ref
    sections = take_sections(body, options.file)
    warnings = check_release(body, options.file, sections)
    for warning in warnings:
        warn(warning)
    folder = options.file.parent if options.file is not None else Path()
    _set_environment(body, options.environment, client)
    for component in body["components"]:
        _set_digest(component, folder, client)
    body.setdefault("releaseRef", _default_release_ref(body["components"], body.get("remove")))
    return body, sections, warnings


def _components(in_file: list[Any], options: DeployOptions, removed: Any) -> list[Any]:
    """Return the components of the file with the options; what is none of them is left as it is."""
    overrides = {
        name: value for name, value in options.component.items() if value not in (None, (), [], {})
    }
    components = [dict(entry) if isinstance(entry, dict) else entry for entry in in_file]
    if not components and overrides:
        components = [{"componentType": "microservice"}]
    if len(components) == 1 and isinstance(components[0], dict):
        components[0] |= overrides
    elif overrides:
        raise Failure(
            "options describe one component, the file has several",
            ExitCode.USAGE,
            remedy="change the file instead",
        )
    if not components and not removed and options.file is None:
        raise Failure(
            "nothing to deploy", ExitCode.USAGE, remedy=f"give a file with -f, or: {_EXAMPLE}"
        )
    for source in options.artifacts:
        _set_artifact(source, components)
    return components


def _set_artifact(option: str, components: list[Any]) -> None:
    """Set the artifact of the component that *option* names, or of the only one."""
    module, separator, value = option.partition("=")
    matches = [
        component
        for component in components
        if isinstance(component, dict) and (not separator or component.get("moduleId") == module)
    ]
    if len(matches) != 1:
        raise Failure(
            f"--artifact {option}: which of the {len(components)} components is it for?",
            ExitCode.USAGE,
            remedy="write --artifact <moduleId>=<digest or archive>",
        )
    matches[0].pop("image", None)
    matches[0].pop("artifactDigest", None)
    matches[0]["artifact"] = value if separator else option


def _set_environment(body: dict[str, Any], option: str | None, client: Client) -> None:
    name = body.pop("environment", None)
    if option is not None:
        name = option
    if name is None and "environmentId" not in body:
        raise Failure("which environment?", ExitCode.USAGE, remedy="name it: --env test")
    if name is not None:
        body["environmentId"] = environment_id(client, str(name))


def _set_digest(component: dict[str, Any], folder: Path, client: Client) -> None:
    source = component.pop("artifact", None)
    if source is None:
        return
    archive = archive_of(source, folder)
    if archive is not None:
        source = artifacts.push(client, archive)["digest"]
    component["artifactDigest"] = source


def _default_release_ref(components: Sequence[Mapping[str, Any]], removed: Any) -> str:
    if not components:
        return f"without-{removed[0] if isinstance(removed, list) else removed}"
    first = components[0]
    return f"{first.get('moduleId', 'module')}-{first.get('version', 'unversioned')}"
