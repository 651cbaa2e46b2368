"""A pod as an instance: whether it is ready, and why not, in the words of the port."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from shared.kernel.clock import parse_instant
from shared.surfaces.aks.cluster_api import Object
from shared.surfaces.aks.names import REVISION
from shared.surfaces.aks.pods import CONTAINER, WORKER_READY_S
from shared.surfaces.observed_state import Instance
from shared.surfaces.spec import RevisionSpec

_MESSAGE_MAX: Final = 500
"""Characters; it stands in evidence and events."""
_CRASHING: Final = "CrashLoopBackOff"
_STARTING: Final = frozenset({"", "ContainerCreating", "PodInitializing"})
"""Why a container waits that has nothing wrong. All other reasons but a crash are of a start that
fails: ErrImagePull, ImagePullBackOff, InvalidImageName, CreateContainerConfigError, ..."""
_NEVER_STARTED: Final = frozenset({"StartError", "ContainerCannotRun"})
"""Of a container that ended: the runtime could not start its program."""
_SIGNALLED: Final = 128
"""A process that a signal ended has the exit code 128 and the number of the signal."""
_OURS: Final[Mapping[str, str]] = {
    "OOMKilled": "MemoryExceeded",
    "Evicted": "DiskExceeded",
    "DeadlineExceeded": "DeadlineExceeded",
}
_NODE_SHORT: Final = "The node was low on resource"
"""How a kubelet begins why it evicted for its own need, of memory or else; the rest of what it
evicts for is a pod's limit of disk."""


def is_stopping(pod: Object) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def has_ended(pod: Object) -> bool:
    """Return whether it has stopped for good; its Deployment makes another."""
    return (pod.get("status") or {}).get("phase") in {"Failed", "Succeeded"}


def has_succeeded(pod: Object) -> bool:
    return bool((pod.get("status") or {}).get("phase") == "Succeeded")


def oldest_first(pods: Iterable[Object]) -> list[Object]:
    """Return *pods* by their age; those of one second by their names."""
    return sorted(
        pods, key=lambda pod: (pod["metadata"]["creationTimestamp"], pod["metadata"]["name"])
    )


def main_status(pod: Object) -> Object:
    """Return the status of its container; empty before it has one."""
    statuses: list[Object] = (pod.get("status") or {}).get("containerStatuses") or []
    return next((each for each in statuses if each["name"] == CONTAINER), {})


def began_at(pod: Object) -> datetime:
    """Return when its container started that runs, or has run to its end."""
    state = main_status(pod)["state"]
    return parse_instant((state.get("running") or state["terminated"])["startedAt"])


def condition(found: Object, kind: str) -> Object:
    """Return the condition *kind* of an object; empty where it has none."""
    conditions: list[Object] = (found.get("status") or {}).get("conditions") or []
    return next((each for each in conditions if each["type"] == kind), {})


def instance(pod: Object, spec: RevisionSpec, now: datetime) -> Instance:
    """Return the instance that *pod* is."""
    status = main_status(pod)
    running = (status.get("state") or {}).get("running")
    restarts = int(status.get("restartCount") or 0)
    started_at = _started_at(pod, running)
    is_ready = _is_ready(pod, spec, now)
    reason, message = ("", "") if is_ready else _why_not(pod, status)
    ended = (status.get("lastState") or {}).get("terminated") or {}
    if ended.get("reason") in _NEVER_STARTED:  # and so it has no exit code of its own
        ended = {}
    host = (pod.get("status") or {}).get("podIP") or ""
    host = f"[{host}]" if ":" in host else host
    return Instance(
        id=pod["metadata"]["name"],
        revision=int(pod["metadata"]["labels"][REVISION]),
        is_ready=is_ready,
        is_live=running is not None,
        started_at=started_at,
        restarts=restarts,
        address=f"{host}:{spec.port}" if host and spec.port is not None else None,
        reason=reason,
        message=message[:_MESSAGE_MAX],
        restarted_at=_restarted_at(status, ended) if restarts else None,
        exit_code=_exit_code(ended),
        exit_reason=_OURS.get(ended.get("reason", ""), "Exited") if ended else "",
        failed_starts=int(reason == "CannotStart"),
    )


