"""Activities: each scheduled one runs once at a time, and its answer joins the next episode.

The answer is in memory only until that episode is committed; cut off before, the activity runs
again.
"""

import json
import logging
from collections.abc import Mapping
from typing import Any

from azure.functions.durable_functions import ActivityTriggerConverter
from azure.functions.meta import Datum

from local_host.durable import history
from local_host.durable.functions import ACTIVITY
from local_host.durable.history import Event, EventType, event
from local_host.durable.history_replay import HTTP_ACTIVITY
from local_host.durable.http_activity import HttpCallFailed, call_http
from local_host.durable.records import Instance, Message
from local_host.durable.task_hub import TaskHub
from local_host.invocation.own_task import invoke_in_own_task
from local_host.invocation.user_code import stack_of
from local_host.model import Invocation, InvocationFailed, Invoker
from shared.kernel.concurrency import FairTurns

_log = logging.getLogger(__name__)


class ActivityDispatcher:
    """Runs the activities of all instances, as many at once as the settings allow.

    The apps that share the hub take turns. A function may say whose share an activity is of, in an
    attribute `share_of`: a function from the activity's input to a name.
    """

    def __init__(self, hub: TaskHub, invoker: Invoker) -> None:
        self._hub = hub
        self._invoker = invoker
        self._turns = FairTurns(hub.settings.activities_max)
        self._running: set[tuple[str, str, int]] = set()
        self._is_stopping = False
        self._turn = 0

    def stop_dispatch(self) -> None:
        """Let those that run go on, and begin no other."""
        self._is_stopping = True

    def run(self, instance: Instance, item: Event) -> None:
        """Run the activity that *item* of the history of *instance* schedules, if it does not."""
        key = (instance.id, instance.execution, item["EventId"])
        if key not in self._running and not self._is_stopping:
            self._running.add(key)
            self._hub.spawn(self._run(key, item))

    async def _run(self, key: tuple[str, str, int], item: Event) -> None:
        instance_id, execution, _ = key
        try:
            async with self._turns.turn(self._share_of(item)):
                answer = await self._answer(item)
        finally:
            self._running.discard(key)
        self._hub.deliver(Message(instance_id, execution, answer))

    def _share_of(self, item: Event) -> str:
        function = self._hub.workers[0].find(ACTIVITY, item["Name"])
        share_of = getattr(function.handler, "share_of", None) if function else None
        if share_of is None:
            return ""
        try:
            return str(share_of(_decoded(json.loads(item["Input"])[0])))
        except (Exception, SystemExit, KeyboardInterrupt):  # noqa: BLE001  user code
            _log.exception("whose share %s is of is not known", item["Name"])
            return ""

    async def _answer(self, item: Event) -> Event:
        name, task = item["Name"], item["EventId"]
        given = json.loads(item["Input"])[0]
        if name == HTTP_ACTIVITY:
            return await self._call_http(task, given)
        self._turn += 1
        workers = self._hub.workers
        worker = workers[self._turn % len(workers)]
        function = worker.find(ACTIVITY, name)
        if function is None:
            return self._failed(name, task, worker.missing(ACTIVITY, name), "")
        argument = function.trigger.name
        # Custom classes read and write themselves, so both ways are part of the invocation.
        invocation = Invocation(function, lambda: {argument: _decoded(given)}, _encoded)
        try:
            text = (await invoke_in_own_task(self._invoker, invocation)).returned
        except InvocationFailed as failure:
            _log.error("activity %s failed: %s", name, failure.text, exc_info=failure.cause)
            stack = stack_of(failure.cause)
            return self._failed(name, task, failure.text, type(failure.cause).__name__, stack)
        return self._completed(task, None if text == "null" else text)

    async def _call_http(self, task: int, request: Mapping[str, Any]) -> Event:
        try:
            return self._completed(task, await call_http(request))
        except HttpCallFailed as failure:
            return self._failed(HTTP_ACTIVITY, task, str(failure), "HttpRequestException")

    def _completed(self, task: int, result: str | None) -> Event:
        at = history.timestamp(self._hub.clock.now())
        return event(EventType.TASK_COMPLETED, at, TaskScheduledId=task, Result=result)

    def _failed(self, name: str, task: int, text: str, cause: str, stack: str = "") -> Event:
        details = {"ClassName": cause, "Message": text, "StackTraceString": stack}
        return event(
            EventType.TASK_FAILED,
            history.timestamp(self._hub.clock.now()),
            TaskScheduledId=task,
            Reason=f"Activity function '{name}' failed: {text}",
            Details=json.dumps(details if stack else {"ClassName": cause, "Message": text}),
        )


def _decoded(given: str) -> Any:
    return ActivityTriggerConverter.decode(Datum(given, "json"), trigger_metadata=None)


def _encoded(returned: Any, _: Mapping[str, Any]) -> str:
    text = ActivityTriggerConverter.encode(returned, expected_type=None).value
    assert isinstance(text, str), text
    return text
