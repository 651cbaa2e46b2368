"""One task hub at work: runs episodes, activities and timers, and recovers them after a crash.

Everything an episode decides is committed in one transaction before any of it happens; what has
happened and is not committed happens again. So an activity runs at least once, and everything else
exactly once. A message (a completed activity, a fired timer) joins the next episode of its
instance; all that came while an episode was being committed share one.

In memory the engine keeps instances that have lately moved (`Resident`), never as the truth: it may
be dropped at any moment and another engine over the same database goes on.
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
from local_host.durable.activities import ActivityTurns
from local_host.durable.durable_timers import Alarm, Alarms
from local_host.durable.entities import EntityTurns
from local_host.durable.functions import ORCHESTRATION, DurableFunctions
from local_host.durable.history import Event, EventType, event
from local_host.durable.instance import Commit, Resident, completes, open_work
from local_host.durable.records import AlreadyExists, Instance, Message, Superseded
from local_host.durable.settings import DurableSettings
from local_host.durable.task_hub import Records
from local_host.model import Invoker
from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy

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
        library_patches.prepare()
        self.database = database
        self.workers = tuple(workers)
        self.settings = settings
        self.clock = clock
        self.entropy = entropy
        self._residents: OrderedDict[str, Resident] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._endings: dict[str, list[asyncio.Future[None]]] = {}
        self._is_dead = False
        self._alarms = Alarms(clock, self._ring)
        self._alarm_task: asyncio.Task[None] | None = None
        self._orchestrator_slots = asyncio.Semaphore(settings.orchestrators_max)
        self._activities = ActivityTurns(self, invoker)
        self._entities = EntityTurns(self, invoker)

    # -- life --------------------------------------------------------------------------------

    async def start(self) -> None:
        """Resume everything unfinished: activities, timers, waiting messages, new instances."""
        self._alarm_task = asyncio.create_task(self._alarms.run())
        waiting = self.database.read(lambda c: records.targets(c, self.settings.hub))
        for instance in self.database.read(lambda c: records.unfinished(c, self.settings.hub)):
            if instance.status in (records.PENDING, records.CONTINUED) or instance.open_calls:
                self._recover(instance.id)
            elif instance.id in waiting:
                self.wake(instance.id)
                self._arm_all(instance)
            else:
                self._arm_all(instance)
        for target in waiting:
            if target.startswith("@"):
                self._entities.wake(target)

    async def stop(self, grace_s: float) -> None:
        """Begin no activity, let *grace_s* pass for those that run and what they lead to.

        What is cut off then runs again later.
        """
        self._activities.begin_none()
        if self._alarm_task is not None:
            self._alarm_task.cancel()
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
        self._activities.begin_none()
        if self._alarm_task is not None:
            self._alarm_task.cancel()
        for task in self._tasks:
            task.cancel()

    async def ending(self, instance_id: str) -> None:
        """Return when the instance has finished, at once if it has already or is not there."""
        instance = self.find(instance_id)
        if instance is None or instance.is_finished:
            return
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._endings.setdefault(instance_id, []).append(over)
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
            _log.error("a part of the durable engine failed", exc_info=problem)

    # -- messages ----------------------------------------------------------------------------

    def deliver(self, message: Message) -> None:
        """Hand over a message; one that is kept must be committed already."""
        if message.id.startswith("@"):
            self._entities.wake(message.id)
            return
        resident = self._residents.get(message.id)
        if resident is None:
            resident = self._load(message.id)
            if resident is None:
                return
            if message.seq is None:
                resident.inbox.append(message)
        elif message.seq is None or message.seq > resident.loaded_to:
            resident.inbox.append(message)
        self._activate(resident)

    def wake(self, instance_id: str) -> None:
        """Look at an instance that may have something to do: a new one, or one rewound."""
        resident = self._residents.get(instance_id) or self._load(instance_id)
        if resident is not None:
            self._activate(resident)

    def forget(self, instance_id: str) -> None:
        """Drop what is in memory about an instance: it was purged, replaced or rewound."""
        self._residents.pop(instance_id, None)

    def resume_history(self, instance_id: str) -> None:
        """Look at an instance whose stored history was changed by a rewind."""
        self.forget(instance_id)
        self._recover(instance_id)

    def _load(self, instance_id: str) -> Resident | None:
        hub = self.settings.hub

        def read(connection: sqlite3.Connection) -> Resident | None:
            instance = records.find(connection, hub, instance_id)
            if instance is None or instance.is_finished:
                return None
            pieces = records.history(connection, hub, instance_id)
            waiting = records.messages(connection, hub, instance_id)
            return Resident(instance, history.decode(pieces), len(pieces), waiting)

        resident = self.database.read(read)
        if resident is not None:
            self._residents[instance_id] = resident
        return resident

    def _recover(self, instance_id: str) -> None:
        """Run the open activities and arm the open timers of an instance as history has them."""
        resident = self._residents.get(instance_id) or self._load(instance_id)
        if resident is None:
            return
        answered = {completes(m.event) for m in resident.inbox}
        for item in open_work(resident.events):
            if item["EventId"] not in answered:
                self._dispatch(resident.instance, item)
        self._activate(resident)

    def _arm_all(self, instance: Instance) -> None:
        if instance.wake_at is not None:
            resident = self._residents.get(instance.id) or self._load(instance.id)
            assert resident is not None
            for item in open_work(resident.events):
                if item["EventType"] == EventType.TIMER_CREATED:
                    self._dispatch(instance, item)
            self._trim()

    def _ring(self, alarm: Alarm) -> None:
        due, instance_id, execution, timer = alarm
        fired = event(
            EventType.TIMER_FIRED,
            history.timestamp(self.clock.now()),
            TimerId=timer,
            FireAt=history.timestamp(due),
        )
        self.deliver(Message(instance_id, execution, fired))

    # -- episodes ----------------------------------------------------------------------------

    def _activate(self, resident: Resident) -> None:
        if not resident.is_active and not self._is_dead:
            resident.is_active = True
            self.spawn(self._run(resident))

    async def _run(self, resident: Resident) -> None:
        """Run episodes until there is nothing to do for this instance."""
        try:
            while not self._is_dead:
                if resident.is_due:
                    async with self._orchestrator_slots:
                        is_stored = await self._episode(resident)
                    if not is_stored:
                        return
                elif not await self._keep_while_suspended(resident):
                    break
        finally:
            resident.is_active = False
        self._rest(resident)

    def _rest(self, resident: Resident) -> None:
        instance_id = resident.instance.id
        if self._residents.get(instance_id) is resident:
            if resident.instance.is_finished:
                self.forget(instance_id)
            else:
                self._residents.move_to_end(instance_id)
        self._trim()

    def _trim(self) -> None:
        """Keep the instances that moved last; any of them can be read again."""
        surplus = len(self._residents) - self.settings.live_max
        if surplus > 0:
            idle = [
                instance_id
                for instance_id, resident in self._residents.items()
                if not resident.is_active and not any(m.seq is None for m in resident.inbox)
            ]
            for instance_id in idle[:surplus]:
                self.forget(instance_id)

    async def _episode(self, resident: Resident) -> bool:
        """Run one episode; return whether it was stored, else *resident* is of no more use."""
        worker = self._worker(resident.instance.id)
        function = worker.find(ORCHESTRATION, resident.instance.name)
        commit = resident.decide(
            function.handler if function else None,
            worker,
            self.settings,
            self.clock.now(),
            lambda: self.entropy.uuid().hex,
        )
        try:
            sent, started = await self.database.write(lambda c: self._store(c, commit))
        except Superseded:
            self._begin_again(resident, commit)
            return False
        except sqlite3.Error:
            _log.exception("an episode of %s was not stored; it is tried again", commit.after.id)
            await self.clock.sleep(_RETRY_COMMIT_S)
            self._begin_again(resident, commit)
            return False
        resident.settle(commit)
        self._let_happen(commit, sent, started)
        return True

    def _store(
        self, connection: sqlite3.Connection, commit: Commit
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

    def _let_happen(self, commit: Commit, sent: Sequence[Message], started: Sequence[str]) -> None:
        for item in commit.activities:
            self._dispatch(commit.after, item)
        for item in commit.timers:
            self._dispatch(commit.after, item)
        for child in started:
            self.forget(child)
            self.wake(child)
        for message in sent:
            self.deliver(message)
        if commit.after.is_finished:
            for over in self._endings.pop(commit.after.id, ()):
                if not over.done():
                    over.set_result(None)

    def _begin_again(self, resident: Resident, commit: Commit) -> None:
        """Read the instance anew, and hand over again what only memory has."""
        unkept = [*commit.unkept, *(m for m in resident.inbox if m.seq is None)]
        self.forget(resident.instance.id)
        again = self._load(resident.instance.id)
        if again is not None:
            again.inbox.extend(unkept)
            self._activate(again)

    async def _keep_while_suspended(self, resident: Resident) -> bool:
        """Make durable what waits for a resume; return whether there was anything."""
        unkept = [m for m in resident.inbox if m.seq is None]
        if resident.instance.status != records.SUSPENDED or not unkept:
            return False
        kept = await self.database.write(
            lambda c: [records.send(c, self.settings.hub, m) for m in unkept]
        )
        for message in unkept:
            resident.inbox.remove(message)
        resident.inbox.extend(kept)
        return True

    def _worker(self, instance_id: str) -> DurableFunctions:
        """Return the app that owns the instance's partition."""
        return self.workers[crc32(instance_id.encode()) % _PARTITIONS % len(self.workers)]

    def _dispatch(self, instance: Instance, item: Event) -> None:
        if item["EventType"] == EventType.TIMER_CREATED:
            due = history.instant(item["FireAt"])
            self._alarms.arm((due, instance.id, instance.execution, item["EventId"]))
        else:
            self._activities.run(instance, item)


def _not_started(child: Instance, problem: AlreadyExists) -> Message:
    """Return what a parent is told whose sub-orchestration's id is in use."""
    assert child.parent is not None
    reference = json.loads(child.parent)["reference"]
    owner = reference["OrchestrationInstance"]
    told = event(
        EventType.SUB_ORCHESTRATION_FAILED,
        child.created_at,
        TaskScheduledId=reference["TaskScheduleId"],
        Reason=str(problem),
        Details="",
    )
    return Message(owner["InstanceId"], owner["ExecutionId"], told)
