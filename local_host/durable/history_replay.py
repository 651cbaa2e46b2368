"""Replays history on the host's side: finds which actions of the orchestrator are new.

Actions are executed one by one: an action is *invoked* (its calls take the next ids), then history
is read until it is complete, then the next one is invoked. A recorded id that the replay has not
given out, or gave to something else, means that the code changed under a running instance. This is
`OutOfProcOrchestrationShim` of the Durable extension over `TaskOrchestrationContext` of
DurableTask.Core; functions-durable 2.13.

The replay continues where it stopped. That gives the ids of a full replay except in two cases, and
then it starts from the beginning: an action reported earlier has changed (a canceled timer counts
as complete from the start), or the replay had no action left while the orchestrator waited for a
task already scheduled (a later action would have been invoked earlier).
"""

import json
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Final, Protocol
from uuid import NAMESPACE_OID, uuid5

from azure.durable_functions.models.actions.ActionType import ActionType

from local_host.durable.action_tree import AllOf, AnyOf, Branch, Call, Node, RetriedCall, Wait
from local_host.durable.history import Event, EventType, instant, timestamp
from local_host.durable.instance_ids import id_refusal, key_refusal
from local_host.durable.library_replay import Action
from local_host.durable.settings import DurableSettings

HTTP_ACTIVITY: Final = "BuiltIn::HttpActivity"
_COUNTED: Final = {
    EventType.TASK_SCHEDULED,
    EventType.SUB_ORCHESTRATION_CREATED,
    EventType.TIMER_CREATED,
}
"""What keeps an instance Running until it is complete, though its code has returned."""
_KIND_NAMES: Final = {
    EventType.TASK_SCHEDULED: "activity",
    EventType.SUB_ORCHESTRATION_CREATED: "sub-orchestration",
    EventType.TIMER_CREATED: "timer",
    EventType.EVENT_SENT: "entity message",
}


class FunctionLookup(Protocol):
    """Looks up which functions the app has."""

    def refusal_of(self, kind: EventType, name: str) -> str | None:
        """Return why *name* cannot be called, None when it can."""
        ...


