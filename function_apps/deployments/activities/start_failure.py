"""Starts that fail: when they are given up, and what the instance says; for several activities."""

import re
from collections.abc import Sequence
from typing import Final

from function_apps.deployments.activities.observe_surface import (
    observe,
    surface_component,
    surface_of,
)
from function_apps.deployments.errors import (
    CannotStart,
    JobFailed,
    NotReadyInTime,
    StartFailed,
)
from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.ports import DeploymentsApp
from shared.contracts.releases import ReleasedComponent
from shared.durable.activity import FailureReason
from shared.kernel.errors import Unavailable
from shared.kernel.observation import Present
from shared.surfaces.capabilities import Feature
from shared.surfaces.observed_state import Instance, LiveComponent, Phase

EXITS_MAX: Final = 3
"""So many ends or failed starts before it was ready are no accident; the third comes after 2 s."""
LINES: Final = 20
TEXT_MAX: Final = 2048
"""Of a reason."""
_HEAD_MAX: Final = 1200
"""Of what stands before the last lines, so that there is room for them."""
_GATES: Final = frozenset({"GateFailed", "GateInconclusive"})
_TOLD: Final = frozenset({StartFailed.code, CannotStart.code, JobFailed.code})
"""Codes whose reason has the state of the instance already."""
_EXPLAINED: Final = _TOLD | {NotReadyInTime.code} | _GATES
_DENIED: Final = re.compile(r"EACCES|permission ?denied|permissionerror", re.IGNORECASE)
_BINDS: Final = re.compile(r"(?<![a-z])(bind|listen)(ing)?(?![a-z])", re.IGNORECASE)
_NEAR: Final = 3
"""Lines between the call and its refusal, in a stack of Python, Node.js or Java."""


def require_starting(component: ReleasedComponent, live: LiveComponent | None) -> None:
    """Refuse to wait for an instance of *component* that ends, or cannot start, again and again.

    Raises:
        StartFailed: it ended.
        CannotStart: it never had a process.
    """
    for instance in _not_ready(component, live):
        if instance.failed_starts >= EXITS_MAX:
            raise CannotStart(
                f"{instance.id} could not be started {instance.failed_starts} times: "
                f"{instance.message}"
            )
        if instance.restarts >= EXITS_MAX:
            raise StartFailed(
                f"{instance.id} ended {instance.restarts} times before it was ready"
                f"{_exit(instance)}"
            )


def require_running(
    component: ReleasedComponent, live: LiveComponent | None, app: DeploymentsApp
) -> None:
    """Refuse to wait for the job of *component* when it has failed, or does not come to run.

    Raises:
        JobFailed: it ended otherwise than well, or took too long.
        CannotStart: it had no process for so long as others may take to be ready.
    """
    revision = live.revision(component.release_revision) if live else None
    if revision is None:
        return
    why = "; ".join(_state(instance) for instance in revision.instances)
    if revision.phase is Phase.FAILED:
        raise JobFailed(f"{component.module_id} has not ended well: {why or revision.reason}")
    waited_since = app.service.clock.now() - app.rules.ready_within
    for instance in revision.instances:
        if instance.reason == "CannotStart" and instance.started_at <= waited_since:
            raise CannotStart(f"{component.module_id} could not be started: {why}")


async def explained(
    reason: FailureReason, deployment: Deployment, app: DeploymentsApp
) -> FailureReason:
    """Return *reason* with the state and the last lines of an instance that failed, if one did."""
    if reason.code not in _EXPLAINED:
        return reason
    for component in deployment.released_components:
        if reason.code == JobFailed.code and component.runs_once is None:
            continue
        try:
            live = await observe(component, deployment, app)
        except Unavailable:
            continue
        failed = _failed(component, live) if reason.code in _GATES else _not_ready(component, live)
        if failed:
            states = [] if reason.code in _TOLD else [_state(failed[0])]
            lines = await _last_lines(component, failed[0], deployment, app)
            return _with_lines(reason, [*states, *_hints(component, lines, app)], lines)
    return reason


def _with_lines(
    reason: FailureReason, clauses: Sequence[str], lines: Sequence[str]
) -> FailureReason:
    if not any(lines):
        return FailureReason(reason.code, "; ".join((reason.message, *clauses, "it wrote nothing")))
    head = "; ".join((reason.message, *clauses))[:_HEAD_MAX] + "; its last lines:\n"
    room = TEXT_MAX - len(head)
    return FailureReason(reason.code, head + "\n".join(lines)[-room:])


def _not_ready(component: ReleasedComponent, live: LiveComponent | None) -> Sequence[Instance]:
    revision = live.revision(component.release_revision) if live else None
    return [each for each in revision.instances if not each.is_ready] if revision else ()


def _failed(component: ReleasedComponent, live: LiveComponent | None) -> Sequence[Instance]:
    """Return what is not ready, or ended by itself since it was started for this release."""
    revision = live.revision(component.release_revision) if live else None
    instances = revision.instances if revision else ()
    return [each for each in instances if not each.is_ready or each.restarts]


def _state(instance: Instance) -> str:
    times = f", ended {instance.restarts} times" if instance.restarts > 1 else ""
    return f"{instance.id}: {instance.unready_because or 'started again'}{times}{_exit(instance)}"


def _exit(instance: Instance) -> str:
    return f", {instance.last_exit}" if instance.last_exit else ""


async def _last_lines(
    component: ReleasedComponent, instance: Instance, deployment: Deployment, app: DeploymentsApp
) -> Sequence[str]:
    workload = surface_component(component, deployment)
    reading = await surface_of(component, app).logs(workload, instance.id, LINES)
    return reading.value if isinstance(reading, Present) else ()


def _hints(
    component: ReleasedComponent, lines: Sequence[str], app: DeploymentsApp
) -> Sequence[str]:
    """Return what to know where *lines* tell of a refused bind and the surface refuses some."""
    if not surface_of(component, app).capabilities().supports(Feature.OWN_PORTS):
        return []
    denied = [number for number, line in enumerate(lines) if _DENIED.search(line)]
    near = [
        line for number in denied for line in lines[max(0, number - _NEAR) : number + _NEAR + 1]
    ]
    is_bind = any(_BINDS.search(line) for line in near)
    return ["on this surface a process may listen on $PORT only"] if is_bind else []
