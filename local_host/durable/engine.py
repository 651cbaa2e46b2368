"""Runs one task hub: episodes, activities and timers, recovered after a crash.

All decisions of an episode are committed in one transaction before any of them is carried out; what
was carried out without a recorded completion is carried out again. So an activity runs at least
once, and everything else exactly once. A message (a completed activity, a fired timer) joins the
next episode of its instance; all messages that arrive during a commit share the next one.

In memory the engine keeps a session of each instance that ran lately (Durable calls them extended
sessions). A session may be dropped at any moment; another engine over the same database goes on.
"""

import asyncio
import json
import logging
import sqlite3
from collections import OrderedDict
from collections.abc import Coroutine, Sequence
from typing import Any, Final
from zlib import crc32

from local_host.durable import history, library_patches, records
from local_host.durable.activities import ActivityDispatcher
from local_host.durable.durable_timers import DurableTimer, DurableTimers
from local_host.durable.entities import EntityDispatcher
from local_host.durable.episode_commit import EpisodeCommit
from local_host.durable.functions import ORCHESTRATION, DurableFunctions
from local_host.durable.history import Event, EventType, event
from local_host.durable.instance import InstanceSession, completes, open_work
from local_host.durable.records import AlreadyExists, Instance, Message, Superseded
from local_host.durable.settings import DurableSettings
from local_host.durable.task_hub import Records
from local_host.model import Invoker
from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy
from shared.kernel.errors import Unavailable

_log = logging.getLogger(__name__)
_PARTITIONS: Final = 4
"""`storageProvider.partitionCount`: what apps that share a hub divide among themselves."""
_RETRY_COMMIT_S: Final = 1.0


