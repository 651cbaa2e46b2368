"""The end of a deployment as one command per module.

Every service that keeps something per module (inventory, probes, adoption, proof, policy, baseline)
takes the end of a deployment apart in this one way.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from shared.contracts.catalog import ReleaseOfComponent, ReleaseOutcome
from shared.contracts.deployments import DeploymentEnded, DeploymentStatus
from shared.contracts.releases import CauseKind, ChangeCause
from shared.kernel.context import Context
from shared.messaging.fan_out import PAGE_MAX, fan_out, no_writes
from shared.messaging.unit_of_work import Json, Outcome, Put, UnitOfWork, View
from shared.persistence.store import partition_of

C = TypeVar("C", bound=ReleaseOfComponent)

_ENDINGS: Final = {
    DeploymentStatus.COMPLETED: (ReleaseOutcome.COMPLETED, CauseKind.DEPLOYMENT),
    DeploymentStatus.ROLLED_BACK: (ReleaseOutcome.ROLLED_BACK, CauseKind.ROLLBACK),
}
"""A deployment that failed or was cancelled proved nothing about the running instances."""


def releases_of(event: DeploymentEnded, command: type[C]) -> Sequence[C]:
    """Return one *command* for each module that *event* is about, in a stable order.

    A module without a component is gone: it was removed, or had nothing to go back to.
    """
    ending = _ENDINGS.get(event.status)
    unit = event.release_unit
    if ending is None or unit is None:
        return []
    outcome, kind = ending
    released = {component.module_id: component for component in unit.components}
    rolled_back = event.modules if outcome is ReleaseOutcome.ROLLED_BACK else ()
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
        for module in dict.fromkeys([*released, *unit.removed, *rolled_back])
    ]


async def fan_out_releases(
    event: DeploymentEnded,
    command: type[C],
    ctx: Context,
    work: UnitOfWork,
    *,
    reads: Sequence[str] = (),
    writes: Callable[[View], Sequence[Put]] = no_writes,
) -> Outcome[Json]:
    """Send the service of *work* one *command* per module, 25 a page; a repeat sends nothing more.

    Each page has an inbox row of its own, so a crash between two pages costs no module and doubles
    none: the event comes again and finds the pages that are done. Each page makes *writes* too.
    """
    assert ctx.cause.marker is not None, ctx.cause
    partition = partition_of(ctx.tenant, event.environment_id)
    outcome: Outcome[Json] = Outcome({})
    units = [(release.module_id, release) for release in releases_of(event, command)]
    for number, first in enumerate(range(0, len(units), PAGE_MAX)):
        marker = f"{ctx.cause.marker}/{number}" if number else ctx.cause.marker
        outcome = await fan_out(
            units[first : first + PAGE_MAX],
            partition,
            replace(ctx, cause=replace(ctx.cause, marker=marker)),
            work,
            project=event.project_id,
            reads=reads,
            writes=writes,
        )
    return outcome
