"""The words of an orchestration: `call`, `call_all`, `wait_for`, `sleep`.

No Azure here: a context is any object with the few members of `azure.durable_functions`'
`DurableOrchestrationContext` that `DurableContext` names, so the host, the simulator and the tests
drive the same generators. Name, encoding and retry policy of a step are decided in this one place.
"""

from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache, cached_property
from typing import Any, Final, Protocol, TypeVar, get_args, get_type_hints

from pydantic import TypeAdapter

from shared.durable.operations import OperationInput
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Refused, Unavailable
from shared.kernel.operation import SUPERSEDED, OperationAlreadyEnded

T = TypeVar("T")
R = TypeVar("R")

ATTEMPTS_MAX: Final = 5
FAIL_OPERATION: Final = "fail_operation"
"""The activity of every service that ends an operation whose orchestration cannot go on."""
CONTEXT: Final = "ctx"
"""The name of the context parameter of activities; a parameter before it is the argument."""
_FIRST_BACKOFF_S: Final = 2.0
_BACKOFF_MAX_S: Final = 120.0
_ENDED: Final = frozenset({SUPERSEDED, OperationAlreadyEnded.code})


class ActivityFailed(Exception):
    """An activity ended with a defect; the orchestration compensates, the log has the stack."""

    code = "ActivityFailed"

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name
        self.message = f"{name} failed: something went wrong on our side; {message}"


class OperationEnded(Exception):
    """The operation ended from outside: superseded, canceled or abandoned. There is nothing to do.

    No orchestration catches it; `supervise` does.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


Orchestration = Generator[Any, Any, T]
"""An orchestration, or a part of one: yields Durable tasks, returns T."""
Activity = Callable[..., Awaitable[R]]
"""`async def name([argument,] ctx: ActivityContext, app) -> R`; raises refusals and outages."""

UndoTable = Mapping[Activity[Any], "Activity[Any] | str"]
"""Every activity of an orchestration, with the one that undoes it or why it needs no undo."""


class DurableContext(Protocol):
    """The members of `DurableOrchestrationContext` (azure-functions-durable 1.7) that are used."""

    instance_id: str
    current_utc_datetime: datetime

    def get_input(self) -> Any: ...

    def call_activity(self, name: str, input_: Any = None) -> Any: ...

    def create_timer(self, fire_at: datetime) -> Any: ...

    def wait_for_external_event(self, name: str) -> Any: ...

    def task_any(self, tasks: list[Any]) -> Any: ...

    def task_all(self, tasks: list[Any]) -> Any: ...


@dataclass
class OrchestrationContext:
    """One run of an orchestration: its Durable context and the count of steps so far."""

    durable: DurableContext
    calls: int = 0

    @property
    def operation_id(self) -> str:
        return self.durable.instance_id

    @cached_property
    def input(self) -> OperationInput:
        return OperationInput.read(self.durable.get_input())

    @property
    def now(self) -> datetime:
        """Return the instant of this episode; the same at every replay."""
        return self.durable.current_utc_datetime

    def next_ordinal(self) -> int:
        self.calls += 1
        return self.calls


Orchestrator = Callable[[OrchestrationContext], Orchestration[Any]]
OrchestratorTable = Mapping[Orchestrator, int]
"""A service's orchestrations, each with its version."""


def service_of(function: Callable[..., Any]) -> str:
    """Return the package name of the service that *function* belongs to."""
    return function.__module__.split(".")[1]


def durable_name(function: Callable[..., Any]) -> str:
    """Return the Durable name: the service's package and the function's own name."""
    return f"{service_of(function)}_{function.__name__}"


@cache
def argument_adapter(activity: Callable[..., Any]) -> TypeAdapter[Any] | None:
    """Return the codec of the parameter before the context, by its annotation; None without one."""
    hints = get_type_hints(activity)
    first = next(name for name in hints if name != "return")
    return None if first == CONTEXT else TypeAdapter(hints[first])


@cache
def result_adapter(activity: Callable[..., Any]) -> TypeAdapter[Any]:
    """Return the codec of the result, by its annotation."""
    return TypeAdapter(get_type_hints(activity)["return"])


@cache
def outcome_adapter(orchestrator: Callable[..., Any]) -> TypeAdapter[Any]:
    """Return the codec of an orchestration's return value: the T of its `Orchestration[T]`."""
    return TypeAdapter(get_args(get_type_hints(orchestrator)["return"])[2])


def call(
    context: OrchestrationContext, activity: Activity[R], argument: Any = None
) -> Orchestration[R]:
    """Run *activity* once in effect, at most five times in fact.

    An outage is tried again after 2, 4, 8 and 16 s, on durable timers; later where the dependency
    asks for it, by 2 min at the most.

    Raises:
        OperationEnded: the operation has ended from outside.
        Refused: the activity refused; there was no second try.
        Unavailable: the dependency was away for all five attempts.
        ActivityFailed: the activity has a defect.
    """
    results = yield from call_all(context, activity, [argument])
    return results[0]


