"""An event about many units becomes one command per unit, which its consumer sends to itself.

Each unit is applied in its own partition, retried and parked by itself. The inbox row of the event
is written with the commands. The id of each command follows from the event's id and the unit, so a
repeated event makes the same commands, and they are dropped as repeats.

Every service that keeps something per module (inventory, probes, adoption, proof, policy, baseline)
takes the end of a deployment apart with `fan_out_releases`.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from pydantic import BaseModel

from shared.contracts.catalog import ReleaseOfComponent, ReleaseOutcome
from shared.contracts.deployments import DeploymentEnded, DeploymentStatus
from shared.contracts.releases import CauseKind, ChangeCause
from shared.kernel.context import Context
from shared.messaging.outbox import Send
from shared.messaging.unit_of_work import Decision, Json, Outcome, UnitOfWork, View
from shared.persistence.codec import Put
from shared.persistence.store import Partition, partition_of

PAGE_MAX: Final = 25
_NAMESPACE: Final = uuid.UUID("3d0f6a54-2f5c-5a64-9d8e-6f1b7a0c9e21")
C = TypeVar("C", bound=ReleaseOfComponent)
FieldsOf = Callable[[DeploymentEnded, str], Mapping[str, Any]]
_ENDINGS: Final = {
    DeploymentStatus.COMPLETED: (ReleaseOutcome.COMPLETED, CauseKind.DEPLOYMENT),
    DeploymentStatus.ROLLED_BACK: (ReleaseOutcome.ROLLED_BACK, CauseKind.ROLLBACK),
}
"""A deployment that failed or was canceled proved nothing about the running instances."""


def no_writes(_view: View) -> Sequence[Put]:
    """Write nothing beside the commands."""
    return ()


async def fan_out(
    units: Sequence[tuple[str, BaseModel]],
    partition: Partition,
    ctx: Context,
    work: UnitOfWork,
    *,
    project: str | None,
    reads: Sequence[str] = (),
    writes: Callable[[View], Sequence[Put]] = no_writes,
) -> Outcome[Json]:
    """Send the service of *work* one command for each of at most 25 *units* (module, payload).

    The same batch makes *writes* from the documents *reads* of *partition*.
    """
    assert len(units) <= PAGE_MAX, len(units)
    commands = [
        Send(
            work.service,
            payload,
            project=project,
            module=module,
            event_id=_event_id(ctx, work.service, module),
        )
        for module, payload in units
    ]

    def decide(view: View) -> Decision[Json]:
        return Decision({}, writes=writes(view), outbox=commands)

    return await work.commit(ctx, partition, reads, decide)


def _event_id(ctx: Context, service: str, module: str) -> str:
    return f"evt-{uuid.uuid5(_NAMESPACE, f'{ctx.cause.causation_id} {service} {module}')}"


def no_fields(_event: DeploymentEnded, _module: str) -> Mapping[str, Any]:
    """Return nothing beside what every such command has."""
    return {}


def releases_of(
    event: DeploymentEnded, command: type[C], fields: FieldsOf = no_fields
) -> Sequence[C]:
    """Return one *command* for each module that *event* is about, in a stable order.

    A module without a component is gone: it was removed, or had nothing to go back to. *fields*
    returns what the command of a module has beside what every one has.
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
                **(_proofs(event, module) if "proofs" in command.model_fields else {}),
                **fields(event, module),
            }
        )
        for module in dict.fromkeys([*released, *unit.removed, *rolled_back])
    ]


def _proofs(event: DeploymentEnded, module: str) -> dict[str, Any]:
    """Return what the instances of *module* proved, for a command that takes it."""
    instances = event.proof.instances if event.proof else ()
    return {"proofs": tuple(each for each in instances if each.module_id == module)}


async def fan_out_releases(
    event: DeploymentEnded,
    command: type[C],
    ctx: Context,
    work: UnitOfWork,
    *,
    fields: FieldsOf = no_fields,
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
    units = [(release.module_id, release) for release in releases_of(event, command, fields)]
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
