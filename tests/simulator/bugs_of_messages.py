"""Bugs in what all services share: how they commit, send, handle and remember."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from function_apps.configurations.use_cases import record_environment
from shared.durable.recovery import Recovery
from shared.kernel.errors import Unavailable
from shared.messaging import unit_of_work
from shared.messaging.audit import AuditTrail
from shared.messaging.dispatcher import Dispatcher
from shared.messaging.outbox import Message, Publish, Record, Send
from shared.messaging.relay import Relay
from shared.messaging.unit_of_work import UnitOfWork
from shared.persistence.store import Replace, Upsert
from tests.simulator.simulated_world import RecordedStore

Change = tuple[Any, str, Any]
"""The object, the name on it, and what stands there instead."""


def around(owner: Any, name: str, change: Callable[..., Any]) -> Change:
    """Return the change by which *name* of *owner* is *change*, given what was there."""
    inner = getattr(owner, name)

    def changed(*arguments: Any, **named: Any) -> Any:
        return change(inner, *arguments, **named)

    return owner, name, changed


def skip_the_inbox() -> Sequence[Change]:
    def commit(inner: Any, work: Any, ctx: Any, *more: Any, **named: Any) -> Any:
        is_message = ctx.cause.kind in {"event", "command"}
        return inner(work, ctx.without_marker() if is_message else ctx, *more, **named)

    return [around(UnitOfWork, "commit", commit)]


def publish_before_commit() -> Sequence[Change]:
    prepare, commit = unit_of_work._prepare, UnitOfWork.commit
    relays: list[Relay] = []
    under_way: list[asyncio.Future[Any]] = []

    def committing(work: Any, *arguments: Any, **named: Any) -> Any:
        relays[:] = [work.relay]
        return commit(work, *arguments, **named)

    def prepared(*arguments: Any) -> Any:
        committed, operations = prepare(*arguments)
        messages = [each for each in committed.rows if _is_message(each.row)]
        under_way.append(asyncio.ensure_future(relays[0]._send(messages)))
        return committed, operations

    return [(UnitOfWork, "commit", committing), (unit_of_work, "_prepare", prepared)]


def _is_message(row: Any) -> bool:
    return isinstance(row, Message)


def commands_forgotten() -> Sequence[Change]:
    return _forgotten(Send)


def events_forgotten() -> Sequence[Change]:
    return _forgotten(Publish)


def _forgotten(kind: type[object]) -> Sequence[Change]:
    def stored(inner: Any, rows: Any, audited: Any, *more: Any) -> Any:
        return inner([each for each in rows if not isinstance(each, kind)], audited, *more)

    return [around(unit_of_work, "stored_rows", stored)]


def without_audit() -> Sequence[Change]:
    def stored(inner: Any, rows: Any, _audited: Any, *more: Any) -> Any:
        return inner(rows, None, *more)

    return [around(unit_of_work, "stored_rows", stored)]


def audit_loses_entries() -> Sequence[Change]:
    async def append(inner: Any, trail: Any, record: Record) -> None:
        if not record.record_id.endswith("0"):
            await inner(trail, record)

    return [around(AuditTrail, "append", append)]


def event_told_and_not_published() -> Sequence[Change]:
    def encoded(inner: Any, rows: Any, *more: Any) -> Any:
        kept = [each for each in rows if not (_is_message(each) and each.service is None)]
        return inner(kept, *more)

    return [around(unit_of_work, "encode", encoded)]


def settle_before_handling() -> Sequence[Change]:
    async def settle(_inner: Any, dispatcher: Any, envelope: Any, ctx: Any, _for_s: float) -> bool:
        try:
            await dispatcher._handle(envelope, ctx)
        except Unavailable:
            return False
        return True

    return [around(Dispatcher, "_settle", settle)]


def rows_deleted_unsent() -> Sequence[Change]:
    async def send(inner: Any, relay: Any, rows: Any) -> set[str]:
        await inner(relay, rows)
        return set()

    return [around(Relay, "_send", send)]


def rows_never_deleted() -> Sequence[Change]:
    async def delete(_inner: Any, _relay: Any, _partition: Any, _rows: Any) -> int:
        return 0

    return [around(Relay, "_delete", delete)]


async def nothing(*_arguments: Any, **_named: Any) -> int:
    return 0


def no_second_relay() -> Sequence[Change]:
    return [(Relay, "sweep", nothing), (Relay, "relay_changes", nothing)]


def no_recovery() -> Sequence[Change]:
    return [(Recovery, "sweep", nothing)]


def ignore_etags() -> Sequence[Change]:
    async def batch(inner: Any, store: Any, partition: Any, operations: Any) -> Any:
        forced = [
            Upsert(each.id, each.body, each.ttl_s) if isinstance(each, Replace) else each
            for each in operations
        ]
        await asyncio.sleep(0.05)  # noqa: TID251  of virtual time: others write meanwhile
        return await inner(store, partition, forced)

    return [around(RecordedStore, "batch", batch)]


def older_events_are_taken() -> Sequence[Change]:
    def newest(inner: Any, _known: Any, event: Any) -> Any:
        return inner(None, event)

    return [around(record_environment, "on_environment_event", newest)]


def operations_are_forgotten() -> Sequence[Change]:
    async def batch(inner: Any, store: Any, partition: Any, operations: Any) -> Any:
        kept = [
            each
            for each in operations
            if not (isinstance(each, Replace) and each.id.startswith("operation/"))
        ]
        etags = iter(await inner(store, partition, kept) if kept else ())
        return [next(etags) if each in kept else "lost" for each in operations]

    return [around(RecordedStore, "batch", batch)]
