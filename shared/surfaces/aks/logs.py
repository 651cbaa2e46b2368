"""The output of a pod's container, of this start and of the one before."""

from http import HTTPStatus
from typing import Final

from shared.surfaces.aks.cluster_api import ClusterApi, Object
from shared.surfaces.aks.kinds import PODS
from shared.surfaces.aks.pods import CONTAINER
from shared.surfaces.aks.records import Unreadable

OUTPUT_BYTES_MAX: Final = 1024 * 1024
"""Of one start."""
LINES_MAX: Final = 10_000
_WITHIN_S: Final = 20.0
_REMOVED: Final = b"unable to retrieve container logs for "
"""What a kubelet answers, with 200, of a container that its runtime has removed meanwhile."""


async def tail(api: ClusterApi, pod: Object, lines: int) -> tuple[str, ...]:
    """Return the last *lines* of output, oldest first. Raises Unreadable."""
    asked = min(lines, LINES_MAX)
    if asked <= 0:
        return ()
    latest, is_whole = await _output(api, pod, asked, previous=False)
    missing = asked - len(latest)
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    if is_whole and missing > 0 and any(each.get("restartCount") for each in statuses):
        before, _ = await _output(api, pod, missing, previous=True)
        latest = before + latest
    return tuple(latest)


async def _output(
    api: ClusterApi, pod: Object, lines: int, *, previous: bool
) -> tuple[list[str], bool]:
    """Return the newest of the last *lines* that fit, and whether all did.

    A kubelet begins with the oldest line asked for and breaks off at the limit of bytes: fewer are
    asked for until the newest is there.
    """
    asked = lines
    while True:
        content = await _answer(api, pod, asked, previous=previous)
        is_cut = len(content) >= OUTPUT_BYTES_MAX
        if not is_cut or asked == 1:
            text = content.decode("utf-8", errors="replace")
            return text.splitlines(), asked == lines and not is_cut
        asked = max(1, min(asked // 2, content.count(b"\n")))


async def _answer(api: ClusterApi, pod: Object, lines: int, *, previous: bool) -> bytes:
    metadata = pod["metadata"]
    params = {
        "container": CONTAINER,
        "tailLines": str(lines),
        "limitBytes": str(OUTPUT_BYTES_MAX),
        "previous": str(previous).lower(),
    }
    path = PODS.path(metadata["namespace"], metadata["name"], "/log")
    status, content = await api.text(
        path,
        params,
        namespace=metadata["namespace"],
        at_most=OUTPUT_BYTES_MAX,
        timeout_s=_WITHIN_S,
    )
    # Not started yet, or no longer kept: there is no output.
    if status in {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND}:
        return b""
    if status != HTTPStatus.OK:
        reason = content[:300].decode(errors="replace")
        raise Unreadable(f"the output of {metadata['name']} cannot be read ({status}): {reason}")
    return b"" if content.startswith(_REMOVED) and len(content.splitlines()) == 1 else content
