"""One instance in memory, and how an episode changes it.

`InstanceSession.decide` is the extension's episode: append OrchestratorStarted and the waiting
messages, let the orchestrator report its actions, find the new ones, and return what to store and
to send. It touches no database; the engine commits the result in one transaction and carries it out
after that.
"""

import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from local_host.durable import history, records
from local_host.durable.episode_commit import EpisodeCommit
from local_host.durable.functions import DurableFunctions
from local_host.durable.history import Event, EventType, event
from local_host.durable.history_replay import HistoryReplay
from local_host.durable.library_replay import EpisodeOutcome, Handler, Replay, replay_of
from local_host.durable.records import Instance, Message
from local_host.durable.settings import DurableSettings
from local_host.invocation.user_code import described, stack_of

CUSTOM_STATUS_BYTES_MAX: Final = 16 * 1024
"""The extension's limit, counted in UTF-16."""


class InstanceSession:
    """An instance with its history, its conversation with the library and its waiting messages."""

    def __init__(
        self, instance: Instance, events: list[Event], pieces: int, waiting: Sequence[Message]
    ) -> None:
        self.instance = instance
        self.events = events
        self.inbox: deque[Message] = deque(waiting)
        self.loaded_to = max((m.seq for m in waiting if m.seq is not None), default=0)
        self.is_active = False
        self._pieces = pieces
        self._replay: Replay | None = None
        self._history_replay: HistoryReplay | None = None
        self._completed = {done for item in events if (done := completes(item)) is not None}

    @property
    def is_due(self) -> bool:
        """Return whether an episode would do something."""
        if self.instance.is_finished:
            return False
        if self.instance.status == records.SUSPENDED:
            return any(_wakes_suspended(message) for message in self.inbox)
        return bool(self.inbox) or not self.events

    def decide(
        self,
        handler: Handler | None,
        functions: DurableFunctions,
        settings: DurableSettings,
        now: datetime,
        new_id: Callable[[], str],
    ) -> EpisodeCommit:
        """Run one episode over the waiting messages and return its commit.

        The caller commits it and calls `settle`, or has no further use for this object.
        """
        at = history.timestamp(now)
        after = copy(self.instance)
        after.updated_at = at
        commit = EpisodeCommit(self.instance.execution, after, self._pieces, "")
        begin = len(self.events)
        fresh = self._take(commit, at)
        kinds = {item["EventType"] for item in fresh}
        self.events.extend(fresh)
        if EventType.EXECUTION_TERMINATED in kinds:
            reason = next(e for e in fresh if e["EventType"] == EventType.EXECUTION_TERMINATED)
            self._finish(commit, records.TERMINATED, json.dumps(reason["Input"]), at)
        elif EventType.EXECUTION_SUSPENDED in kinds:
            commit.after.status = records.SUSPENDED
        else:
            try:
                self._run(commit, handler, functions, settings, at, new_id)
            except Exception as problem:  # noqa: BLE001  actions that mean nothing to the host
                commit.drop_decisions()
                self._fail(commit, described(problem), at, problem)
        self._close(commit, begin, at)
        return commit

    def settle(self, commit: EpisodeCommit) -> None:
        """Continue from *commit*, which is stored now."""
        self.instance = commit.after
        self._pieces += 1
        if commit.is_new_generation:
            self.events, self._pieces, self._completed = [], 0, set()
            self._replay = self._history_replay = None

    # -- one episode -------------------------------------------------------------------------

    def _take(self, commit: EpisodeCommit, at: str) -> list[Event]:
        """Move messages from the inbox to a list of events that begins the episode."""
        fresh = [event(EventType.ORCHESTRATOR_STARTED, at)]
        if not self.events:
            fresh.append(self._execution_started(at))
        is_suspended = self.instance.status == records.SUSPENDED
        if is_suspended:
            self._resume_first()
        else:
            commit.after.status = records.RUNNING
        while self.inbox:
            message = self.inbox[0]
            kind = message.event["EventType"]
            if (
                kind == EventType.EXECUTION_SUSPENDED
                and not is_suspended
                and len(fresh) > (1 if self.events else 2)
            ):
                break  # an episode of its own, after this one
            self.inbox.popleft()
            if message.seq is not None:
                commit.consumed.append(message.seq)
            else:
                commit.unpersisted.append(message)
            if not self._is_current(message) or self._is_moot(kind, is_suspended=is_suspended):
                continue
            if is_suspended and kind == EventType.EXECUTION_RESUMED:
                is_suspended = False
                commit.after.status = records.RUNNING
            fresh.append(message.event)
            if kind in (EventType.EXECUTION_SUSPENDED, EventType.EXECUTION_TERMINATED):
                break
        return fresh

    def _resume_first(self) -> None:
        """Put what ends a suspension before everything that was kept during it."""
        first = next(m for m in self.inbox if _wakes_suspended(m))
        self.inbox.remove(first)
        self.inbox.appendleft(first)

    def _is_current(self, message: Message) -> bool:
        if message.execution not in (None, self.instance.execution):
            return False
        done = completes(message.event)
        if done is None:
            return True
        if done in self._completed:
            return False
        self._completed.add(done)
        return True

    @staticmethod
    def _is_moot(kind: int, *, is_suspended: bool) -> bool:
        if kind == EventType.EXECUTION_RESUMED:
            return not is_suspended
        return kind == EventType.EXECUTION_SUSPENDED and is_suspended

    def _execution_started(self, at: str) -> Event:
        instance = self.instance
        parent = json.loads(instance.parent) if instance.parent else None
        return event(
            EventType.EXECUTION_STARTED,
            at,
            Name=instance.name,
            Version=instance.version,
            Input=instance.input,
            OrchestrationInstance={
                "InstanceId": instance.id,
                "ExecutionId": instance.execution,
            },
            ParentInstance=parent["reference"] if parent else None,
        )

    def _run(
        self,
        commit: EpisodeCommit,
        handler: Handler | None,
        functions: DurableFunctions,
        settings: DurableSettings,
        at: str,
        new_id: Callable[[], str],
    ) -> None:
        name = self.instance.name
        if handler is None:
            text = functions.missing("orchestrationTrigger", name)
            self._fail(commit, text, at)
            return
        if self._replay is None or self._history_replay is None:
            self._replay = replay_of(handler)
            self._history_replay = HistoryReplay(
                self.instance.execution, self._lineage(), functions, settings
            )
        outcome = self._replay.feed(lambda: self._head(settings), self.events)
        history_replay = self._history_replay
        history_replay.proceed(self.events, outcome.actions, is_amended=outcome.is_amended)
        failure = outcome.defect or history_replay.refusal or self._apply_status(commit, outcome)
        if failure is not None:
            self._fail(commit, failure, at, outcome.cause)
            return
        self._apply_decisions(commit, history_replay.decisions(at), new_id)
        if (outcome.error is not None or outcome.is_done) and history_replay.is_settled:
            self._end(commit, outcome, history_replay, at, new_id)
            return
        commit.after.open_calls = history_replay.open_calls
        firing = history_replay.next_firing
        commit.after.wake_at = history.timestamp(firing) if firing else None

    def _lineage(self) -> list[str]:
        parent = json.loads(self.instance.parent) if self.instance.parent else None
        return [self.instance.id, *(parent["lineage"] if parent else [])]

    def _head(self, settings: DurableSettings) -> dict[str, Any]:
        instance = self.instance
        parent = json.loads(instance.parent) if instance.parent else None
        return {
            "input": json.loads(instance.input) if instance.input else None,
            "instanceId": instance.id,
            "isReplaying": self.events[1]["IsPlayed"],
            "parentInstanceId": (
                parent["reference"]["OrchestrationInstance"]["InstanceId"] if parent else None
            ),
            "upperSchemaVersion": 1,
            "upperSchemaVersionNew": 2,
            "longRunningTimerIntervalDuration": settings.long_timer_interval,
            "maximumShortTimerDuration": settings.short_timer_max,
            "defaultHttpAsyncRequestSleepTimeMillseconds": 30000,
        }

    def _apply_status(self, commit: EpisodeCommit, outcome: EpisodeOutcome) -> str | None:
        """Set the custom status; return why it is refused, None when it is not."""
        status = outcome.custom_status
        if status is None:
            return None
        text = json.dumps(json.loads(status), ensure_ascii=False)
        size = len(text.encode("utf-16-le", "surrogatepass"))
        if size > CUSTOM_STATUS_BYTES_MAX:
            return (
                f"the custom status takes {size} bytes in UTF-16, at most "
                f"{CUSTOM_STATUS_BYTES_MAX} are kept"
            )
        commit.after.custom_status = status
        return None

    def _apply_decisions(
        self, commit: EpisodeCommit, decisions: Sequence[Event], new_id: Callable[[], str]
    ) -> None:
        for item in decisions:
            match item["EventType"]:
                case EventType.TASK_SCHEDULED:
                    commit.activities.append(item)
                case EventType.TIMER_CREATED:
                    commit.timers.append(item)
                case EventType.SUB_ORCHESTRATION_CREATED:
                    commit.children.append(self._child(item, new_id()))
                case EventType.EVENT_SENT:
                    commit.sends.append(
                        Message(item["InstanceId"], None, json.loads(item["Input"]))
                    )
                case unknown:
                    raise AssertionError(unknown)
        self.events.extend(decisions)

    def _child(self, item: Event, execution: str) -> Instance:
        mine = self.instance
        reference = {
            "Name": mine.name,
            "OrchestrationInstance": {"InstanceId": mine.id, "ExecutionId": mine.execution},
            "TaskScheduleId": item["EventId"],
            "Version": mine.version,
        }
        parent = {"reference": reference, "lineage": self._lineage()}
        at = item["Timestamp"]
        return Instance(
            id=item["InstanceId"],
            execution=execution,
            name=item["Name"],
            version=item["Version"],
            status=records.PENDING,
            input=item["Input"],
            output=None,
            custom_status=None,
            parent=json.dumps(parent),
            created_at=at,
            updated_at=at,
        )

    def _end(
        self,
        commit: EpisodeCommit,
        outcome: EpisodeOutcome,
        history_replay: HistoryReplay,
        at: str,
        new_id: Callable[[], str],
    ) -> None:
        if outcome.error is not None:
            self._fail(commit, outcome.error, at, outcome.cause)
        elif history_replay.continued_with is not None:
            commit.is_new_generation = True
            after = commit.after
            after.execution = new_id()
            after.status = records.CONTINUED
            after.input = json.dumps(history_replay.continued_with)
            after.open_calls, after.wake_at = 0, None
            commit.sends.extend(Message(after.id, None, item) for item in history_replay.carried)
        else:
            self._finish(commit, records.COMPLETED, outcome.output, at)

    def _fail(
        self, commit: EpisodeCommit, text: str, at: str, cause: BaseException | None = None
    ) -> None:
        commit.failure = f"Orchestrator function '{self.instance.name}' failed: {text}"
        commit.cause = cause
        details = {} if cause is None else {"Details": stack_of(cause)}
        self._finish(commit, records.FAILED, json.dumps(commit.failure), at, details)

    def _finish(
        self,
        commit: EpisodeCommit,
        status: str,
        output: str | None,
        at: str,
        details: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        after = commit.after
        after.status, after.output = status, output
        after.open_calls, after.wake_at = 0, None
        self.events.append(
            event(
                EventType.EXECUTION_COMPLETED, at, OrchestrationStatus=status, Result=output,
                **details,
            )
        )  # fmt: skip
        if self.instance.parent:
            commit.sends.append(_answer(json.loads(self.instance.parent), status, output, at))

    def _close(self, commit: EpisodeCommit, begin: int, at: str) -> None:
        self.events.append(event(EventType.ORCHESTRATOR_COMPLETED, at))
        episode = self.events[begin:]
        history.mark_played(episode)
        commit.piece = history.encode(episode)
        if self._history_replay is not None and commit.after.status != records.SUSPENDED:
            self._history_replay.skip_to(len(self.events))


def _answer(parent: dict[str, Any], status: str, output: str | None, at: str) -> Message:
    """Return the message to a parent about how its sub-orchestration ended."""
    reference = parent["reference"]
    task = reference["TaskScheduleId"]
    if status == records.COMPLETED:
        answer = event(
            EventType.SUB_ORCHESTRATION_COMPLETED, at, TaskScheduledId=task, Result=output
        )
    else:
        reason = json.loads(output) if output else status
        answer = event(
            EventType.SUB_ORCHESTRATION_FAILED, at, TaskScheduledId=task, Reason=reason,
            Details=output,
        )  # fmt: skip
    owner = reference["OrchestrationInstance"]
    return Message(owner["InstanceId"], owner["ExecutionId"], answer)


def completes(item: Event) -> int | None:
    """Return the id of what *item* completes, None when it completes nothing with an id."""
    task = item.get("TaskScheduledId")
    return task if task is not None else item.get("TimerId")


def open_work(events: Sequence[Event]) -> list[Event]:
    """Return the scheduled activities and timers that have no completion yet."""
    done = {completes(item) for item in events}
    kinds = (EventType.TASK_SCHEDULED, EventType.TIMER_CREATED)
    return [e for e in events if e["EventType"] in kinds and e["EventId"] not in done]


def _wakes_suspended(message: Message) -> bool:
    return message.event["EventType"] in (
        EventType.EXECUTION_RESUMED,
        EventType.EXECUTION_TERMINATED,
    )
