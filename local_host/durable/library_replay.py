"""Replays an orchestrator through the official library: history in, actions out.

`LiveReplay` keeps the library's context, executor and the user's generator between episodes and
hands over only what is new. That yields exactly what a replay of the whole history would
(`tests/local_host/durable/test_live_replay_equals_full_replay.py`), because the library itself only
walks events forward. After eviction or a restart the same object is made anew and is given
everything at once. `TextReplay` is for a handler that the library did not make.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import azure.functions as func
from azure.durable_functions.models.actions.CompoundAction import CompoundAction
from azure.durable_functions.models.actions.CreateTimerAction import CreateTimerAction
from azure.durable_functions.models.DurableOrchestrationContext import DurableOrchestrationContext
from azure.durable_functions.models.history.HistoryEvent import HistoryEvent
from azure.durable_functions.models.TaskOrchestrationExecutor import TaskOrchestrationExecutor
from azure.functions._durable_functions import df_dumps

from local_host.durable.history import Event, EventType
from local_host.invocation.user_code import described

Action = dict[str, Any]
Handler = Callable[..., Any]
Head = Callable[[], Mapping[str, Any]]
FAILURE_LABEL: Final = "\n\n$OutOfProcData$:"
"""What the library puts between an exception's text and the state that goes with it."""


@dataclass(slots=True)
class EpisodeOutcome:
    """The orchestrator's state after an episode; `actions` are all since the beginning."""

    actions: Sequence[Action]
    is_done: bool = False
    output: str | None = None
    """JSON text."""
    error: str | None = None
    custom_status: str | None = None
    """JSON text; None leaves the former one in place."""
    defect: str | None = None
    """The library itself failed: there are no actions to go by, the instance fails."""
    cause: BaseException | None = None
    """What was raised, where `error` or `defect` say so; it has the stack."""
    is_amended: bool = False
    """An action that was already reported has changed since: a timer was canceled."""


class Replay(Protocol):
    """One generation of one instance."""

    def feed(self, head: Head, events: Sequence[Event]) -> EpisodeOutcome:
        """Return the outcome of all *events*, of which only the later part may be new.

        *head* makes everything else that the context has.
        """
        ...


def replay_of(handler: Handler) -> Replay:
    """Return a new replay for the function that the host indexed as *handler*."""
    if hasattr(handler, "orchestrator_function"):
        return LiveReplay(handler)
    return TextReplay(handler)


_made: Final = TaskOrchestrationExecutor()
_HEEDED: Final = _made.task_completion_events | {
    EventType.ORCHESTRATOR_STARTED,
    EventType.EXECUTION_STARTED,
    EventType.EVENT_SENT,
}
"""What the library does anything about."""


class _Executor(TaskOrchestrationExecutor):  # type: ignore[misc]  # the library has no types
    """The library's executor, whose state is read instead of encoded."""

    def __init__(self) -> None:
        # Tables that are the same for all; the library makes them, and a class, each time anew.
        self.event_to_SetTaskValuePayload = _made.event_to_SetTaskValuePayload
        self.task_completion_events = _made.task_completion_events
        self.initialize()

    def get_orchestrator_state_str(self) -> str:
        return ""


