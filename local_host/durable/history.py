"""History events as the Durable extension sends them to the library, and how they are kept.

An event is a JSON object whose keys are those of DurableTask.Core. Events of one episode are kept
as one piece of text, so that an episode appends and nothing is ever encoded again.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any, Final

Event = dict[str, Any]


class EventType(IntEnum):
    """Numbers as in DurableTask.Core; only what an embedded history can hold."""

    EXECUTION_STARTED = 0
    EXECUTION_COMPLETED = 1
    EXECUTION_TERMINATED = 3
    TASK_SCHEDULED = 4
    TASK_COMPLETED = 5
    TASK_FAILED = 6
    SUB_ORCHESTRATION_CREATED = 7
    SUB_ORCHESTRATION_COMPLETED = 8
    SUB_ORCHESTRATION_FAILED = 9
    TIMER_CREATED = 10
    TIMER_FIRED = 11
    ORCHESTRATOR_STARTED = 12
    ORCHESTRATOR_COMPLETED = 13
    EVENT_SENT = 14
    EVENT_RAISED = 15
    EXECUTION_SUSPENDED = 19
    EXECUTION_RESUMED = 20
    EXECUTION_REWOUND = 21


NAMES: Final = {
    EventType.EXECUTION_STARTED: "ExecutionStarted",
    EventType.EXECUTION_COMPLETED: "ExecutionCompleted",
    EventType.EXECUTION_TERMINATED: "ExecutionTerminated",
    EventType.TASK_SCHEDULED: "TaskScheduled",
    EventType.TASK_COMPLETED: "TaskCompleted",
    EventType.TASK_FAILED: "TaskFailed",
    EventType.SUB_ORCHESTRATION_CREATED: "SubOrchestrationInstanceCreated",
    EventType.SUB_ORCHESTRATION_COMPLETED: "SubOrchestrationInstanceCompleted",
    EventType.SUB_ORCHESTRATION_FAILED: "SubOrchestrationInstanceFailed",
    EventType.TIMER_CREATED: "TimerCreated",
    EventType.TIMER_FIRED: "TimerFired",
    EventType.ORCHESTRATOR_STARTED: "OrchestratorStarted",
    EventType.ORCHESTRATOR_COMPLETED: "OrchestratorCompleted",
    EventType.EVENT_SENT: "EventSent",
    EventType.EVENT_RAISED: "EventRaised",
    EventType.EXECUTION_SUSPENDED: "ExecutionSuspended",
    EventType.EXECUTION_RESUMED: "ExecutionResumed",
    EventType.EXECUTION_REWOUND: "ExecutionRewound",
}
"""As the status endpoint shows them."""

UNSCHEDULED: Final = -1
"""EventId of everything that schedules nothing."""


def timestamp(instant: datetime) -> str:
    """Return *instant* with seven fraction digits, as .NET writes it."""
    at = instant if instant.tzinfo is UTC else instant.astimezone(UTC)
    return f"{at.isoformat(timespec='microseconds')[:26]}0Z"


def instant(text: str) -> datetime:
    """Return the aware UTC instant of a timestamp or of a timer's `fireAt`."""
    parsed = datetime.fromisoformat(text)
    return parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)


def event(kind: EventType, at: str, **fields: Any) -> Event:
    """Return a new event that schedules nothing and has not been played."""
    return {
        "EventType": int(kind),
        "EventId": UNSCHEDULED,
        "IsPlayed": False,
        "Timestamp": at,
        **fields,
    }


def mark_played(events: Iterable[Event]) -> None:
    """Mark *events* as played: they belong to an earlier episode, as all stored events do.

    OrchestratorStarted never counts as played.
    """
    for item in events:
        if item["EventType"] != EventType.ORCHESTRATOR_STARTED:
            item["IsPlayed"] = True


def encode(events: Sequence[Event]) -> str:
    """Return *events* as a piece of a JSON array, without its brackets."""
    return json.dumps(events, separators=(",", ":"))[1:-1]


def decode(pieces: Iterable[str]) -> list[Event]:
    """Return the events of *pieces*, in order."""
    events: list[Event] = json.loads(f"[{','.join(pieces)}]")
    return events