class HistoryReplay:
    """The ids and open tasks of one generation of one instance.

    *ancestors* are the instance's own id, its parent's and so on: no sub-orchestration may have one
    of them. *known* is asked before an activity, orchestrator or entity is called.
    """

    def __init__(
        self,
        execution: str,
        ancestors: Sequence[str],
        known: FunctionLookup,
        settings: DurableSettings,
    ) -> None:
        self._execution = execution
        self._instance = ancestors[0]
        self._ancestors = frozenset(each.lower() for each in ancestors)
        self._known = known
        self._limit = settings.actions_max
        self._default_version = settings.default_version
        self._reset()

    def _reset(self) -> None:
        self._read = 0
        self._index = 0
        self._next_id = 0
        self._actions: Sequence[Action] = ()
        self._current: Node | None = None
        self._is_exhausted = False
        self._last_start = ""
        self._open: dict[int, Call] = {}
        self._unrecorded: dict[int, Call] = {}
        self._given: dict[int, Call] = {}
        self._waits: defaultdict[str, deque[Node]] = defaultdict(deque)
        self._early: defaultdict[str, int] = defaultdict(int)
        self.refusal: str | None = None
        """Why the instance fails at once: an unknown function, or code that has changed."""
        self.continued_with: str | None = None
        """The input of the next generation, JSON text, once ContinueAsNew has been reached."""
        self.carried: list[Event] = []
        """External events read after ContinueAsNew: they belong to the next generation."""

    @property
    def now(self) -> datetime:
        """Return the instant of the current episode."""
        return instant(self._last_start)

    @property
    def is_settled(self) -> bool:
        """Return whether every action is complete and nothing counted is open."""
        if self._current is not None and not self._current.is_complete:
            return False
        if self._index < len(self._actions):
            return False
        return not any(
            call.kind in _COUNTED and not call.action.get("isCanceled")
            for call in self._open.values()
        )

    @property
    def open_calls(self) -> int:
        """Return how many activities have no completion yet."""
        return sum(call.kind is EventType.TASK_SCHEDULED for call in self._open.values())

    @property
    def next_firing(self) -> datetime | None:
        """Return when the next timer fires; a canceled one does, too, and is then ignored."""
        return min((c.fire_at for c in self._open.values() if c.fire_at is not None), default=None)

    def proceed(
        self, events: Sequence[Event], actions: Sequence[Action], *, is_amended: bool
    ) -> None:
        """Read the new part of *events*; *actions* are all that the orchestrator has reported."""
        if is_amended or (self._is_exhausted and len(actions) > self._index):
            self._reset()
        self._actions = actions
        if len(actions) > self._limit:
            self.refusal = f"more than {self._limit} actions in one generation"
            return
        for position in range(self._read, len(events)):
            if self.refusal is None:
                self._take(events[position])
        self._read = len(events)
        self._is_exhausted = self._index == len(actions) and (
            self._current is None or self._current.is_complete
        )

    def decisions(self, at: str) -> list[Event]:
        """Return the scheduling events that history lacks, in order of their ids."""
        recorded = [self._scheduled(call, at) for call in self._unrecorded.values()]
        self._unrecorded.clear()
        return recorded

    def skip_to(self, position: int) -> None:
        """Continue at *position* of history: this replay decided all events before it."""
        self._read = position

    def _take(self, item: Event) -> None:
        handler = self._HANDLERS.get(item["EventType"])
        if handler is not None:
            handler(self, item)

    def _episode_began(self, item: Event) -> None:
        self._last_start = item["Timestamp"]

    def _execution_began(self, _: Event) -> None:
        self._advance()

    def _task_completed(self, item: Event) -> None:
        self._complete(item["TaskScheduledId"], failed=False)

    def _task_failed(self, item: Event) -> None:
        self._complete(item["TaskScheduledId"], failed=True)

    def _timer_fired(self, item: Event) -> None:
        self._complete(item["TimerId"], failed=False)

    def _advance(self) -> None:
        while self._current is None or self._current.is_complete:
            if self._index == len(self._actions) or self.refusal is not None:
                return
            action = self._actions[self._index]
            self._index += 1
            self._current = self._invoke(action, None)

    def _invoke(self, action: Action, parent: Branch | None) -> Node:
        return self._INVOKE[action["actionType"]](self, parent, action)

    def _continue(self, parent: Branch | None, action: Action) -> Node:
        node = Wait(parent)
        self.continued_with = action["input"]
        node.complete(self)
        return node

    def _timer(self, parent: Branch | None, action: Action) -> Node:
        node = Call(parent, EventType.TIMER_CREATED, "", action, instant(action["fireAt"]))
        self.give_id(node)
        if action["isCanceled"]:
            node.complete(self)
        return node

    def _http(self, parent: Branch | None, action: Action) -> Node:
        node = Call(parent, EventType.TASK_SCHEDULED, HTTP_ACTIVITY, action)
        self.give_id(node)
        return node

    def _call(self, parent: Branch | None, action: Action) -> Node:
        is_activity = action["actionType"] == ActionType.CALL_ACTIVITY
        kind = EventType.TASK_SCHEDULED if is_activity else EventType.SUB_ORCHESTRATION_CREATED
        node = Call(parent, kind, action["functionName"], action)
        self.give_id(node)
        return node

    def _retry(self, parent: Branch | None, action: Action) -> Node:
        is_activity = action["actionType"] == ActionType.CALL_ACTIVITY_WITH_RETRY
        kind = EventType.TASK_SCHEDULED if is_activity else EventType.SUB_ORCHESTRATION_CREATED
        node = RetriedCall(parent, kind, action["functionName"], action)
        node.call(self)
        return node

    def _wait(self, parent: Branch | None, action: Action) -> Node:
        name = action["externalEventName"].lower()
        node = Wait(parent)
        if self._early[name]:
            self._early[name] -= 1
            node.complete(self)
        else:
            self._waits[name].append(node)
        return node

    def _send(self, parent: Branch | None, action: Action) -> Node:
        is_signal = action["actionType"] == ActionType.SIGNAL_ENTITY
        node = Call(parent, EventType.EVENT_SENT, action["instanceId"], action)
        self.give_id(node)
        if is_signal:
            del self._open[node.id]
            node.complete(self)
        else:
            self._waits[self.request_id(node.id)].append(node)
        return node

    def _compound(self, parent: Branch | None, action: Action) -> Node:
        children = action["compoundActions"]
        is_any = action["actionType"] == ActionType.WHEN_ANY
        node: Branch = AnyOf(parent) if is_any else AllOf(parent, len(children))
        for child in children:
            self._invoke(child, node)
        if not children:
            node.complete(self)
        return node

    def give_id(self, call: Call) -> None:
        """Give *call* the next id; refuse it when the host does not know what it names."""
        call.id = self._next_id
        self._next_id += 1
        self._open[call.id] = self._given[call.id] = self._unrecorded[call.id] = call
        if self.refusal is None and call.name != HTTP_ACTIVITY:
            self.refusal = self._known.refusal_of(call.kind, call.name) or self._misaddressed(call)

    def _misaddressed(self, call: Call) -> str | None:
        """Return why the child or entity that *call* addresses cannot have its id."""
        if call.kind is EventType.EVENT_SENT:
            return key_refusal(call.name)
        if call.kind is not EventType.SUB_ORCHESTRATION_CREATED:
            return None
        child = self._child_id(call)
        if child.lower() in self._ancestors:
            return (
                f"The sub-orchestration {call.name!r} may not have the instance id {child!r}: "
                "it is this instance or one of those that called it"
            )
        return id_refusal(child)

    def _child_id(self, call: Call) -> str:
        return call.action.get("instanceId") or f"{self._execution}:{call.id}"

    def request_id(self, call_id: int) -> str:
        """Return the id of an entity request: the same at every replay of this generation."""
        return str(uuid5(NAMESPACE_OID, f"{self._execution}:{call_id}"))

    def _complete(self, call_id: int, *, failed: bool) -> None:
        call = self._open.pop(call_id, None)
        if call is not None:  # else a duplicate: the completion of something completed
            call.complete(self, failed=failed)
            self._advance()

    def _raised(self, item: Event) -> None:
        name = item["Name"].lower()
        waits = self._waits[name]
        if self.continued_with is not None:
            self.carried.append(item)
        elif waits:
            node = waits.popleft()
            if isinstance(node, Call):
                self._open.pop(node.id, None)
            node.complete(self)
            self._advance()
        else:
            self._early[name] += 1

    def _recorded(self, item: Event) -> None:
        call_id, kind = item["EventId"], EventType(item["EventType"])
        call = self._given.get(call_id)
        name = item["InstanceId"] if kind is EventType.EVENT_SENT else item.get("Name") or ""
        if call is None or call.kind is not kind or call.name.lower() != name.lower():
            now = f"{_KIND_NAMES[call.kind]} {call.name!r}" if call else "nothing"
            self.refusal = (
                f"Non-Deterministic workflow detected: history has {_KIND_NAMES[kind]} {name!r} "
                f"under id {call_id}, the code now schedules {now} there. Was the orchestrator "
                "changed while this instance was running?"
            )
            return
        self._unrecorded.pop(call_id, None)

    def _scheduled(self, call: Call, at: str) -> Event:
        action = call.action
        fields: dict[str, Any]
        match call.kind:
            case EventType.TIMER_CREATED:
                assert call.fire_at is not None
                fields = {"FireAt": timestamp(call.fire_at)}
            case EventType.SUB_ORCHESTRATION_CREATED:
                fields = {
                    "Name": call.name,
                    "Version": action.get("version") or self._default_version,
                    "InstanceId": self._child_id(call),
                    "Input": json.dumps(action["input"]),
                }
            case EventType.EVENT_SENT:
                fields = {"InstanceId": call.name, "Name": "op", "Input": self._request(call)}
            case _:
                given = action["httpRequest"] if call.name == HTTP_ACTIVITY else action["input"]
                fields = {"Name": call.name, "Version": "", "Input": json.dumps([given])}
        return {
            "EventType": int(call.kind),
            "EventId": call.id,
            "IsPlayed": True,
            "Timestamp": at,
            **fields,
        }

    def _request(self, call: Call) -> str:
        request = {
            "op": call.action["operation"],
            "id": self.request_id(call.id),
            "parent": self._instance,
            "parentExecution": self._execution,
            "input": json.dumps(call.action["input"]),
        }
        if call.action["actionType"] == ActionType.SIGNAL_ENTITY:
            request["signal"] = True
        return json.dumps(request)

    _HANDLERS: ClassVar[Mapping[int, Callable[..., None]]] = {
        EventType.ORCHESTRATOR_STARTED: _episode_began,
        EventType.EXECUTION_STARTED: _execution_began,
        EventType.TASK_COMPLETED: _task_completed,
        EventType.SUB_ORCHESTRATION_COMPLETED: _task_completed,
        EventType.TASK_FAILED: _task_failed,
        EventType.SUB_ORCHESTRATION_FAILED: _task_failed,
        EventType.TIMER_FIRED: _timer_fired,
        EventType.EVENT_RAISED: _raised,
        EventType.TASK_SCHEDULED: _recorded,
        EventType.SUB_ORCHESTRATION_CREATED: _recorded,
        EventType.TIMER_CREATED: _recorded,
        EventType.EVENT_SENT: _recorded,
    }
    _INVOKE: ClassVar[Mapping[int, Callable[..., Node]]] = {
        ActionType.CALL_ACTIVITY: _call,
        ActionType.CALL_ACTIVITY_WITH_RETRY: _retry,
        ActionType.CALL_SUB_ORCHESTRATOR: _call,
        ActionType.CALL_SUB_ORCHESTRATOR_WITH_RETRY: _retry,
        ActionType.CONTINUE_AS_NEW: _continue,
        ActionType.CREATE_TIMER: _timer,
        ActionType.WAIT_FOR_EXTERNAL_EVENT: _wait,
        ActionType.CALL_ENTITY: _send,
        ActionType.CALL_HTTP: _http,
        ActionType.SIGNAL_ENTITY: _send,
        ActionType.WHEN_ANY: _compound,
        ActionType.WHEN_ALL: _compound,
    }
    """All that azure-functions-durable 1.7 can say."""
