"""The steps of applying and decommissioning: each idempotent, each under a fence."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import shared.kernel.operation as operations
from function_apps.environments.model import documents
from function_apps.environments.model.environment import RuntimeEnvironment, evolve
from function_apps.environments.model.states import (
    Applied,
    ApplyBegan,
    ApplyFailed,
    Destroyed,
    DestroyFailed,
    EnvironmentEvent,
    PlanningBegan,
    State,
)
from function_apps.environments.ports import EnvironmentsApp
from function_apps.environments.use_cases.dossier import announce, partition_of, scope_of
from function_apps.environments.use_cases.planning import inputs_of, require_no_refusals
from function_apps.environments.use_cases.signals import drained_name
from shared.contracts.environments import ComputeTarget
from shared.contracts.values import Reason
from shared.durable.progress import Recorded, record, stored_operation
from shared.durable.steps import Step
from shared.infrastructure.port import Run, StackName
from shared.infrastructure.port import Step as RunStep
from shared.kernel.errors import NotFound
from shared.kernel.ids import parse_id
from shared.kernel.operation import Operation
from shared.messaging.cause import Cause
from shared.messaging.unit_of_work import Audited, Decision, Put, View


@dataclass(frozen=True)
class Work:
    """What an orchestration works on; `token` is the fence the environment gave it."""

    tenantId: str  # noqa: N815  as in the operation's input
    environmentId: str  # noqa: N815
    token: int
    traceId: str  # noqa: N815
    correlationId: str  # noqa: N815


@dataclass(frozen=True)
class ApprovedPlan:
    """What is to be applied, by the hash of its plan."""

    work: Work
    plan_hash: str


@dataclass(frozen=True)
class Piece:
    """One resource step of a run, and its place in it."""

    work: Work
    step: RunStep
    position: int
    total: int


@dataclass(frozen=True)
class Ending:
    """The end of a run that went well."""

    work: Work
    run_id: str


@dataclass(frozen=True)
class Failure:
    """Why a run ended early."""

    work: Work
    code: str
    message: str


@dataclass(frozen=True)
class Begun:
    """`goes_on` is False when the operation had ended, so that nothing is to be done."""

    goes_on: bool
    drained: bool = False


@dataclass(frozen=True)
class PlannedRun:
    """The steps that are still to do."""

    run_id: str
    steps: Sequence[RunStep]


@dataclass(frozen=True)
class PieceDone:
    """`cancelled`: someone asked for the operation to stop; `left` names what a destroy left."""

    cancelled: bool
    left: str | None = None


async def begin_work(work: Work, step: Step, app: EnvironmentsApp) -> Begun:
    """Enter Planning where the state has it; a decommissioning and an update are there already."""
    _, operation = await _load(work, step, app)
    if operation.is_terminal:
        return Begun(goes_on=False)

    def decide(environment: RuntimeEnvironment, operation: Operation) -> _Change:
        events = [PlanningBegan()] if environment.status is State.REQUESTED else []
        now = app.service.clock.now()
        return events, operations.begin_step(operation, "plan", now, percent=5)

    after = await _record(work, step, decide, app)
    return Begun(goes_on=True, drained=after.drained)


async def plan_apply(work: Work, step: Step, app: EnvironmentsApp) -> str:
    """Return the hash of a plan without refusals; nothing is changed."""
    environment, _ = await _load(work, step, app)
    preview = await app.engine.preview(StackName(environment.stack), inputs_of(environment))
    require_no_refusals(preview)
    return preview.plan_hash


async def begin_apply(approved: ApprovedPlan, step: Step, app: EnvironmentsApp) -> PlannedRun:
    """Record the plan as the stack's run; no resource is changed yet, so nothing to undo."""
    work = approved.work
    environment, _ = await _load(work, step, app)
    run = await app.engine.begin_update(
        StackName(environment.stack),
        inputs_of(environment),
        approved.plan_hash,
        step.fence(work.token),
    )

    def decide(environment: RuntimeEnvironment, operation: Operation) -> _Change:
        events = [ApplyBegan()] if environment.status is State.PLANNING else []
        now = app.service.clock.now()
        return events, operations.begin_step(operation, "apply", now, percent=10)

    await _record(work, step, decide, app)
    return _planned(run)


