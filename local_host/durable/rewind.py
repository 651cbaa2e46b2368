"""Rewinds a failed instance to where it failed.

Failures and the calls that they answered are removed from history, so the replay makes those calls
again; a failed sub-orchestration is rewound itself and answers its parent a second time.
"""

import json
import sqlite3
from dataclasses import replace

from local_host.durable import history, records
from local_host.durable.history import Event, EventType, event
from local_host.durable.records import Instance, Message


def rewind(
    connection: sqlite3.Connection, hub: str, instance: Instance, reason: str, at: str
) -> list[str]:
    """Rewind *instance*, which has failed, and its failed children; return the ids of all."""
    events = history.decode(records.history(connection, hub, instance.id))
    failed_calls = _failed(events, EventType.TASK_FAILED)
    failed_children = _failed(events, EventType.SUB_ORCHESTRATION_FAILED)
    children = _failed_children(connection, hub, events, failed_children)
    again = failed_calls | (failed_children - set(children))
    kept = [item for item in events if not _is_dropped(item, again, failed_children)]
    records.clear_history(connection, hub, instance.id)
    records.append_history(connection, hub, instance.id, 0, history.encode(kept))
    after = replace(instance, status=records.RUNNING, output=None, updated_at=at, open_calls=1)
    records.update(connection, hub, instance.execution, after)
    answer = event(EventType.EXECUTION_REWOUND, at, Reason=reason)
    records.send(connection, hub, Message(instance.id, instance.execution, answer))
    rewound = [instance.id]
    for child in children.values():
        rewound.extend(rewind(connection, hub, child, reason, at))
    return rewound


def _failed(events: list[Event], kind: EventType) -> set[int]:
    return {item["TaskScheduledId"] for item in events if item["EventType"] == kind}


def _failed_children(
    connection: sqlite3.Connection, hub: str, events: list[Event], failed: set[int]
) -> dict[int, Instance]:
    """Return the children that failed, still are there as such, and belong to this history."""
    children = {}
    for item in events:
        if (
            item["EventType"] == EventType.SUB_ORCHESTRATION_CREATED
            and item["EventId"] in failed
            and (child := records.find(connection, hub, item["InstanceId"])) is not None
            and child.status == records.FAILED
            and child.parent is not None
            and json.loads(child.parent)["reference"]["TaskScheduleId"] == item["EventId"]
        ):
            children[item["EventId"]] = child
    return children


def _is_dropped(item: Event, again: set[int], failed_children: set[int]) -> bool:
    match item["EventType"]:
        case EventType.TASK_FAILED | EventType.EXECUTION_COMPLETED:
            return True
        case EventType.SUB_ORCHESTRATION_FAILED:
            return item["TaskScheduledId"] in failed_children
        case EventType.TASK_SCHEDULED | EventType.SUB_ORCHESTRATION_CREATED:
            return item["EventId"] in again
        case _:
            return False