def ended_instance(pod: Object, spec: RevisionSpec) -> Instance:
    """Return the instance of a pod that is not started again, with how it ended."""
    whole = pod.get("status") or {}
    ended: Object = (main_status(pod).get("state") or {}).get("terminated") or {}
    found = instance(pod, spec, parse_instant(pod["metadata"]["creationTimestamp"]))
    if ended.get("reason") in _NEVER_STARTED:
        message = str(ended.get("message", ""))[:_MESSAGE_MAX]
        return replace(found, reason="CannotStart", message=message, failed_starts=1)
    words = (found.reason, _OURS.get(ended.get("reason", ""), ""))
    reason = next((word for word in words if word not in {"", "Exited", "Stopping"}), "Exited")
    message = str(ended.get("message") or whole.get("message") or "")[-_MESSAGE_MAX:]
    code = _exit_code(ended)
    return replace(found, reason=reason, message=message, exit_code=code, exit_reason=reason)


def _restarted_at(status: Object, ended: Object) -> datetime | None:
    """Return when the process began that `restartCount` counted last; None where nobody says.

    While none runs, as the kubelet waits before the next start, that is the one that has *ended*.
    """
    state = status.get("state") or {}
    now = state.get("terminated") or {}
    if now.get("reason") in _NEVER_STARTED:  # its start is no time
        now = {}
    last = state.get("running") or now or ended
    return parse_instant(last["startedAt"]) if last.get("startedAt") else None


def _started_at(pod: Object, running: Object | None) -> datetime:
    status = pod.get("status") or {}
    instant = (running or {}).get("startedAt") or status.get("startTime")
    return parse_instant(instant or pod["metadata"]["creationTimestamp"])


def _is_ready(pod: Object, spec: RevisionSpec, now: datetime) -> bool:
    ready = condition(pod, "Ready")
    if ready.get("status") != "True" or is_stopping(pod) or has_ended(pod):
        return False
    if spec.port is not None:
        return True
    since = ready.get("lastTransitionTime")
    return since is None or parse_instant(since) + timedelta(seconds=WORKER_READY_S) <= now


def _exit_code(ended: Object) -> int | None:
    if not ended:
        return None
    code = int(ended.get("exitCode", 0))
    return _SIGNALLED - code if code > _SIGNALLED else code


def _why_not(pod: Object, status: Object) -> tuple[str, str]:
    """Return why *pod* is not ready: a reason of `Instance`, and what that is about."""
    scheduled = condition(pod, "PodScheduled")
    whole = pod.get("status") or {}
    if is_stopping(pod):
        return "Stopping", ""
    if has_ended(pod):
        message = str(whole.get("message", ""))
        reason = "" if message.startswith(_NODE_SHORT) else whole.get("reason", "")
        return _OURS.get(reason, "Exited"), message
    if scheduled.get("status") == "False":
        return "CannotStart", f"no node takes it: {scheduled.get('message', '')}"
    return _of_container(pod, status)


def _of_container(pod: Object, status: Object) -> tuple[str, str]:
    state = status.get("state") or {}
    waiting, ended = state.get("waiting"), state.get("terminated")
    if waiting and waiting.get("reason", "") == _CRASHING:
        ended = (status.get("lastState") or {}).get("terminated") or {}
    elif waiting and waiting.get("reason", "") not in _STARTING:
        said = waiting.get("message", "")
        return "CannotStart", f"{waiting['reason']}: {said}" if said else waiting["reason"]
    if ended is not None and ended.get("reason") in _NEVER_STARTED:
        return "CannotStart", ended.get("message", "")
    if ended is not None:
        return _OURS.get(ended.get("reason", ""), "Exited"), ended.get("message", "")
    if status.get("started") and state.get("running"):
        return "ProbeFailed", condition(pod, "Ready").get("message", "")
    return "Starting", ""