async def begin_destroy(work: Work, step: Step, app: EnvironmentsApp) -> PlannedRun:
    """Record the destruction of the stack, last resource first."""
    environment, _ = await _load(work, step, app)
    run = await app.engine.begin_destroy(
        StackName(environment.stack),
        step.fence(work.token),
        retain=environment.retain,
        unprotect=True,
    )

    def decide(_environment: RuntimeEnvironment, operation: Operation) -> _Change:
        now = app.service.clock.now()
        return [], operations.begin_step(operation, "destroy", now, percent=30)

    await _record(work, step, decide, app)
    return _planned(run)


async def apply_piece(piece: Piece, step: Step, app: EnvironmentsApp) -> PieceDone:
    """Bring one resource to where the plan has it; needs no undo, a later run starts from it."""
    environment, operation = await _load(piece.work, step, app)
    if operation.cancel_requested and environment.status is not State.DECOMMISSIONING:
        return PieceDone(cancelled=True)
    name = f"{piece.step.verb} {piece.step.name}"
    percent = 10 + 85 * piece.position // max(1, piece.total)

    def decide(_environment: RuntimeEnvironment, operation: Operation) -> _Change:
        now = app.service.clock.now()
        return [], operations.begin_step(operation, name, now, percent=percent)

    await _record(piece.work, step, decide, app, key=f"{piece.step.run[-12:]} {piece.step.index}")
    outcome = await app.engine.run_step(
        StackName(environment.stack), piece.step, step.fence(piece.work.token)
    )
    return PieceDone(cancelled=False, left=outcome.left.reason if outcome.left else None)


async def conclude_apply(ending: Ending, step: Step, app: EnvironmentsApp) -> None:
    """Record the stack's outputs and tell everyone that the environment is usable."""
    work = ending.work
    environment, _ = await _load(work, step, app)
    finished = await app.engine.finish(
        StackName(environment.stack), ending.run_id, step.fence(work.token)
    )
    targets = tuple(
        ComputeTarget.model_validate(each) for each in finished.outputs["computeTargets"]
    )
    facts = {name: str(value) for name, value in finished.outputs.get("facts", {}).items()}

    def decide(environment: RuntimeEnvironment, operation: Operation) -> _Change:
        result = {"environmentId": environment.environment_id}
        done = operations.succeed(operation, result, app.service.clock.now())
        return [Applied(targets, facts)], done

    await _record(work, step, decide, app)


async def await_drain(work: Work, step: Step, app: EnvironmentsApp) -> str:
    """Commit the name of the nudge that is waited for, then return it."""
    name = drained_name(step.operation_id)

    def decide(_environment: RuntimeEnvironment, operation: Operation) -> _Change:
        now = app.service.clock.now()
        begun = operations.begin_step(operation, "drain", now, percent=10)
        return [], operations.wait(begun, "drain", name, now)

    await _record(work, step, decide, app)
    return name


async def drain_seconds(work: Work, step: Step, app: EnvironmentsApp) -> float:
    """Return how long to wait for the drain: zero once it is done."""
    environment, _ = await _load(work, step, app)
    return 0.0 if environment.drained else app.rules.drain_timeout.total_seconds()


async def conclude_destroy(ending: Ending, step: Step, app: EnvironmentsApp) -> None:
    """Record what is gone; what was not asked to stay and is there makes it a failure."""
    work = ending.work
    environment, _ = await _load(work, step, app)
    finished = await app.engine.finish(
        StackName(environment.stack), ending.run_id, step.fence(work.token)
    )
    retained = [each.urn for each in finished.left if each.code in {"Retained", "HeldBy"}]
    stuck = [each for each in finished.left if each.code not in {"Retained", "HeldBy"}]

    def decide(environment: RuntimeEnvironment, operation: Operation) -> _Change:
        now = app.service.clock.now()
        if stuck:
            message = "; ".join(f"{each.name}: {each.reason}" for each in stuck)
            event = DestroyFailed(_reason("DestroyFailed", message), [each.urn for each in stuck])
            return [event], operations.fail(operation, "DestroyFailed", message, now)
        result = {"environmentId": environment.environment_id, "retained": retained}
        return [Destroyed(retained)], operations.succeed(operation, result, now)

    await _record(work, step, decide, app)


