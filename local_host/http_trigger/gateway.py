"""The gateway that joins the apps under one host name, as API Management does in Azure.

Function routes cannot begin with `runtime`, so the apps listen below `/v1/runtime`; `/runtime/…`
(version 1 implied) is the same place, except `/runtime/webhooks/…`, which is the host's own. An
operation is found by its id, which names its app. Paths are mapped before routing, and a function
sees the mapped one.
"""

from typing import Final

from shared.kernel.errors import NotFound
from shared.kernel.ids import parse_id

_OPERATIONS: Final = "/v1/runtime/operations/"
_INITIALS: Final = frozenset("rRvV")
"""Of the paths that are mapped; most are told from them by this alone."""
_PLATFORM: Final = "/v1/platform/{app}/operations/{rest}"


def mapped(path: str) -> str:
    """Return the path that the request for *path* is routed by; most stay as they are."""
    if path[1:2] not in _INITIALS:
        return path
    lowered = path[: len(_OPERATIONS) + 1].lower()
    if lowered.startswith("/runtime/") and not path.lower().startswith("/runtime/webhooks/"):
        path = f"/v1{path}"
        lowered = f"/v1{lowered}"
    if lowered.startswith(_OPERATIONS):
        return _operation(path[len(_OPERATIONS) :]) or path
    return path


def _operation(rest: str) -> str | None:
    operation_id = rest.partition("/")[0]
    try:
        app = parse_id(operation_id, "op").app
    except NotFound:
        return None
    return _PLATFORM.format(app=app, rest=rest)
