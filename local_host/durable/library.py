"""What the host changes in azure-functions-durable 1.7 while it runs, and nothing else does.

Three changes, none of which alters a decision the library takes: timestamps are parsed by
`datetime.fromisoformat` instead of dateutil (88 % of a replay's time went there), the library's
warning about an early external event goes to the log instead of `warnings`, and the one-time notice
about untyped payloads is not given. docs/decisions/0031-patched-durable-library.md.
"""

import logging
from datetime import datetime
from importlib import import_module
from typing import Any

from azure.functions import _durable_functions as codec_module

_log = logging.getLogger(__name__)
# By name: the packages export classes under the names of their modules.
event_module = import_module("azure.durable_functions.models.history.HistoryEvent")
executor_module = import_module("azure.durable_functions.models.TaskOrchestrationExecutor")
_slowly = event_module.dt_parse


def _parse(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return _slowly(text)  # type: ignore[no-any-return]  # whatever else the library takes


def _create_event(self: Any, **fields: Any) -> None:
    self.__dict__ = {
        "_event_type": fields.pop("EventType"),
        "_event_id": fields.pop("EventId"),
        "_is_played": fields.pop("IsPlayed"),
        "_timestamp": _parse(fields.pop("Timestamp")),
        "_is_processed": False,
        "Name": None,
        "InstanceId": None,
        "TaskScheduledId": None,
        "Reason": None,
        "Details": None,
        "Input": None,
        **fields,
    }


class _LoggedWarnings:
    """Stands in for the `warnings` module inside the library's executor."""

    @staticmethod
    def warn(message: str) -> None:
        _log.debug("%s", message)


def prepare() -> None:
    """Apply the changes to this process; a second call changes nothing."""
    event_module.HistoryEvent.__init__ = _create_event
    executor_module.__dict__["warnings"] = _LoggedWarnings
    codec_module._no_expected_type_notice_emitted = True  # noqa: SLF001  its own switch
