"""One attempt at an activity: its context, its answer, and the one way it commits a step.

The operation keeps the name of each activity that was recorded, with its result: the same one run
twice, late, after a crash, or by an orchestration that was started anew finds itself there and
changes nothing. What counts is the name, not the place in the order: a second run of an
orchestration may have fewer steps left to do.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from typing import Any, Final, Generic, Protocol, TypeVar

from pydantic import TypeAdapter

from shared.durable.operations import OPERATIONS
from shared.durable.orchestration import (
    Activity,
    argument_adapter,
    durable_name,
    result_adapter,
)
from shared.kernel.concurrency import isolate
from shared.kernel.context import Cause, Context, Scope
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Refused, Unavailable
from shared.kernel.fence import Fence
from shared.kernel.ids import OperationId, TenantId
from shared.kernel.operation import (
    CANCELED,
    SUPERSEDED,
    Operation,
    OperationAlreadyEnded,
    OperationSuperseded,
)
from shared.messaging.outbox import Audited, Row
from shared.messaging.service_parts import App, ServiceParts
from shared.messaging.unit_of_work import Decision, Remove, View
from shared.persistence.codec import DocumentCodec, Put
from shared.persistence.store import Partition, partition_of
from shared.telemetry.names import (
    ACTIVITY,
    ACTIVITY_RUN,
    ATTEMPT,
    CORRELATION,
    ENVIRONMENT,
    OPERATION,
    TENANT,
)
from shared.telemetry.trace_context import TraceParent, span_id_of, w3c_trace_id
from shared.telemetry.work import Span, Telemetry, Value

REASON_MAX: Final = 500
"""A reason is a sentence for people; the log has the rest."""
A = TypeVar("A", bound="Owned")
T = TypeVar("T")
_log = logging.getLogger(__name__)


class Owned(Protocol):
    """An aggregate that one operation at a time may change."""

    @property
    def operation_id(self) -> str: ...


class Fenced(Owned, Protocol):
    """One whose changes outside carry a token, which grows with each owner."""

    @property
    def fence_token(self) -> int: ...


@dataclass(frozen=True)
class ActivityContext(Context):
    """The context of one attempt at one activity of one operation.

    `ordinal` counts the calls of the orchestration from 1, `attempt` the tries of this call.
    `recorded` and `is_cancel_requested` are of the operation as it was when the attempt began.
    """

    operation_id: OperationId
    aggregate_id: str
    name: str
    ordinal: int
    attempt: int
    result: TypeAdapter[Any] = field(repr=False, compare=False)
    recorded: Mapping[str, Any] = field(default_factory=dict)
    is_cancel_requested: bool = False

    @property
    def partition(self) -> Partition:
        return partition_of(self.tenant, self.aggregate_id)

    def fence(self, aggregate: Fenced) -> Fence:
        """Return the fence under which this step writes outside, with the token of *aggregate*."""
        return self.fence_of(aggregate.fence_token)

    def fence_of(self, token: int) -> Fence:
        return Fence(token, self.operation_id, f"{self.ordinal:04d}-{self.name}")


async def perform(
    activity: Activity[Any], request: Mapping[str, Any], app: App[ServiceParts]
) -> Mapping[str, Any]:
    """Run one attempt at *activity* and return the answer that `call` understands."""
    name = durable_name(activity)
    ctx: ActivityContext | None = None
    try:
        ctx, operation = await _open(activity, request, app)
        if operation.is_terminal:
            return _answer_of_ended(ctx, operation)
        adapter = argument_adapter(activity)
        arguments = [adapter.validate_python(request["input"])] if adapter else []
        with _span(name, ctx, app.service.telemetry):
            result = await activity(*arguments, ctx, app)
    except Refused as refusal:
        _log.info("%s refused: %s", name, refusal.message)
        return _refused(refusal)
    except Unavailable as outage:
        _log.warning("%s found a dependency away: %s", name, outage.message)
        await _note_outage(ctx, app, outage.message[:REASON_MAX])
        return {"unavailable": {"message": outage.message, "retryAfterS": outage.retry_after_s}}
    except Exception:  # noqa: BLE001  the orchestration compensates for defects too
        # The text of a defect may hold anything: it is for the log, the answer reaches the tenant.
        _log.exception("%s failed in %s", name, request["operation"])
        return {"failed": {"message": f"quote the operation id {request['operation']}"}}
    if operation.outage is not None:
        await _note_outage(ctx, app, None)
    return {"result": ctx.result.dump_python(result, mode="json", by_alias=True)}


async def _open(
    activity: Activity[Any], request: Mapping[str, Any], app: App[ServiceParts]
) -> tuple[ActivityContext, Operation]:
    tenant, operation_id = TenantId(request["tenant"]), OperationId(request["operation"])
    operation = await app.service.work.load(OPERATIONS, operation_id, tenant)
    cause = Cause(
        actor=operation.owner,
        kind="operation",
        reference=operation_id,
        trace_id=operation.trace_id,
        correlation_id=operation.correlation_id,
        causation_id=operation.causation_id,
    )
    ctx = ActivityContext(
        scope=Scope(tenant, operation.owner),
        cause=cause,
        clock=app.service.clock,
        entropy=app.service.entropy,
        operation_id=operation_id,
        aggregate_id=request["aggregate"],
        name=activity.__name__,
        ordinal=request["ordinal"],
        attempt=request["attempt"],
        result=result_adapter(activity),
        recorded=operation.recorded,
        is_cancel_requested=operation.cancel_requested,
    )
    return ctx, operation


def _span(name: str, ctx: ActivityContext, telemetry: Telemetry) -> Span:
    """Return the span of this attempt, below the start of its orchestration."""
    trace_id = ctx.cause.trace_id
    attributes: dict[str, Value] = {
        TENANT: ctx.tenant,
        OPERATION: ctx.operation_id,
        CORRELATION: ctx.cause.correlation_id,
        ACTIVITY: name,
        ATTEMPT: ctx.attempt,
    }
    parent = ""
    if telemetry.is_on:
        attributes[ENVIRONMENT] = f"env-{ctx.partition.environment}"
        parent = str(TraceParent(w3c_trace_id(trace_id), span_id_of(ctx.operation_id)))
    return telemetry.span(ACTIVITY_RUN, name, trace_id, attributes, parent=parent)


async def _note_outage(
    ctx: ActivityContext | None, app: App[ServiceParts], outage: str | None
) -> None:
    """Record in the operation what its step has found away, else it stands still without a word.

    Nothing depends on it: where *ctx* is None the store itself was away.
    """
    if ctx is None:
        return
    document_id, operation_id = OPERATIONS.document_id(ctx.operation_id), ctx.operation_id

    def decide(view: View) -> Decision[None]:
        operation = view.get(OPERATIONS, operation_id)
        after = operation.with_outage(outage)
        return Decision(None, [OPERATIONS.put(after)] if after != operation else [])

    noting = app.service.work.commit(ctx, ctx.partition, [document_id], decide)
    await isolate(noting, f"the outage of {operation_id} is not noted")


def _answer_of_ended(ctx: ActivityContext, operation: Operation) -> Mapping[str, Any]:
    """Return the recorded result where this activity itself ended the operation."""
    if ctx.name == operation.ended_by:
        return {"result": operation.recorded[ctx.name]}
    return _refused(_ended(operation))


def _ended(operation: Operation) -> Refused:
    error = operation.error or {}
    if error.get("code") == SUPERSEDED:
        return Refused(str(error.get("message")), code=SUPERSEDED)
    return OperationAlreadyEnded(operation)


def _refused(refusal: Refused) -> Mapping[str, Any]:
    reason = {"code": refusal.code, "message": refusal.message, "target": refusal.target}
    return {"refused": reason}


@dataclass(frozen=True)
class Step(Generic[T]):
    """What a step decides: its result, the operation after it, and the aggregate's writes."""

    value: T
    operation: Operation
    writes: Sequence[Put | Remove] = ()
    outbox: Sequence[Row] = ()
    audited: Audited | None = None


