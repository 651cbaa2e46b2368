"""What `deploy` sends: a release file, and what the command line says instead of or beside it.

The file is the body of POST /deployments. Three things are for people and are resolved here:
`environment` (a name), a component's `artifact` (a digest, or the path of an archive, which is
uploaded) and options. Unknown fields are the server's to refuse.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cli import artifacts
from cli.client import Client
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.lookup import environment_named
from cli.yaml_files import load_yaml

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_EXAMPLE: Final = (
    "runtimectl deploy --env test --module module-shop --version 1.0 --artifact shop.zip "
    "--command 'python serve.py --port $PORT' --port 8080"
)


@dataclass(frozen=True)
class Wish:
    """What the command line said; what is None or empty leaves the file as it is."""

    file: Path | None = None
    environment: str | None = None
    release_ref: str | None = None
    artifacts: Sequence[str] = ()
    component: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the one component, in the words of the API."""
    request: Mapping[str, Any] = field(default_factory=dict)


def request_of(wish: Wish, client: Client) -> dict[str, Any]:
    """Return the body of POST /deployments, archives uploaded and names resolved.

    Raises:
        Failure: the file or the options cannot be understood, or something they name is not there.
    """
    body = load_yaml(wish.file) if wish.file is not None else {}
    body |= {name: value for name, value in wish.request.items() if value is not None}
    body["components"] = _components(body.get("components", []), wish)
    folder = wish.file.parent if wish.file is not None else Path()
    _set_environment(body, wish.environment, client)
    for component in body["components"]:
        _set_digest(component, folder, client)
    body["releaseRef"] = wish.release_ref or body.get("releaseRef") or _named(body["components"])
    return body


def _components(given: Any, wish: Wish) -> list[dict[str, Any]]:
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
        raise Failure(
            "components: expected a list of mappings", ExitCode.USAGE, fix="see examples/"
        )
    said = {
        name: value for name, value in wish.component.items() if value not in (None, (), [], {})
    }
    components = [dict(each) for each in given]
    if not components and said:
        components = [{"componentType": "microservice"}]
    if len(components) == 1:
        components[0] |= said
    elif said:
        raise Failure(
            "options describe one component, the file has several",
            ExitCode.USAGE,
            fix="change the file instead",
        )
    if not components:
        raise Failure(
            "nothing to deploy", ExitCode.USAGE, fix=f"give a file with -f, or: {_EXAMPLE}"
        )
    for source in wish.artifacts:
        _place_source(source, components)
    return components


def _place_source(source: str, components: list[dict[str, Any]]) -> None:
    module, sign, value = source.partition("=")
    named = [each for each in components if each.get("moduleId") == module] if sign else components
    if len(named) != 1:
        raise Failure(
            f"--artifact {source}: which of the {len(components)} components is it for?",
            ExitCode.USAGE,
            fix="write --artifact <moduleId>=<digest or archive>",
        )
    named[0].pop("image", None)
    named[0].pop("artifactDigest", None)
    named[0]["artifact"] = value if sign else source


def _set_environment(body: dict[str, Any], asked: str | None, client: Client) -> None:
    name = body.pop("environment", None)
    if asked is not None:
        name = asked
    if name is None and "environmentId" not in body:
        raise Failure("which environment?", ExitCode.USAGE, fix="name it: --env test")
    if name is not None:
        body["environmentId"] = environment_named(client, str(name))["environmentId"]


def _set_digest(component: dict[str, Any], folder: Path, client: Client) -> None:
    source = component.pop("artifact", None)
    if source is None:
        return
    if not _DIGEST.fullmatch(str(source)):
        path = Path(str(source))
        found = path if path.is_absolute() or path.exists() else folder / path
        source = artifacts.push(client, found)["digest"]
    component["artifactDigest"] = source


def _named(components: Sequence[Mapping[str, Any]]) -> str:
    first = components[0]
    return f"{first.get('moduleId', 'module')}-{first.get('version', 'unversioned')}"
