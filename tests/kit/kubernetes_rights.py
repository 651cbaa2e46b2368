"""Which rights the requests of a client to an API server need: group, resource and verb."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from httpx2 import Request
    from lightkube import AsyncClient

Right = tuple[str, str, str]
_VERBS: Final = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_OF_A_NAMESPACE: Final = frozenset({"status", "finalize"})
"""What follows a namespace's name and is a part of the namespace itself."""


def record_rights(client: "AsyncClient", used: set[Right]) -> None:
    """Add to *used* what each request of *client* needs from now on."""

    async def note(request: "Request") -> None:
        query = request.url.query.decode()
        used.update(rights_of(request.method, request.url.path, query, request.headers))

    client._client._client.event_hooks["request"].append(note)


def rights_of(
    method: str, path: str, query: str = "", headers: Mapping[str, str] | None = None
) -> set[Right]:
    """Return what a request needs; none where it is for no resource, as `/version` is.

    https://kubernetes.io/docs/reference/access-authn-authz/authorization/#determine-the-request-verb
    """
    root, *segments = path.strip("/").split("/")
    if root not in {"api", "apis"} or len(segments) < (2 if root == "api" else 3):
        return set()
    group = "" if root == "api" else segments[0]
    rest = segments[1:] if root == "api" else segments[2:]
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in _OF_A_NAMESPACE:
        rest = rest[2:]
    resource, name, sub = rest[0], rest[1:2], rest[2:3]
    asked = parse_qs(query)
    verb = _VERBS.get(method, "get")
    if method in {"GET", "HEAD"} and not name:
        verb = "watch" if asked.get("watch") == ["true"] else "list"
    if method == "DELETE" and not name:
        verb = "deletecollection"
    verbs = {verb}
    if "apply-patch" in (headers or {}).get("content-type", ""):
        verbs.add("create")
    return {(group, "/".join([resource, *sub]), each) for each in verbs}
