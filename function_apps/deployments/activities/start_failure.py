"""Starts that fail: when they are given up, and what the instance says about it; no activity."""

from collections.abc import Iterable
from typing import Final

from function_apps.deployments.activities.observe_surface import (
    observe,
    surface_component,
    surface_of,
)
from function_apps.deployments.errors import NotReadyInTime, StartFailed
from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.ports import DeploymentsApp
from shared.contracts.releases import ReleasedComponent
from shared.durable.activity import FailureReason
from shared.kernel.errors import Unavailable
from shared.kernel.observation import Present
from shared.surfaces.observed_state import Instance, LiveComponent

EXITS_MAX: Final = 3
"""So many ends before it was ready are no accident; the third comes after 2 s."""
LINES: Final = 20
TEXT_MAX: Final = 1800
"""Of the output in a reason, which has 2,048 characters."""
_EXPLAINED: Final = frozenset({StartFailed.code, NotReadyInTime.code})


def require_starting(component: ReleasedComponent, live: LiveComponent | None) -> None:
    """Refuse to wait for an instance of *component* that ends again and again.

    Raises:
        StartFailed.
    """
    for instance in _not_ready(component, live):
        if instance.restarts >= EXITS_MAX:
            raise StartFailed(
                f"{instance.id} ended {instance.restarts} times before it was ready"
                f"{_exit(instance)}"
            )


async def explained(
    reason: FailureReason, deployment: Deployment, app: DeploymentsApp
) -> FailureReason:
    """Return *reason* with the last lines of an instance that did not start, where one did not."""
    if reason.code not in _EXPLAINED:
        return reason
    for component in deployment.released_components:
        try:
            live = await observe(component, deployment, app)
        except Unavailable:
            continue
        for instance in _not_ready(component, live):
            lines = await _last_lines(component, instance, deployment, app)
            said = [] if reason.code == StartFailed.code else [_state(instance)]
            text = "\n".join(("; ".join((reason.message, *said, lines[0])), *lines[1:]))
            return FailureReason(reason.code, text)
    return reason


def _not_ready(component: ReleasedComponent, live: LiveComponent | None) -> Iterable[Instance]:
    revision = live.revision(component.release_revision) if live else None
    return (
        [instance for instance in revision.instances if not instance.is_ready] if revision else ()
    )


def _state(instance: Instance) -> str:
    return f"{instance.id}: {instance.reason or 'not ready'}{_exit(instance)}"


def _exit(instance: Instance) -> str:
    return f", {instance.last_exit}" if instance.last_exit else ""


async def _last_lines(
    component: ReleasedComponent, instance: Instance, deployment: Deployment, app: DeploymentsApp
) -> list[str]:
    workload = surface_component(component, deployment)
    reading = await surface_of(component, app).logs(workload, instance.id, LINES)
    lines = list(reading.value) if isinstance(reading, Present) else []
    if not any(lines):
        return ["it wrote nothing"]
    return ["its last lines:", "\n".join(lines)[-TEXT_MAX:]]
