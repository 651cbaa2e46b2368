"""Patches azure-functions-durable 1.7 in this process.

No patch alters a decision or a text of the library: timestamps are parsed by
`datetime.fromisoformat` instead of dateutil (88 % of a replay's time went there), plain JSON values
are read and written without the hooks for custom objects, the warning about an early external event
goes to the log instead of `warnings`, the one-time notice about untyped payloads is not given, and
what an operation of an entity raises is kept, since the library passes on its text only.
docs/decisions/0031-patched-durable-library.md.
"""

# ruff: noqa: FBT001, N803  the parameters of an event are its JSON keys

import contextvars
import json
import logging
from collections.abc import Callable
from datetime import datetime
from importlib import import_module
from typing import Any, Final

from azure.functions import _durable_functions as codec_module

_log = logging.getLogger(__name__)
# By name: the packages export classes under the names of their modules.
event_module = import_module("azure.durable_functions.models.history.HistoryEvent")
executor_module = import_module("azure.durable_functions.models.TaskOrchestrationExecutor")
context_module = import_module("azure.durable_functions.models.DurableOrchestrationContext")
activity_module = import_module("azure.durable_functions.models.actions.CallActivityAction")
_PLAIN: Final = (dict, list, str, int, float, bool, type(None))
entity_module = import_module("azure.durable_functions.entity")
raised_by_operations: contextvars.ContextVar[list[Exception]] = contextvars.ContextVar("raised")
"""What the operations of the running batch have raised, in order."""
_slowly = event_module.dt_parse


def _parse(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return _slowly(text)  # type: ignore[no-any-return]  # whatever else the library takes


def _create_event(
    self: Any,
    EventType: int,
    EventId: int,
    IsPlayed: bool,
    Timestamp: str,
    **fields: Any,
) -> None:
    self.__dict__ = {
        "_event_type": EventType,
        "_event_id": EventId,
        "_is_played": IsPlayed,
        "_timestamp": _parse(Timestamp),
        "_is_processed": False,
        "Name": None,
        "InstanceId": None,
        "TaskScheduledId": None,
        "Reason": None,
        "Details": None,
        "Input": None,
        **fields,
    }


def _loads(text: str, expected_type: type | None = None) -> Any:
    # Without the marker of a custom object, spelled out or escaped, the hook has nothing to do.
    if expected_type is None and '"__class__"' not in text and "\\u" not in text:
        return json.loads(text)
    return codec_module.df_loads(text, expected_type)


def _dumps(value: Any) -> str:
    if type(value) in _PLAIN:
        try:
            return json.dumps(value)
        except TypeError:
            pass  # a custom object inside: the library knows how
    return codec_module.df_dumps(value)


def _create_entity(self: Any, entity_func: Callable[[Any], None]) -> None:
    def run(context: Any) -> None:
        try:
            entity_func(context)
        except Exception as problem:
            raised_by_operations.get([]).append(problem)
            raise

    self.fn = run


class _LoggedWarnings:
    """Stands in for the `warnings` module inside the library's executor."""

    @staticmethod
    def warn(message: str) -> None:
        _log.debug("%s", message)


def apply_patches() -> None:
    """Apply the changes to this process; a second call changes nothing."""
    event_module.HistoryEvent.__init__ = _create_event
    entity_module.Entity.__init__ = _create_entity
    executor_module.__dict__.update(warnings=_LoggedWarnings, df_loads=_loads)
    context_module.__dict__["df_loads"] = _loads
    activity_module.__dict__["df_dumps"] = _dumps
    codec_module._no_expected_type_notice_emitted = True  # noqa: SLF001  its own switch
