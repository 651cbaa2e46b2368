"""The status object of an instance, as the management endpoints return it."""

import json
from collections.abc import Sequence
from typing import Any, Final

from local_host.durable.history import NAMES, Event, EventType
from local_host.durable.instance import completes
from local_host.durable.records import Instance

_BORDERS: Final = (EventType.ORCHESTRATOR_STARTED, EventType.ORCHESTRATOR_COMPLETED)
_SCHEDULING: Final = (
    EventType.TASK_SCHEDULED,
    EventType.SUB_ORCHESTRATION_CREATED,
    EventType.TIMER_CREATED,
)
_SHOWN: Final = ("Name", "FireAt", "Reason", "Details", "OrchestrationStatus", "InstanceId")


def status_json(
    instance: Instance,
    events: Sequence[Event] | None = None,
    *,
    show_input: bool = True,
    show_history_output: bool = False,
) -> dict[str, Any]:
    """Return the status object; with *events*, its history as well."""
    shown = {
        "name": instance.name,
        "instanceId": instance.id,
        "runtimeStatus": instance.status,
        "input": _parsed(instance.input) if show_input else None,
        "customStatus": _parsed(instance.custom_status),
        "output": _parsed(instance.output),
        "createdTime": _whole_seconds(instance.created_at),
        "lastUpdatedTime": _whole_seconds(instance.updated_at),
    }
    if events is not None:
        shown["historyEvents"] = _folded(events, show_output=show_history_output)
    return shown


def _parsed(text: str | None) -> Any:
    # NaN and Infinity are no JSON; the extension shows them as text.
    return None if text is None else json.loads(text, parse_constant=str)


def _whole_seconds(at: str) -> str:
    return f"{at[:19]}Z"


def _folded(events: Sequence[Event], *, show_output: bool) -> list[dict[str, Any]]:
    """Return events by name, each completion merged with the event that scheduled it."""
    scheduled = {e["EventId"]: e for e in events if e["EventType"] in _SCHEDULING}
    done = {completes(e) for e in events}
    folded = []
    for item in events:
        kind = item["EventType"]
        if kind in _BORDERS or (kind in _SCHEDULING and item["EventId"] in done):
            continue
        shown = {"EventType": NAMES[EventType(kind)], "Timestamp": item["Timestamp"]}
        shown.update({key: item[key] for key in _SHOWN if item.get(key) is not None})
        cause = scheduled.get(completes(item))
        if cause is not None:
            shown["ScheduledTime"] = cause["Timestamp"]
            if "Name" in cause:
                shown["FunctionName"] = cause["Name"]
        if kind == EventType.EXECUTION_STARTED:
            shown["FunctionName"] = item["Name"]
        if show_output and "Result" in item:
            shown["Result"] = _parsed(item["Result"])
        if show_output and kind == EventType.EVENT_RAISED:
            shown["Input"] = _parsed(item["Input"])
        folded.append(shown)
    return folded