class Engine:
    """A task hub's engine. *workers* are the apps that share the hub: one, if all is well."""

    def __init__(
        self,
        database: Records,
        workers: Sequence[DurableFunctions],
        invoker: Invoker,
        settings: DurableSettings,
        *,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        library_patches.apply_patches()
        self.database = database
        self.workers = tuple(workers)
        self.settings = settings
        self.clock = clock
        self.entropy = entropy
        self._sessions: OrderedDict[str, InstanceSession] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiters: dict[str, list[asyncio.Future[None]]] = {}
        self._is_dead = False
        self._timers = DurableTimers(clock, self._fire_timer)
        self._timer_task: asyncio.Task[None] | None = None
        self._orchestrator_slots = asyncio.Semaphore(settings.orchestrators_max)
        self._activities = ActivityDispatcher(self, invoker)
        self._entities = EntityDispatcher(self, invoker)

    # -- life --------------------------------------------------------------------------------

    async def start(self) -> None:
        """Resume everything unfinished: activities, timers, waiting messages, new instances."""
        self._timer_task = asyncio.create_task(self._timers.run())
        waiting = self.database.read(lambda c: records.targets(c, self.settings.hub))
        for instance in self.database.read(lambda c: records.unfinished(c, self.settings.hub)):
            if instance.status in (records.PENDING, records.CONTINUED) or instance.open_calls:
                self._recover(instance.id)
            elif instance.id in waiting:
                self.notify(instance.id)
                self._schedule_timers(instance)
            else:
                self._schedule_timers(instance)
        for target in waiting:
            if target.startswith("@"):
                self._entities.notify(target)

    async def stop(self, grace_s: float) -> None:
        """Begin no activity, let *grace_s* pass for those that run and what they lead to.

        What is cut off then runs again later.
        """
        self._activities.stop_dispatch()
        if self._timer_task is not None:
            self._timer_task.cancel()
        until = self.clock.monotonic_s() + grace_s
        while self._tasks and (left_s := until - self.clock.monotonic_s()) > 0:
            await asyncio.wait(
                set(self._tasks), timeout=left_s, return_when=asyncio.FIRST_COMPLETED
            )
        self.kill()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def kill(self) -> None:
        """Drop everything at once, as a crash does."""
        self._is_dead = True
        self._activities.stop_dispatch()
        if self._timer_task is not None:
            self._timer_task.cancel()
        for task in self._tasks:
            task.cancel()

    async def wait_for_completion(self, instance_id: str) -> None:
        """Return when the instance has finished, at once if it has already or is not there."""
        instance = self.find(instance_id)
        if instance is None or instance.is_finished:
            return
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(instance_id, []).append(over)
        await over

    def find(self, instance_id: str) -> Instance | None:
        """Return the instance as it is stored."""
        return self.database.read(lambda c: records.find(c, self.settings.hub, instance_id))

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run *work* as a task of this engine, ended with it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (problem := task.exception()) is not None:
            _log.error("a task of the durable engine failed", exc_info=problem)

    # -- messages ----------------------------------------------------------------------------

    def deliver(self, message: Message) -> None:
        """Hand *message* to its instance; a stored one must be committed already."""
        if message.id.startswith("@"):
            self._entities.notify(message.id)
            return
        session = self._sessions.get(message.id)
        if session is None:
            session = self._load(message.id)
            if session is None:
                return
            if message.seq is None:
                session.inbox.append(message)
        elif message.seq is None or message.seq > session.loaded_to:
            session.inbox.append(message)
        self._activate(session)

    def notify(self, instance_id: str) -> None:
        """Run an instance that may have something to do: a new one, or one rewound."""
        session = self._sessions.get(instance_id) or self._load(instance_id)
        if session is not None:
            self._activate(session)

    def forget(self, instance_id: str) -> None:
        """Drop what is in memory about an instance: it was purged, replaced or rewound."""
        self._sessions.pop(instance_id, None)

    def resume_history(self, instance_id: str) -> None:
        """Continue an instance whose stored history was changed by a rewind."""
        self.forget(instance_id)
        self._recover(instance_id)

    def _load(self, instance_id: str) -> InstanceSession | None:
        hub = self.settings.hub

        def read(connection: sqlite3.Connection) -> InstanceSession | None:
            instance = records.find(connection, hub, instance_id)
            if instance is None or instance.is_finished:
                return None
            pieces = records.history(connection, hub, instance_id)
            waiting = records.messages(connection, hub, instance_id)
            return InstanceSession(instance, history.decode(pieces), len(pieces), waiting)

        session = self.database.read(read)
        if session is not None:
            self._sessions[instance_id] = session
        return session

    def _recover(self, instance_id: str) -> None:
        """Run the open activities, schedule the open timers of an instance, as history has them."""
        session = self._sessions.get(instance_id) or self._load(instance_id)
        if session is None:
            return
        answered = {completes(m.event) for m in session.inbox}
        for item in open_work(session.events):
            if item["EventId"] not in answered:
                self._dispatch(session.instance, item)
        self._activate(session)

    def _schedule_timers(self, instance: Instance) -> None:
        if instance.wake_at is not None:
            session = self._sessions.get(instance.id) or self._load(instance.id)
            assert session is not None
            for item in open_work(session.events):
                if item["EventType"] == EventType.TIMER_CREATED:
                    self._dispatch(instance, item)
            self._evict()

    def _fire_timer(self, timer: DurableTimer) -> None:
        due, instance_id, execution, timer_id = timer
        fired = event(
            EventType.TIMER_FIRED,
            history.timestamp(self.clock.now()),
            TimerId=timer_id,
            FireAt=history.timestamp(due),
        )
        self.deliver(Message(instance_id, execution, fired))

    # -- episodes ----------------------------------------------------------------------------

    def _activate(self, session: InstanceSession) -> None:
        if not session.is_active and not self._is_dead:
            session.is_active = True
            self.spawn(self._run(session))

    async def _run(self, session: InstanceSession) -> None:
        """Run episodes until there is nothing to do for this instance."""
        try:
            while not self._is_dead:
                if session.is_due:
                    async with self._orchestrator_slots:
                        is_stored = await self._episode(session)
                    if not is_stored:
                        return
                elif not await self._keep_while_suspended(session):
                    break
        finally:
            session.is_active = False
        self._release(session)

    def _release(self, session: InstanceSession) -> None:
        instance_id = session.instance.id
        if self._sessions.get(instance_id) is session:
            if session.instance.is_finished:
                self.forget(instance_id)
            else:
                self._sessions.move_to_end(instance_id)
        self._evict()

    def _evict(self) -> None:
        """Evict the sessions that ran least recently; any of them can be read again."""
        surplus = len(self._sessions) - self.settings.live_max
        if surplus > 0:
            idle = [
                instance_id
                for instance_id, session in self._sessions.items()
                if not session.is_active and not any(m.seq is None for m in session.inbox)
            ]
            for instance_id in idle[:surplus]:
                self.forget(instance_id)

    async def _episode(self, session: InstanceSession) -> bool:
        """Run one episode; return whether it was stored. If not, *session* must be dropped."""
        worker = self._worker(session.instance.id)
        function = worker.find(ORCHESTRATION, session.instance.name)
        commit = session.decide(
            function.handler if function else None,
            worker,
            self.settings,
            self.clock.now(),
            lambda: self.entropy.uuid().hex,
        )
        try:
            sent, started = await self.database.write(lambda c: self._store(c, commit))
        except Superseded:
            self._reload(session, commit)
            return False
        except (Unavailable, sqlite3.Error):
            _log.exception("an episode of %s was not stored; it is tried again", commit.after.id)
            await self.clock.sleep(_RETRY_COMMIT_S)
            self._reload(session, commit)
            return False
        if commit.failure:
            _log.error("%s (instance %s)", commit.failure, commit.after.id, exc_info=commit.cause)
        session.settle(commit)
        self._carry_out(commit, sent, started)
        return True

    def _store(
        self, connection: sqlite3.Connection, commit: EpisodeCommit
    ) -> tuple[list[Message], list[str]]:
        """Write one episode; return the messages and the new instances that it made."""
        hub, after = self.settings.hub, commit.after
        records.update(connection, hub, commit.execution, after)
        if commit.is_new_generation:
            records.clear_history(connection, hub, after.id)
        else:
            records.append_history(connection, hub, after.id, commit.position, commit.piece)
        if commit.consumed:
            records.forget_messages(connection, commit.consumed)
        if after.is_finished:
            records.forget_all_messages(connection, hub, after.id)
        started, sent = [], []
        for child in commit.children:
            try:
                records.create(connection, hub, child)
                started.append(child.id)
            except AlreadyExists as problem:
                sent.append(records.send(connection, hub, _not_started(child, problem)))
        sent.extend(records.send(connection, hub, message) for message in commit.sends)
        return sent, started

    def _carry_out(
        self, commit: EpisodeCommit, sent: Sequence[Message], started: Sequence[str]
    ) -> None:
        for item in commit.activities:
            self._dispatch(commit.after, item)
        for item in commit.timers:
            self._dispatch(commit.after, item)
        for child in started:
            self.forget(child)
            self.notify(child)
        for message in sent:
            self.deliver(message)
        if commit.after.is_finished:
            for over in self._waiters.pop(commit.after.id, ()):
                if not over.done():
                    over.set_result(None)

    def _reload(self, session: InstanceSession, commit: EpisodeCommit) -> None:
        """Read the instance again, and deliver again what only memory has."""
        unpersisted = [*commit.unpersisted, *(m for m in session.inbox if m.seq is None)]
        self.forget(session.instance.id)
        again = self._load(session.instance.id)
        if again is not None:
            again.inbox.extend(unpersisted)
            self._activate(again)

    async def _keep_while_suspended(self, session: InstanceSession) -> bool:
        """Store the messages that wait for a resume; return whether there were any."""
        unpersisted = [m for m in session.inbox if m.seq is None]
        if session.instance.status != records.SUSPENDED or not unpersisted:
            return False
        kept = await self.database.write(
            lambda c: [records.send(c, self.settings.hub, m) for m in unpersisted]
        )
        for message in unpersisted:
            session.inbox.remove(message)
        session.inbox.extend(kept)
        return True

    def _worker(self, instance_id: str) -> DurableFunctions:
        """Return the app that owns the instance's partition."""
        return self.workers[crc32(instance_id.encode()) % _PARTITIONS % len(self.workers)]

    def _dispatch(self, instance: Instance, item: Event) -> None:
        if item["EventType"] == EventType.TIMER_CREATED:
            due = history.instant(item["FireAt"])
            self._timers.schedule((due, instance.id, instance.execution, item["EventId"]))
        else:
            self._activities.run(instance, item)


def _not_started(child: Instance, problem: AlreadyExists) -> Message:
    """Return the failure for a parent whose sub-orchestration's id is in use."""
    assert child.parent is not None
    reference = json.loads(child.parent)["reference"]
    owner = reference["OrchestrationInstance"]
    answer = event(
        EventType.SUB_ORCHESTRATION_FAILED,
        child.created_at,
        TaskScheduledId=reference["TaskScheduleId"],
        Reason=str(problem),
        Details="",
    )
    return Message(owner["InstanceId"], owner["ExecutionId"], answer)
