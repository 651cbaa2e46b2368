"""The commands of a durable client: start, read, raise events, terminate, rewind, purge.

Each command is one transaction: its check and its effect are one step. Refusals carry the
status that the management endpoints answer with (functions-durable, HttpApiHandler).
"""

import json
import sqlite3
from collections.abc import Sequence
from typing import Final

from local_host.durable import history, records
from local_host.durable.engine import Engine
from local_host.durable.functions import ENTITY, ORCHESTRATION
from local_host.durable.history import Event, EventType, event
from local_host.durable.instance_ids import id_refusal, key_refusal
from local_host.durable.records import Instance, Message
from local_host.durable.rewind import rewind

PURGED_BY_DEFAULT: Final = tuple(sorted(records.FINISHED))


class CommandRefused(Exception):
    """Nothing was done. `status` is 400, 404 or 410."""

    def __init__(self, status: int, text: str, kind: str = "System.ArgumentException") -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.kind = kind


class DurableClient:
    """The commands of one task hub."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.hub = engine.settings.hub

    def knows(self, orchestrator: str) -> bool:
        return any(w.find(ORCHESTRATION, orchestrator) for w in self._engine.workers)

    async def start(
        self,
        name: str,
        instance_id: str | None = None,
        given: str | None = None,
        version: str | None = None,
    ) -> str:
        """Start an instance of *name* with the input *given* (JSON text); return its id.

        A finished instance of the same id is replaced with its history.

        Raises:
            CommandRefused: 400, there is no such orchestrator, or the id is malformed.
            AlreadyExists: the id is in use.
        """
        engine = self._engine
        if not self.knows(name):
            raise CommandRefused(400, engine.workers[0].missing(ORCHESTRATION, name))
        instance_id = instance_id or engine.entropy.uuid().hex
        if refusal := id_refusal(instance_id):
            raise CommandRefused(400, refusal)
        at = history.timestamp(engine.clock.now())
        instance = Instance(
            id=instance_id,
            execution=engine.entropy.uuid().hex,
            name=name,
            version=engine.settings.default_version if version is None else version,
            status=records.PENDING,
            input=given,
            output=None,
            custom_status=None,
            parent=None,
            created_at=at,
            updated_at=at,
        )
        await engine.database.write(lambda c: records.create(c, self.hub, instance))
        engine.forget(instance_id)
        engine.notify(instance_id)
        return instance_id

    def status(self, instance_id: str) -> Instance | None:
        """Return the instance as it is stored."""
        return self._engine.find(instance_id)

    def events(self, instance_id: str) -> list[Event]:
        """Return the stored history of an instance."""
        pieces = self._engine.database.read(lambda c: records.history(c, self.hub, instance_id))
        return history.decode(pieces)

    def select(
        self,
        *,
        statuses: Sequence[str] = (),
        created_from: str = "",
        created_to: str = "",
        prefix: str = "",
        after: str = "",
        limit: int = -1,
    ) -> list[Instance]:
        """Return instances by id; *after* and *limit* make a page."""
        return self._engine.database.read(
            lambda c: records.select(
                c,
                self.hub,
                statuses=statuses,
                created_from=created_from,
                created_to=created_to,
                prefix=prefix,
                after=after,
                limit=limit,
            )
        )

    async def raise_event(self, instance_id: str, name: str, given: str) -> None:
        """Send the external event *name* with the JSON text *given*.

        Raises:
            CommandRefused: 400 an event without a name, 404 there is no such instance, 410 it has
                finished.
        """
        if not name.strip():
            raise CommandRefused(400, "an external event has a name, got none")
        await self._tell(instance_id, EventType.EVENT_RAISED, Name=name, Input=given)

    async def terminate(self, instance_id: str, reason: str) -> None:
        """End the instance before it handles anything that waits. Raises as `raise_event`."""
        await self._tell(instance_id, EventType.EXECUTION_TERMINATED, Input=reason)

    async def suspend(self, instance_id: str, reason: str) -> None:
        """Pause the instance until `resume`; events are kept. Raises as `raise_event`."""
        await self._tell(instance_id, EventType.EXECUTION_SUSPENDED, Reason=reason)

    async def resume(self, instance_id: str, reason: str) -> None:
        """Continue with all events that were kept, in order. Raises as `raise_event`."""
        await self._tell(instance_id, EventType.EXECUTION_RESUMED, Reason=reason)

    async def _tell(self, instance_id: str, kind: EventType, **fields: str) -> None:
        at = history.timestamp(self._engine.clock.now())
        message = Message(instance_id, None, event(kind, at, **fields))

        def keep(connection: sqlite3.Connection) -> Message:
            instance = _existing(connection, self.hub, instance_id)
            if instance.is_finished:
                raise CommandRefused(410, f"{instance_id} has finished: {instance.status}")
            return records.send(connection, self.hub, message)

        self._engine.deliver(await self._engine.database.write(keep))

    async def restart(self, instance_id: str, *, with_new_id: bool) -> str:
        """Start the same orchestrator with the same input; return the id.

        Raises:
            CommandRefused: 404, there is no such instance.
            AlreadyExists: under its own id while it has not finished.
        """
        former = self.status(instance_id)
        if former is None:
            raise CommandRefused(404, f"there is no instance {instance_id}")
        again = None if with_new_id else instance_id
        return await self.start(former.name, again, former.input, former.version)

    async def rewind(self, instance_id: str, reason: str) -> None:
        """Bring a failed instance, and the failed children it waits for, back to where they failed.

        Raises:
            CommandRefused: 404 unknown, 410 finished otherwise, 400 not finished.
        """
        at = history.timestamp(self._engine.clock.now())

        def store(connection: sqlite3.Connection) -> list[str]:
            instance = _existing(connection, self.hub, instance_id)
            if instance.status != records.FAILED:
                raise CommandRefused(
                    410 if instance.is_finished else 400,
                    f"only a failed instance can be rewound; {instance_id} is {instance.status}",
                )
            return rewind(connection, self.hub, instance, reason, at)

        for rewound in await self._engine.database.write(store):
            self._engine.resume_history(rewound)

    async def purge(self, instance_id: str) -> int:
        """Remove a finished instance and its history; return how many were removed, 0 or 1."""

        def erase(connection: sqlite3.Connection) -> int:
            instance = records.find(connection, self.hub, instance_id)
            if instance is None or not instance.is_finished:
                return 0
            records.erase(connection, self.hub, instance_id)
            return 1

        return await self._engine.database.write(erase)

    async def purge_selected(
        self, created_from: str, created_to: str, statuses: Sequence[str]
    ) -> int:
        """Remove the finished instances that match; return how many."""
        wanted = [s for s in (statuses or PURGED_BY_DEFAULT) if s in records.FINISHED]

        def erase(connection: sqlite3.Connection) -> int:
            instances = records.select(
                connection, self.hub, statuses=wanted, created_from=created_from,
                created_to=created_to,
            )  # fmt: skip
            for instance in instances:
                records.erase(connection, self.hub, instance.id)
            return len(instances)

        return await self._engine.database.write(erase) if wanted else 0

    async def signal_entity(self, name: str, key: str, operation: str, given: str | None) -> None:
        """Send an operation that nobody waits for; *given* is JSON text.

        Raises:
            CommandRefused: 400, there is no such entity function, or the key is malformed.
        """
        engine = self._engine
        if not any(worker.find(ENTITY, name) for worker in engine.workers):
            raise CommandRefused(400, engine.workers[0].missing(ENTITY, name))
        request = {"op": operation, "id": str(engine.entropy.uuid()), "signal": True}
        if given is not None:
            request["input"] = given
        target = f"@{name.lower()}@{key}"
        if refusal := key_refusal(target):
            raise CommandRefused(400, refusal)
        message = Message(target, None, request)
        engine.deliver(await engine.database.write(lambda c: records.send(c, self.hub, message)))

    def entity_state(self, name: str, key: str) -> str | None:
        """Return the state as JSON text, None when the entity does not exist."""
        return self._engine.database.read(
            lambda c: records.entity_state(c, self.hub, name.lower(), key)
        )

    def entities(self, name: str | None) -> list[tuple[str, str, str, str]]:
        """Return name, key, state and time of the last change of all entities (of one name)."""
        wanted = name.lower() if name else None
        return self._engine.database.read(lambda c: records.entities(c, self.hub, wanted))


def _existing(connection: sqlite3.Connection, hub: str, instance_id: str) -> Instance:
    instance = records.find(connection, hub, instance_id)
    if instance is None:
        raise CommandRefused(404, f"there is no instance {instance_id}")
    return instance


def input_text(value: object) -> str:
    """Return *value* as the library's client sends an input: JSON text inside a JSON string."""
    return json.dumps(json.dumps(value))
