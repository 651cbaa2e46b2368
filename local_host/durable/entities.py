"""Entities: state and operations by `@name@key`, one batch at a time for each.

Operations wait as messages; a batch and the replies to its callers are committed together with the
new state. Signals get no reply.
"""

import json
import logging
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

import azure.functions as func

from local_host.durable import history, records
from local_host.durable.functions import ENTITY
from local_host.durable.history import EventType, event
from local_host.durable.library_patches import raised_by_operations
from local_host.durable.records import Message
from local_host.durable.task_hub import TaskHub
from local_host.invocation.own_task import invoke_in_own_task
from local_host.invocation.user_code import described, stack_of
from local_host.model import IndexedFunction, Invocation, InvocationFailed, Invoker
from shared.kernel.clock import isoformat

_log = logging.getLogger(__name__)


class EntityDispatcher:
    """Runs the waiting operations of each entity, a batch at a time."""

    def __init__(self, hub: TaskHub, invoker: Invoker) -> None:
        self._hub = hub
        self._invoker = invoker
        self._active: set[str] = set()

    def notify(self, target: str) -> None:
        """Run the operations that wait for the entity *target*, `@name@key`."""
        if target not in self._active:
            self._active.add(target)
            self._hub.spawn(self._serve(target))

    async def _serve(self, target: str) -> None:
        try:
            while batch := self._batch(target):
                await self._turn(target, batch)
        finally:
            self._active.discard(target)

    def _batch(self, target: str) -> list[Message]:
        settings = self._hub.settings
        waiting = self._hub.database.read(lambda c: records.messages(c, settings.hub, target))
        return waiting[: settings.entity_batch_max]

    async def _turn(self, target: str, batch: Sequence[Message]) -> None:
        name, _, key = target[1:].partition("@")
        hub = self._hub.settings.hub
        state = self._hub.database.read(lambda c: records.entity_state(c, hub, name, key))
        requests = [message.event for message in batch]
        function = self._hub.workers[0].find(ENTITY, name)
        after, results = state, [_error(self._hub.workers[0].missing(ENTITY, name))] * len(batch)
        if function is not None:
            try:
                after, results = await self._invoke(function, name, key, state, requests)
            except InvocationFailed as failure:
                _log.error("entity %s failed: %s", target, failure.text, exc_info=failure.cause)
                results = [_error(failure.text, failure.cause)] * len(batch)
        now = self._hub.clock.now()
        replies = [
            _reply(request, result, history.timestamp(now))
            for request, result in zip(requests, results, strict=True)
            if not request.get("signal")
        ]

        def store(connection: sqlite3.Connection) -> list[Message]:
            records.forget_messages(connection, [m.seq for m in batch if m.seq is not None])
            if after != state:
                records.set_entity_state(connection, hub, name, key, after, isoformat(now))
            return [records.send(connection, hub, reply) for reply in replies]

        for reply in await self._hub.database.write(store):
            self._hub.deliver(reply)

    async def _invoke(
        self,
        function: IndexedFunction,
        name: str,
        key: str,
        state: str | None,
        requests: Sequence[Mapping[str, Any]],
    ) -> tuple[str | None, list[dict[str, Any]]]:
        """Return the state, None for none, and one result for each of *requests*."""
        body = {
            "self": {"name": name, "key": key},
            "exists": state is not None,
            "state": state,
            "batch": [
                {
                    "name": request["op"],
                    "input": request.get("input") or "null",
                    "isSignal": bool(request.get("signal")),
                }
                for request in requests
            ],
        }
        raised: list[Exception] = []
        before = raised_by_operations.set(raised)
        context = func.EntityContext(json.dumps(body))
        invocation = Invocation(
            function,
            {function.trigger.name: context},
            lambda returned, _: _answer(returned, len(requests)),
        )
        try:
            result = await invoke_in_own_task(self._invoker, invocation)
        finally:
            raised_by_operations.reset(before)
        state_after, results = result.returned
        failures = iter(raised)
        for request, each in zip(requests, results, strict=True):
            if each["isError"] and (problem := next(failures, None)) is not None:
                each["stack"] = stack_of(problem)
                _log.error(
                    "operation %s of entity @%s@%s failed: %s",
                    request["op"], name, key, described(problem), exc_info=problem,
                )  # fmt: skip
        return state_after, results


def _answer(returned: Any, operations: int) -> tuple[str | None, list[dict[str, Any]]]:
    """Return state and results of what an entity function returned.

    Raises:
        ValueError: it is not what the library's entity functions return.
    """
    answer = json.loads(returned)
    try:
        state = answer["entityState"] if answer["entityExists"] else None
        results = [
            {"isError": bool(each["isError"]), "result": each["result"]}
            for each in answer["results"]
        ]
    except (KeyError, TypeError) as problem:
        raise ValueError(f"an entity function returned no entity state: {problem!r}") from problem
    texts = [each["result"] for each in results]
    if not all(isinstance(text, str | None) for text in (state, *texts)):
        raise ValueError("an entity function returned a state or result that is not JSON text")
    if len(results) != operations:
        raise ValueError(f"{operations} operations have {len(results)} results")
    return state, results


def _error(text: str, cause: BaseException | None = None) -> dict[str, Any]:
    stack = "" if cause is None else stack_of(cause)
    return {"isError": True, "result": json.dumps(text), "stack": stack}


def _reply(request: Mapping[str, Any], result: Mapping[str, Any], at: str) -> Message:
    content: dict[str, Any] = {"result": result["result"]}
    if result["isError"]:
        content["exceptionType"] = "Error"
        if stack := result.get("stack"):
            content["failureDetails"] = {
                "ErrorType": "Error", "ErrorMessage": result["result"], "StackTrace": stack,
            }  # fmt: skip
    answer = event(EventType.EVENT_RAISED, at, Name=request["id"], Input=json.dumps(content))
    return Message(request["parent"], request["parentExecution"], answer)
