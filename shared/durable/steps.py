"""What an orchestration is written with: `call`, `call_all`, `wait_for`, and the step it makes.

No Azure here: a context is whatever offers the few members of `azure.durable_functions`'
`DurableOrchestrationContext` that are named in `OrchestrationContext`, so the host, the simulator
and the tests drive the same generators. Name, encoding, retry policy and fencing of a step are
decided in this one place.
"""

import logging
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final, Protocol, TypeVar, get_args, get_type_hints

from pydantic import TypeAdapter

from shared.kernel.errors import Refused, Unavailable
from shared.kernel.fence import Fence

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741  input
R = TypeVar("R")


class StepFailed(Exception):
    """An activity ended with a defect; the orchestration compensates, the log has the stack."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name
        self.message = message


Steps = Generator[Any, Any, T]
"""An orchestration, or a part of one: yields Durable tasks, returns T."""

ATTEMPTS_MAX: Final = 5
_log = logging.getLogger(__name__)
_FIRST_BACKOFF_S: Final = 2.0
_BACKOFF_MAX_S: Final = 120.0


class OrchestrationContext(Protocol):
    """The members of `DurableOrchestrationContext` (azure-functions-durable 1.7) that are used."""

    instance_id: str
    current_utc_datetime: datetime

    def get_input(self) -> Any: ...

    def call_activity(self, name: str, input_: Any = None) -> Any: ...

    def create_timer(self, fire_at: datetime) -> Any: ...

    def wait_for_external_event(self, name: str) -> Any: ...

    def task_any(self, tasks: list[Any]) -> Any: ...

    def task_all(self, tasks: list[Any]) -> Any: ...


@dataclass(frozen=True)
class Step:
    """One attempt at one activity of one operation; equal steps are the same piece of work.

    `ordinal` counts the calls of the orchestration from 1, `attempt` the tries of this call.
    """

    operation_id: str
    name: str
    ordinal: int
    attempt: int

    @property
    def key(self) -> str:
        """Return the name of this step in fences and logs, the same for every attempt."""
        return f"{self.ordinal:04d}-{self.name}"

    def fence(self, token: int) -> Fence:
        """Return the fence under which this step writes; *token* is what its aggregate gave out."""
        return Fence(token, self.operation_id, self.key)


Activity = Callable[..., Awaitable[R]]
"""`async def name(input, step: Step, app) -> R`; refusals and outages are raised as such."""


@dataclass
class Story:
    """One run of an orchestration: its context and the count of steps so far."""

    context: OrchestrationContext
    calls: int = 0

    @property
    def operation_id(self) -> str:
        return self.context.instance_id

    @property
    def now(self) -> datetime:
        """Return the instant of this episode; the same at every replay."""
        return self.context.current_utc_datetime

    def next_ordinal(self) -> int:
        self.calls += 1
        return self.calls


Orchestration = Callable[[Story], Steps[Any]]
OrchestrationTable = Mapping[Orchestration, int]
"""A service's orchestrations, each with its version."""


def durable_name(function: Callable[..., Any]) -> str:
    """Return the Durable name: the service's package and the function's own name."""
    return f"{function.__module__.split('.')[1]}_{function.__name__}"


@cache
def input_adapter(activity: Callable[..., Any]) -> TypeAdapter[Any]:
    """Return the codec of the first parameter, by its annotation."""
    hints = get_type_hints(activity)
    first = next(name for name in hints if name != "return")
    return TypeAdapter(hints[first])


@cache
def result_adapter(activity: Callable[..., Any]) -> TypeAdapter[Any]:
    """Return the codec of the result, by its annotation."""
    return TypeAdapter(get_type_hints(activity)["return"])


@cache
def outcome_adapter(orchestration: Callable[..., Any]) -> TypeAdapter[Any]:
    """Return the codec of what an orchestration returns: the T of its `Steps[T]`."""
    return TypeAdapter(get_args(get_type_hints(orchestration)["return"])[2])


