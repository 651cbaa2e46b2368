"""An environment that is being decommissioned: what is on its way is cancelled, what runs goes."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import shared.kernel.operation as operations
from function_apps.deployments.activities.changing import watch
from function_apps.deployments.activities.errands import observed
from function_apps.deployments.errors import NotCancellable
from function_apps.deployments.model import target as targets
from function_apps.deployments.model.target import Target
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.use_cases import interruptions
from function_apps.deployments.use_cases.dossier import DrainTicket, place, publish, writes
from function_apps.deployments.use_cases.surroundings import emptied
from shared.contracts.deployments import DeploymentReason, RuntimeEnvironmentDrained
from shared.durable.steps import Step
from shared.kernel.errors import Unavailable
from shared.kernel.observation import Absent, Present, Unknown
from shared.kernel.operation import Operation
from shared.messaging.cause import Cause
from shared.messaging.legacy_unit_of_work import NOTHING, Audited, Decision, View
from shared.surfaces.observed_state import LiveComponent
from shared.surfaces.port import Surface

PAGE = 25
_QUEUE_S = 120.0
"""For deployments on their way to roll back; environments waits ten minutes for the whole drain."""


@dataclass(frozen=True)
class DrainPlan:
    is_over: bool
    queue_s: float = _QUEUE_S


@dataclass(frozen=True)
class DrainPage:
    ticket: DrainTicket
    token: int


async def open_drain(ticket: DrainTicket, step: Step, app: DeploymentsApp) -> DrainPlan:
    """Begin the drain; end at once when it is done already, or another one is."""
    now = app.service.clock.now()
    is_over = False

    def decide(target: Target, operation: Operation) -> Decision:
        nonlocal is_over
        is_over = operation.is_terminal or target.drain != step.operation_id
        if is_over or operation.steps:
            return NOTHING
        begun = operations.begin_step(operation, "cancel deployments", now, percent=5)
        return Decision(
            writes=writes(operations_=[begun]),
            audited=Audited("OpenDrain", ticket.environment),
        )

    await _change(ticket, step, app, decide)
    return DrainPlan(is_over)


async def cancel_page(ticket: DrainTicket, step: Step, app: DeploymentsApp) -> int:
    """Cancel up to 25 deployments in the queue; return how many are still there."""
    view = await app.service.work.read(
        place(ticket.environment, ticket.scope), targets.document_id(ticket.environment)
    )
    target = targets.from_body(
        view.body(targets.document_id(ticket.environment)), ticket.environment
    )
    command = DeploymentReason(reason="its environment is being decommissioned")
    for claim in target.claims[:PAGE]:
        try:
            await interruptions.cancel(
                claim.deployment, command, scope=ticket.scope, cause=_cause(step), app=app
            )
        except NotCancellable:
            continue  # it ended between the read and now
    return len(target.claims)


async def drain_page(page: DrainPage, step: Step, app: DeploymentsApp) -> bool:
    """Take away up to 25 workloads of the tenant; return if none is left."""
    ticket = page.ticket
    for surface in app.surfaces.values():
        found = await _workloads(surface, ticket)
        for live in found[:PAGE]:
            fence = step.fence(page.token)
            if live.weights:
                await surface.set_weights(live.component, {}, fence)
            for revision in live.revisions:
                await surface.remove(live.component, revision.revision, fence)
        for live in found[:PAGE]:
            await _gone(surface, live, app)
        if len(found) > PAGE:
            return False
    return True


async def _workloads(surface: Surface, ticket: DrainTicket) -> list[LiveComponent]:
    match await surface.inventory(ticket.environment):
        case Present(found):
            return [live for live in found if live.component.tenant == ticket.tenant]
        case Absent():
            return []
        case Unknown(reason):
            raise Unavailable(f"{ticket.environment} cannot be listed: {reason}")


async def _gone(surface: Surface, live: LiveComponent, app: DeploymentsApp) -> None:
    async def is_gone() -> bool:
        return await observed(surface, live.component) is None

    if not await watch(is_gone, app):
        raise Unavailable(f"{live.component.module} is still draining")


async def take_over(ticket: DrainTicket, step: Step, app: DeploymentsApp) -> int:
    """Take, once, a token above those of all deployments, and return it."""
    token = 0

    def decide(target: Target, _operation: Operation) -> Decision:
        nonlocal token
        token = target.drain_token or target.fence + 1
        if target.drain_token:
            return NOTHING
        taken = replace(target, fence=token, drain_token=token)
        return Decision(
            writes=writes(target=taken), audited=Audited("TakeOver", ticket.environment)
        )

    await _change(ticket, step, app, decide)
    return token


async def tell_drained(ticket: DrainTicket, step: Step, app: DeploymentsApp) -> None:
    """Record that nothing is in force here, and tell environments; once."""
    now = app.service.clock.now()
    remaining: list[str] = []
    for surface in app.surfaces.values():
        remaining += [live.component.module for live in await _workloads(surface, ticket)]

    def decide(target: Target, operation: Operation) -> Decision:
        if operation.is_terminal:
            return NOTHING
        gone = sum(1 for state in target.modules.values() if state.revision)
        after = replace(emptied(target), revision=target.revision + 1, drain=None, drain_token=0)
        told = RuntimeEnvironmentDrained(
            aggregate_id=targets.document_id(ticket.environment),
            revision=after.revision,
            environment_id=ticket.environment,
            generation=ticket.generation,
            removed=gone,
            remaining=tuple(remaining[:100]),
        )
        project = target.environment.project if target.environment else None
        result = {"environmentId": ticket.environment, "removed": gone}
        return Decision(
            writes=writes(target=after, operations_=[operations.succeed(operation, result, now)]),
            outbox=[publish(told, app, ticket.scope, _cause(step), project)],
            audited=Audited("DrainEnvironment", ticket.environment, "Drained"),
        )

    await _change(ticket, step, app, decide)


def _cause(step: Step) -> Cause:
    trace = step.operation_id.rsplit("-", 1)[-1]
    return Cause(
        "service:environments", "operation", step.operation_id, f"trace-{trace}", f"corr-{trace}"
    )


DecideOnTarget = Callable[[Target, Operation], Decision]


async def _change(
    ticket: DrainTicket, step: Step, app: DeploymentsApp, decide: DecideOnTarget
) -> None:
    target_id = targets.document_id(ticket.environment)
    operation_id = operations.document_id(step.operation_id)

    def decide_on(view: View) -> Decision:
        body = view.body(operation_id)
        assert body is not None, operation_id
        target = targets.from_body(view.body(target_id), ticket.environment)
        return decide(target, operations.from_body(body))

    partition = place(ticket.environment, ticket.scope)
    await app.service.work.write(
        ticket.scope, partition, [target_id, operation_id], decide_on, _cause(step)
    )