def call_all(
    context: OrchestrationContext, activity: Activity[R], arguments: Sequence[Any]
) -> Orchestration[list[R]]:
    """Run *activity* for each of *arguments* at once; return the results in their order.

    All are finished before a refusal or an outage of any is raised.
    """
    if not arguments:
        return []
    adapter = argument_adapter(activity)
    encoded = [
        adapter.dump_python(argument, mode="json", by_alias=True) if adapter else None
        for argument in arguments
    ]
    answers = yield from _answers(context, durable_name(activity), encoded)
    return [_result(activity, answer) for answer in answers]


def _answers(
    context: OrchestrationContext, name: str, arguments: Sequence[Any]
) -> Orchestration[list[Mapping[str, Any]]]:
    ordinals = [context.next_ordinal() for _ in arguments]
    answers: dict[int, Mapping[str, Any]] = {}
    for attempt in range(1, ATTEMPTS_MAX + 1):
        indexes = [i for i in range(len(arguments)) if _is_unavailable(answers.get(i))]
        tasks = [
            context.durable.call_activity(
                name,
                {
                    "input": arguments[i],
                    "operation": context.operation_id,
                    "tenant": context.input.tenant_id,
                    "aggregate": context.input.aggregate_id,
                    "ordinal": ordinals[i],
                    "attempt": attempt,
                },
            )
            for i in indexes
        ]
        replies = yield context.durable.task_all(tasks)
        answers.update(zip(indexes, replies, strict=True))
        if not any(_is_unavailable(answer) for answer in answers.values()):
            break
        if attempt < ATTEMPTS_MAX:
            asked_s = max(map(_retry_after_s, answers.values()))
            delay_s = max(asked_s, _FIRST_BACKOFF_S * 2 ** (attempt - 1))
            yield from sleep(context, min(_BACKOFF_MAX_S, delay_s))
    return [answers[i] for i in range(len(arguments))]


def _is_unavailable(answer: Mapping[str, Any] | None) -> bool:
    return answer is None or "unavailable" in answer


def _retry_after_s(answer: Mapping[str, Any]) -> float:
    """Return when a dependency that is away asks to be tried again; histories may lack it."""
    return float(answer.get("unavailable", {}).get("retryAfterS", 0.0))


def _result(activity: Activity[R], answer: Mapping[str, Any]) -> R:
    if "refused" in answer:
        refusal = answer["refused"]
        if refusal["code"] in _ENDED:
            raise OperationEnded(refusal["code"])
        raise Refused(refusal["message"], code=refusal["code"], target=refusal["target"])
    if "unavailable" in answer:
        message = answer["unavailable"]["message"]
        raise Unavailable(message, retry_after_s=_retry_after_s(answer))
    if "failed" in answer:
        raise ActivityFailed(durable_name(activity), answer["failed"]["message"])
    result: R = result_adapter(activity).validate_python(answer["result"])
    return result


def sleep(context: OrchestrationContext, delay_s: float) -> Orchestration[None]:
    """Wait *delay_s* seconds on a durable timer."""
    yield context.durable.create_timer(context.now + timedelta(seconds=delay_s))


def wait_for(context: OrchestrationContext, wait_name: str, until: datetime) -> Orchestration[bool]:
    """Wait for the external event *wait_name*, at the longest *until*; return whether it came.

    The name must be unique to this wait and committed before it, so that whoever commits later
    raises it. Read state again in both cases: an event can be lost, and may be early.
    """
    event = context.durable.wait_for_external_event(wait_name)
    timer = context.durable.create_timer(until)
    first = yield context.durable.task_any([event, timer])
    if first == timer:
        return False
    # A timer that is not canceled would keep the instance running until it fires.
    timer.cancel()
    return True


@dataclass(frozen=True)
class Ending:
    """How an instance ended: with the *outcome* of its orchestration, or early with a *code*."""

    outcome: Any = None
    code: str = ""


def supervise(orchestrator: Orchestrator, context: OrchestrationContext) -> Orchestration[Ending]:
    """Run *orchestrator*; when it cannot go on, end its operation with the reason.

    An operation that ended from outside ends the instance without a write. After an outage the
    operation stays: recovery starts it again from stored state. A defect of the orchestration ends
    the operation too, and is raised: the host has the stack.
    """
    try:
        return Ending((yield from orchestrator(context)))
    except OperationEnded as ended:
        return Ending(code=ended.code)
    except Unavailable as outage:
        return Ending(code=outage.code)
    except (Refused, ActivityFailed) as problem:
        yield from _fail(orchestrator, context, problem.code, problem.message)
        return Ending(code=problem.code)
    except Exception:
        # Else recovery would start it again every two minutes, into the same defect.
        message = f"quote the operation id {context.operation_id}"
        failed = ActivityFailed(durable_name(orchestrator), message)
        yield from _fail(orchestrator, context, failed.code, failed.message)
        raise


def _fail(
    orchestrator: Orchestrator, context: OrchestrationContext, code: str, message: str
) -> Orchestration[None]:
    name = f"{service_of(orchestrator)}_{FAIL_OPERATION}"
    yield from _answers(context, name, [{"code": code, "message": message}])