def call(story: Story, activity: Activity[R], argument: Any) -> Steps[R]:
    """Run *activity* once in effect, at most five times in fact.

    An outage is tried again after 2 s, 4 s, … up to 2 min, on durable timers.

    Raises:
        Refused: the activity refused; there was no second try.
        Unavailable: the dependency was away for all five attempts.
        StepFailed: the activity has a defect.
    """
    results = yield from call_all(story, activity, [argument])
    return results[0]


def call_all(story: Story, activity: Activity[R], arguments: Sequence[Any]) -> Steps[list[R]]:
    """Run *activity* for each of *arguments* at once; return the results in their order.

    All are finished before a refusal or an outage of any is raised.
    """
    if not arguments:
        return []
    name = durable_name(activity)
    ordinals = [story.next_ordinal() for _ in arguments]
    answers: dict[int, Mapping[str, Any]] = {}
    for attempt in range(1, ATTEMPTS_MAX + 1):
        open_indexes = [i for i in range(len(arguments)) if "unavailable" in answers.get(i, _ASK)]
        tasks = [
            story.context.call_activity(
                name,
                {
                    "input": input_adapter(activity).dump_python(
                        arguments[i], mode="json", by_alias=True
                    ),
                    "operation": story.operation_id,
                    "ordinal": ordinals[i],
                    "attempt": attempt,
                },
            )
            for i in open_indexes
        ]
        replies = yield story.context.task_all(tasks)
        answers.update(zip(open_indexes, replies, strict=True))
        if not any("unavailable" in answer for answer in answers.values()):
            break
        if attempt < ATTEMPTS_MAX:
            yield from sleep(story, min(_BACKOFF_MAX_S, _FIRST_BACKOFF_S * 2 ** (attempt - 1)))
    return [_result(activity, answers[i]) for i in range(len(arguments))]


_ASK: Final[Mapping[str, Any]] = {"unavailable": True}


async def perform(
    activity: Activity[Any], request: Mapping[str, Any], app: Any
) -> Mapping[str, Any]:
    """Run one attempt at *activity* and return the answer that `call` understands."""
    name = durable_name(activity)
    step = Step(request["operation"], name, request["ordinal"], request["attempt"])
    try:
        argument = input_adapter(activity).validate_python(request["input"])
        result = await activity(argument, step, app)
    except Refused as refusal:
        _log.info("%s refused: %s", name, refusal.message)
        reason = {"code": refusal.code, "message": refusal.message, "target": refusal.target}
        return {"refused": reason}
    except Unavailable as outage:
        _log.warning("%s found a dependency away: %s", name, outage.message)
        return {"unavailable": {"message": outage.message}}
    except Exception as defect:  # noqa: BLE001  the orchestration compensates for defects too
        _log.exception("%s failed in step %s of %s", name, step.key, step.operation_id)
        return {"failed": {"message": f"{type(defect).__name__}: {defect}"}}
    value = result_adapter(activity).dump_python(result, mode="json", by_alias=True)
    return {"result": value}


def _result(activity: Activity[R], answer: Mapping[str, Any]) -> R:
    if "refused" in answer:
        refusal = answer["refused"]
        raise Refused(refusal["message"], code=refusal["code"], target=refusal["target"])
    if "unavailable" in answer:
        raise Unavailable(answer["unavailable"]["message"])
    if "failed" in answer:
        raise StepFailed(durable_name(activity), answer["failed"]["message"])
    result: R = result_adapter(activity).validate_python(answer["result"])
    return result


def sleep(story: Story, delay_s: float) -> Steps[None]:
    """Wait *delay_s* seconds on a durable timer."""
    yield story.context.create_timer(story.now + timedelta(seconds=delay_s))


def wait_for(story: Story, wait_name: str, until: datetime) -> Steps[bool]:
    """Wait for the nudge *wait_name*, at the longest *until*; return whether it came.

    The name must be unique to this wait and committed before it, so that whoever commits later
    raises it. Read state again whatever this returns: a nudge can be lost, and may be early.
    """
    nudge = story.context.wait_for_external_event(wait_name)
    alarm = story.context.create_timer(until)
    first = yield story.context.task_any([nudge, alarm])
    if first == alarm:
        return False
    # An uncancelled timer would keep the instance running until it fires.
    alarm.cancel()
    return True