def require_ownership(aggregate: Owned, ctx: ActivityContext) -> None:
    """Refuse a step of an operation that does not hold *aggregate*.

    Raises:
        OperationSuperseded: another operation has taken it over.
    """
    if aggregate.operation_id != ctx.operation_id:
        raise OperationSuperseded(ctx.operation_id, aggregate.operation_id)


def require_not_canceled(ctx: ActivityContext) -> None:
    """Refuse to begin work that a caller has canceled.

    Raises:
        Refused: with the code `OperationCanceled`.
    """
    if ctx.is_cancel_requested:
        raise Refused("canceled by a caller", code=CANCELED)


async def load_owned(codec: DocumentCodec[A], ctx: ActivityContext, app: App[ServiceParts]) -> A:
    """Return the aggregate of *ctx*, for which its operation may change the world.

    Raises:
        OperationSuperseded: another operation has taken it over.
        NotFound: the refusal of *codec*.
    """
    aggregate = await app.service.work.load(codec, ctx.aggregate_id, ctx.tenant)
    require_ownership(aggregate, ctx)
    return aggregate


async def commit_step(
    ctx: ActivityContext,
    app: App[ServiceParts],
    codec: DocumentCodec[A],
    decide: Callable[[A, Operation], Step[T]],
    *,
    is_recorded: bool = True,
) -> T:
    """Commit the aggregate, a document of *codec*, and the operation, as `commit_documents`."""

    def load(view: View) -> A:
        return view.get(codec, ctx.aggregate_id)

    reads = [codec.document_id(ctx.aggregate_id)]
    return await commit_documents(ctx, app, reads, load, decide, is_recorded=is_recorded)


