"""What the end of a deployment means for each module, and its split into one command per module.

Every service that keeps something per module (inventory, probes, adoption, proof, policy, baseline)
takes the end of a deployment apart in this one way.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, TypeVar

from shared.contracts.catalog import ReleaseOfComponent, ReleaseOutcome
from shared.contracts.deployments import DeploymentEnded, DeploymentStatus
from shared.contracts.releases import CauseKind, ChangeCause
from shared.contracts.values import ModuleId
from shared.kernel.ids import parse_id
from shared.kernel.scope import Scope
from shared.messaging.cause import Cause
from shared.messaging.split import NOTHING_BESIDE, PAGE_MAX, Beside, split
from shared.messaging.unit_of_work import Outcome
from shared.service import Service

C = TypeVar("C", bound=ReleaseOfComponent)

_LEFT_SOMETHING: Final = {
    DeploymentStatus.COMPLETED: (ReleaseOutcome.COMPLETED, CauseKind.DEPLOYMENT),
    DeploymentStatus.ROLLED_BACK: (ReleaseOutcome.ROLLED_BACK, CauseKind.ROLLBACK),
}
"""A deployment that failed or was cancelled proved nothing of what runs."""


def releases_of(event: DeploymentEnded, command: type[C]) -> Sequence[C]:
    """Return one *command* for each module that *event* says something of, in a stable order.

    A module without a component is gone: it was removed, or had nothing to go back to.
    """
    found = _LEFT_SOMETHING.get(event.status)
    unit = event.release_unit
    if found is None or unit is None:
        return []
    outcome, kind = found
    released = {each.module_id: each for each in unit.components}
    turned_back = event.modules if outcome is ReleaseOutcome.ROLLED_BACK else ()
    return [
        command.model_validate(
            {
                "environment_id": event.environment_id,
                "project_id": event.project_id,
                "stage": event.stage,
                "deployment_id": event.deployment_id,
                "outcome": outcome,
                "module_id": module,
                "component": released.get(module),
                "cause": ChangeCause(kind=kind, id=event.deployment_id),
                "ended_at": event.ended_at,
            }
        )
        for module in dict.fromkeys([*released, *unit.removed, *turned_back])
    ]


async def split_releases(
    event: DeploymentEnded,
    command: type[C],
    *,
    scope: Scope,
    cause: Cause,
    service: Service,
    beside: Beside = NOTHING_BESIDE,
) -> Outcome:
    """Send *service* itself one *command* per module, 25 a page; a repeat sends nothing more.

    Each page has an inbox row of its own, so a crash between two pages costs no module and doubles
    none: the event comes again and finds the pages that are done. *beside* is done with each page.
    """
    assert cause.marker is not None, cause
    outcome = Outcome({})
    units: list[tuple[ModuleId, C]] = [
        (each.module_id, each) for each in releases_of(event, command)
    ]
    for number, first in enumerate(range(0, len(units), PAGE_MAX)):
        outcome = await split(
            units[first : first + PAGE_MAX],
            key=parse_id(event.environment_id, "env").environment,
            project=event.project_id,
            scope=scope,
            cause=replace(cause, marker=f"{cause.marker}/{number}") if number else cause,
            service=service,
            beside=beside,
        )
    return outcome