async def record_failure(failure: Failure, step: Step, app: EnvironmentsApp) -> None:
    """Record why the run ended and what is there that is not as planned."""
    environment, operation = await _load(failure.work, step, app)
    if operation.is_terminal:
        return
    remaining = await _remaining(environment, app)

    def decide(environment: RuntimeEnvironment, operation: Operation) -> _Change:
        now = app.service.clock.now()
        destroying = environment.status is State.DECOMMISSIONING
        reason = _reason(failure.code, failure.message)
        event: EnvironmentEvent = ApplyFailed(reason, remaining)
        if destroying:
            event = DestroyFailed(reason, remaining)
        if failure.code == "Cancelled":
            return [event], operations.cancel(operation, now)
        return [event], operations.fail(operation, failure.code, failure.message, now)

    await _record(failure.work, step, decide, app)


ACTIVITIES = (
    begin_work,
    plan_apply,
    begin_apply,
    begin_destroy,
    apply_piece,
    conclude_apply,
    await_drain,
    drain_seconds,
    conclude_destroy,
    record_failure,
)

REASON_MAX: Final = 500
"""A reason is a sentence for people; the log has the rest."""
_Change = tuple[Sequence[EnvironmentEvent], Operation]


async def _load(
    work: Work, step: Step, app: EnvironmentsApp
) -> tuple[RuntimeEnvironment, Operation]:
    document_id = documents.document_id(work.environmentId)
    partition = partition_of(
        scope_of(work.tenantId), parse_id(work.environmentId, "env").environment
    )
    view = await app.service.work.read(
        partition, document_id, operations.document_id(step.operation_id)
    )
    body = view.body(document_id)
    if body is None:
        raise NotFound(f"no environment {work.environmentId!r}")
    return documents.from_body(body), stored_operation(view, step.operation_id)


async def _record(
    work: Work,
    step: Step,
    change: Callable[[RuntimeEnvironment, Operation], _Change],
    app: EnvironmentsApp,
    *,
    key: str | None = None,
) -> RuntimeEnvironment:
    """Commit the events and the operation that *change* gives, once; return the environment."""
    scope = scope_of(work.tenantId)
    document_id = documents.document_id(work.environmentId)
    latest: dict[str, RuntimeEnvironment] = {}
    cause = Cause(scope.caller, "operation", step.operation_id, work.traceId, work.correlationId)

    def decide(view: View, operation: Operation) -> Recorded:
        body = view.body(document_id)
        assert body is not None, document_id
        before = documents.from_body(body)
        events, after_operation = change(before, operation)
        after = before
        for event in events:
            after = evolve(after, event, app.service.clock.now())
        latest["environment"] = after
        if after is before:
            return Recorded(Decision(), after_operation)
        decision = Decision(
            writes=[Put(document_id, documents.to_body(after))],
            outbox=announce(after, cause, app),
            audited=Audited(type(events[-1]).__name__, after.environment_id, after.status),
        )
        return Recorded(decision, after_operation)

    await record(
        app.service.work,
        step,
        decide,
        scope=scope,
        partition=partition_of(scope, parse_id(work.environmentId, "env").environment),
        reads=[document_id],
        cause=cause,
        key=key,
    )
    if "environment" in latest:
        return latest["environment"]
    return (await _load(work, step, app))[0]


async def _remaining(environment: RuntimeEnvironment, app: EnvironmentsApp) -> Sequence[str]:
    reading = await app.engine.read(StackName(environment.stack))
    found: Any = getattr(reading, "value", None)
    return [each.urn for each in found.resources] if found else []


def _reason(code: str, message: str) -> Reason:
    return Reason(code=code, message=message[:REASON_MAX])


def _planned(run: Run) -> PlannedRun:
    return PlannedRun(run.id, run.remaining)


def work_of(argument: Mapping[str, Any]) -> Work:
    """Return the work that an operation's input describes."""
    return Work(**argument)
