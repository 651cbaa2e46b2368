"""The steps that a run of either kind has: it begins, does its pieces, and may fail."""

from collections.abc import Sequence

import shared.kernel.operation as operations
from function_apps.environments.activities.errands import (
    Begun,
    Change,
    Failure,
    Piece,
    PieceDone,
    change,
    load,
    reason_of,
)
from function_apps.environments.model.environment import RuntimeEnvironment
from function_apps.environments.model.states import (
    ApplyFailed,
    DestroyFailed,
    EnvironmentEvent,
    PlanningBegan,
    State,
)
from function_apps.environments.ports import EnvironmentsApp
from function_apps.environments.use_cases.dossier import Errand
from shared.durable.steps import Step
from shared.infrastructure.port import StackName
from shared.kernel.observation import Absent, Present, Unknown
from shared.kernel.operation import Operation


async def begin_work(errand: Errand, step: Step, app: EnvironmentsApp) -> Begun:
    """Enter Planning where the state has it; a decommissioning and an update are there already."""
    _, operation = await load(errand, step, app)
    if operation.is_terminal:
        return Begun(goes_on=False)

    def decide(environment: RuntimeEnvironment, operation: Operation) -> Change:
        events = [PlanningBegan()] if environment.status is State.REQUESTED else []
        now = app.service.clock.now()
        return events, operations.begin_step(operation, "plan", now, percent=5)

    await change(errand, step, app, decide)
    return Begun(goes_on=True)


async def apply_piece(piece: Piece, step: Step, app: EnvironmentsApp) -> PieceDone:
    """Bring one resource to where the plan has it; needs no undo, a later run starts from it."""
    environment, operation = await load(piece.errand, step, app)
    if operation.cancel_requested and environment.status is not State.DECOMMISSIONING:
        return PieceDone(cancelled=True)
    name = f"{piece.step.verb} {piece.step.name}"
    percent = 10 + 85 * piece.position // max(1, piece.total)

    def decide(_environment: RuntimeEnvironment, operation: Operation) -> Change:
        now = app.service.clock.now()
        return [], operations.begin_step(operation, name, now, percent=percent)

    await change(piece.errand, step, app, decide, key=f"{piece.step.run[-12:]} {piece.step.index}")
    outcome = await app.engine.run_step(
        StackName(environment.stack), piece.step, step.fence(piece.errand.token)
    )
    return PieceDone(cancelled=False, left=outcome.left.reason if outcome.left else None)


async def record_failure(failure: Failure, step: Step, app: EnvironmentsApp) -> None:
    """Record why the run ended and what is there that is not as planned."""
    environment, operation = await load(failure.errand, step, app)
    if operation.is_terminal:
        return
    remaining = await _remaining(environment, app)

    def decide(environment: RuntimeEnvironment, operation: Operation) -> Change:
        now = app.service.clock.now()
        destroying = environment.status is State.DECOMMISSIONING
        reason = reason_of(failure.code, failure.message)
        event: EnvironmentEvent = ApplyFailed(reason, remaining)
        if destroying:
            event = DestroyFailed(reason, remaining)
        if failure.code == "Cancelled":
            return [event], operations.cancel(operation, now)
        return [event], operations.fail(operation, failure.code, failure.message, now)

    await change(failure.errand, step, app, decide)


async def _remaining(environment: RuntimeEnvironment, app: EnvironmentsApp) -> Sequence[str]:
    """Return what is there; what cannot be read is not guessed at."""
    match await app.engine.read(StackName(environment.stack)):
        case Present(stack):
            return [each.urn for each in stack.resources]
        case Absent() | Unknown():
            return []