async def commit_documents(
    ctx: ActivityContext,
    app: App[ServiceParts],
    reads: Sequence[str],
    load: Callable[[View], A],
    decide: Callable[[A, Operation], Step[T]],
    *,
    is_recorded: bool = True,
) -> T:
    """Commit the aggregate and the operation as *decide* says, once; return the step's value.

    A step is recorded in the operation, with its value, where the documents do not show that it was
    done. A repeat of a recorded one returns that value, which is the activity's own result, or None
    where there is none. What is not recorded decides each time by the documents.

    Raises:
        OperationSuperseded: another operation holds the aggregate.
        OperationAlreadyEnded: the operation has ended.
    """

    def decide_once(view: View) -> Decision[T]:
        operation = view.get(OPERATIONS, ctx.operation_id)
        if is_recorded and ctx.name in operation.recorded:
            return Decision(_from_recorded(ctx, operation.recorded[ctx.name]))
        if operation.is_terminal:
            raise _ended(operation)
        aggregate = load(view)
        require_ownership(aggregate, ctx)
        step = decide(aggregate, operation)
        after = step.operation
        # The answer to a repeat of a step that ends its operation is what was recorded.
        assert is_recorded or not after.is_terminal, ctx.name
        if is_recorded:
            recorded = {**operation.recorded, ctx.name: _to_recorded(ctx, step.value)}
            ended_by = ctx.name if after.is_terminal else None
            after = replace(after, recorded=recorded, ended_by=ended_by)
        operation_write = [OPERATIONS.put(after)] if after != operation else []
        return Decision(step.value, [*step.writes, *operation_write], step.outbox, step.audited)

    ids = [*reads, OPERATIONS.document_id(ctx.operation_id)]
    outcome = await app.service.work.commit(ctx, ctx.partition, ids, decide_once)
    return outcome.value


def _to_recorded(ctx: ActivityContext, value: Any) -> Any:
    if value is None:
        return None
    # A value of another type would be found only at a repeat: it fails here, at the first try.
    return ctx.result.dump_python(value, mode="json", by_alias=True, warnings="error")


def _from_recorded(ctx: ActivityContext, recorded: Any) -> Any:
    return None if recorded is None else ctx.result.validate_python(recorded)


@dataclass(frozen=True)
class FailureReason:
    """Why an orchestration does not go on: a code of `docs/errors/` and a sentence."""

    code: str
    message: str
