"""The output of a pod's container, of this start and of the one before."""

from http import HTTPStatus
from typing import Final

from shared.surfaces.aks.cluster_api import PODS, ClusterApi, Object
from shared.surfaces.aks.pods import CONTAINER
from shared.surfaces.aks.records import Unreadable

OUTPUT_BYTES_MAX: Final = 1024 * 1024
"""Of one start."""
LINES_MAX: Final = 10_000
_WITHIN_S: Final = 20.0


async def tail(api: ClusterApi, pod: Object, lines: int) -> tuple[str, ...]:
    """Return the last *lines* of output, oldest first. Raises Unreadable."""
    asked = min(lines, LINES_MAX)
    if asked <= 0:
        return ()
    latest = await _output(api, pod, asked, previous=False)
    missing = asked - len(latest)
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    if missing > 0 and any(each.get("restartCount") for each in statuses):
        latest = await _output(api, pod, missing, previous=True) + latest
    return tuple(latest)


async def _output(api: ClusterApi, pod: Object, lines: int, *, previous: bool) -> list[str]:
    metadata = pod["metadata"]
    params = {
        "container": CONTAINER,
        "tailLines": str(lines),
        "limitBytes": str(OUTPUT_BYTES_MAX),
        "previous": str(previous).lower(),
    }
    path = PODS.path(metadata["namespace"], metadata["name"], "/log")
    status, content = await api.text(path, params, at_most=OUTPUT_BYTES_MAX, timeout_s=_WITHIN_S)
    # Not started yet, or no longer kept: there is no output.
    if status in {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND}:
        return []
    if status != HTTPStatus.OK:
        reason = content[:300].decode(errors="replace")
        raise Unreadable(f"the output of {metadata['name']} cannot be read ({status}): {reason}")
    return content.decode("utf-8", errors="replace").splitlines()