class LiveReplay:
    """Feeds the library forward."""

    def __init__(self, handler: Handler) -> None:
        self._handler: Any = handler
        self._executor = _Executor()
        self._context: Any = None
        self._fed = 0
        self._actions: list[Action] = []
        self._timers: list[tuple[CreateTimerAction, Action]] = []
        self._cause: BaseException | None = None

    def feed(self, head: Head, events: Sequence[Event]) -> EpisodeOutcome:
        if self._cause is None:
            try:
                if self._context is None:
                    self._begin(head, events)
                else:
                    self._continue(events[self._fed :])
                self._fed = len(events)
                return self._outcome()
            except BaseException as problem:  # noqa: BLE001  the user's code is anything
                self._cause = problem
        return EpisodeOutcome(self._actions, defect=described(self._cause), cause=self._cause)

    def _begin(self, head: Head, events: Sequence[Event]) -> None:
        self._context = DurableOrchestrationContext(**head(), history=events)
        self._context._input_expected_type = getattr(self._handler, "_df_input_type", None)  # noqa: SLF001  as Orchestrator.create does
        heeded = [e for e in self._context.histories if e._event_type in _HEEDED]  # noqa: SLF001  a property costs a call
        self._executor.execute(self._context, heeded, self._handler.orchestrator_function)

    def _continue(self, events: Sequence[Event]) -> None:
        context, executor = self._context, self._executor
        border = len(events) - 1
        while border > 0 and events[border]["EventType"] != EventType.ORCHESTRATOR_STARTED:
            border -= 1
        added = [HistoryEvent(**item) for item in events]
        context.histories.extend(added)
        executor._is_processing_new_events = False  # noqa: SLF001
        for index, item in enumerate(added):
            if executor.has_execution_completed:
                return
            if index >= border:
                executor._is_processing_new_events = True  # noqa: SLF001
            if item._event_type in _HEEDED:  # noqa: SLF001
                executor.process_event(item)

    def _outcome(self) -> EpisodeOutcome:
        executor, context = self._executor, self._context
        is_amended = self._note_cancellations()
        for action in context._action_payload_v2[len(self._actions) :]:  # noqa: SLF001
            encoded = action.to_json()
            self._actions.append(encoded)
            self._collect_timers(action, encoded)
        output = None
        if executor.output is not None:
            try:
                output = json.dumps(executor.output)
            except Exception as problem:  # noqa: BLE001  as get_orchestrator_state_str does
                executor.output, executor.exception = None, problem
        error = None
        if executor.exception is not None:
            error = str(executor.exception) or str(type(executor.exception))
        status = context.custom_status
        return EpisodeOutcome(
            self._actions,
            is_done=executor.orchestration_invocation_succeeded,
            output=output,
            error=error,
            custom_status=df_dumps(status) if status else None,
            cause=executor.exception,
            is_amended=is_amended,
        )

    def _collect_timers(self, action: Any, encoded: Action) -> None:
        if isinstance(action, CreateTimerAction):
            self._timers.append((action, encoded))
        elif isinstance(action, CompoundAction):
            children = encoded["compoundActions"]
            for child, child_encoded in zip(action.compound_tasks, children, strict=True):
                self._collect_timers(child, child_encoded)

    def _note_cancellations(self) -> bool:
        is_amended = False
        for action, encoded in self._timers:
            if action.is_cancelled and not encoded["isCanceled"]:
                encoded["isCanceled"] = is_amended = True
        return is_amended


class TextReplay:
    """Calls the handler with the whole history as JSON text in every episode, as Azure does."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    def feed(self, head: Head, events: Sequence[Event]) -> EpisodeOutcome:
        body = json.dumps({**head(), "history": events})
        try:
            return self._answer(body)
        except BaseException as problem:  # noqa: BLE001  the user's code is anything
            return EpisodeOutcome((), defect=described(problem), cause=problem)

    def _answer(self, body: str) -> EpisodeOutcome:
        try:
            return read_answer(self._handler(func.OrchestrationContext(body)))
        except Exception as problem:
            _, label, state = str(problem).partition(FAILURE_LABEL)
            if not label:
                raise
            return replace(read_answer(state), cause=problem)


def read_answer(answer: str) -> EpisodeOutcome:
    """Return the outcome in the library's JSON *answer*, or in the part of it after the label."""
    state = json.loads(answer)
    return EpisodeOutcome(
        [action for episode in state["actions"] for action in episode],
        is_done=state["isDone"],
        output=json.dumps(state["output"]) if "output" in state else None,
        error=state.get("error"),
        custom_status=json.dumps(state["customStatus"]) if "customStatus" in state else None,
        is_amended=True,
    )
