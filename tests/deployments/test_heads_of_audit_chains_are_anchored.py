"""The heads of all audit chains are kept apart from them, and lead from one to the next."""

import json
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import pytest

from function_apps.deployments.use_cases.anchor_audit_heads import (
    ANCHOR,
    anchor_audit_heads,
)
from function_apps.deployments.use_cases.queries import get_audit_heads
from shared.contracts.audit import AuditHeads
from shared.contracts.storage import AUDIT, AUDIT_HEADS
from shared.contracts.values import TenantId
from shared.kernel.context import Scope
from shared.kernel.errors import Unavailable
from shared.messaging.audit import AuditTrail
from shared.messaging.outbox import Record
from shared.persistence.tables import TableRow
from tests.deployments.driven import Driven, driven
from tests.kit.service import TENANT
from tests.kit.virtual_time import run_virtual

OTHER = TenantId("globex")


def trail(world: Driven, service: str = "catalog") -> AuditTrail:
    return AuditTrail(world.bench.storage.table(AUDIT), service)


async def recorded(
    world: Driven, *names: str, service: str = "catalog", tenant: str = TENANT
) -> None:
    for name in names:
        record = Record(
            name, tenant, "env", "user:ann", "Do", "thing", "ok", "request", "c", "t", "at"
        )
        await trail(world, service).append(record)


async def made_anew(world: Driven, *names: str, tenant: str = TENANT) -> None:
    """Write another chain in place of catalog's, as somebody with access to the table could."""
    table = world.bench.storage.table(AUDIT)
    await table.delete_before(f"catalog|{tenant}", "~")
    await recorded(world, *names, tenant=tenant)
    assert await trail(world).verify(tenant) is None


async def stored(world: Driven) -> Sequence[str]:
    return sorted(
        each.name for each in await world.bench.storage.blobs(AUDIT_HEADS).list_stored("")
    )


async def heads(world: Driven) -> AuditHeads:
    return await get_audit_heads(world.ctx, world.app)


async def content(text: bytes) -> AsyncIterator[bytes]:
    yield text


def undone(world: Driven) -> int:
    service = world.app.service
    return service.sweeps.failures(service.clock.now()).get(ANCHOR, 0)


def test_each_service_s_head_is_anchored_for_each_tenant_apart() -> None:
    async def main() -> None:
        world = driven()
        await recorded(world, "a", "b")
        await recorded(world, "c", service="secret_bindings")
        await recorded(world, "d", tenant=OTHER)

        await anchor_audit_heads(world.app)

        anchored = await heads(world)
        (newest,) = [each async for each in _entries(world, "catalog", after=1)]
        assert {name: head.number for name, head in anchored.heads.items()} == {
            "catalog": 2,
            "secret-bindings": 1,
        }
        assert anchored.heads["catalog"].hash == newest
        assert (anchored.sequence, anchored.tenant_id) == (1, TENANT)
        assert [name.split("/")[0] for name in await stored(world)] == [TENANT, OTHER]

    run_virtual(main())


async def _entries(world: Driven, service: str, *, after: int) -> AsyncIterator[str]:
    for entry in await trail(world, service).entries(TENANT, after=after):
        yield entry.hash


def test_a_head_is_written_beside_the_one_before_and_only_if_it_is_another() -> None:
    async def main() -> None:
        world = driven()
        await recorded(world, "a")
        await anchor_audit_heads(world.app)
        first = await stored(world)
        await anchor_audit_heads(world.app)
        assert await stored(world) == first

        await recorded(world, "b")
        await anchor_audit_heads(world.app)

        assert [*first, (await stored(world))[-1]] == await stored(world)
        assert len(first) == 1
        assert (await heads(world)).sequence == 2

    run_virtual(main())


@pytest.mark.parametrize("anew", [("x", "y", "z"), ("x",)], ids=["longer", "shorter"])
def test_a_chain_that_was_made_anew_keeps_the_head_that_it_no_longer_has(
    anew: Sequence[str],
) -> None:
    """Its other chains, and other tenants, are anchored on."""

    async def main() -> None:
        world = driven()
        await recorded(world, "a", "b")
        await recorded(world, "c", service="health")
        await anchor_audit_heads(world.app)
        before = (await heads(world)).heads["catalog"]

        await made_anew(world, *anew)
        await recorded(world, "d", service="health")
        await recorded(world, "e", tenant=OTHER)
        await anchor_audit_heads(world.app)

        anchored = (await heads(world)).heads
        assert anchored["catalog"] == before
        assert anchored["health"].number == 2
        assert undone(world) == 1
        assert any(name.startswith(OTHER) for name in await stored(world))

    run_virtual(main())


def test_a_chain_that_is_broken_behind_its_head_is_anchored_no_further() -> None:
    async def main() -> None:
        world = driven()
        await recorded(world, "a")
        await anchor_audit_heads(world.app)
        await recorded(world, "b", "c")
        table = world.bench.storage.table(AUDIT)
        row = await table.get(f"catalog|{TENANT}", f"e|{2:012d}")
        assert row is not None
        changed = {**json.loads(str(row.values["record"])), "actor": "user:eve"}
        values = {**row.values, "record": json.dumps(changed)}
        await table.upsert([TableRow(row.partition_key, row.row_key, values)])

        await anchor_audit_heads(world.app)

        assert (await heads(world)).heads["catalog"].number == 1
        assert undone(world) == 1

    run_virtual(main())


def test_a_long_chain_is_followed_to_its_end() -> None:
    async def main() -> None:
        world = driven()
        await recorded(world, *(f"r{number}" for number in range(1_005)))

        await anchor_audit_heads(world.app)

        assert (await heads(world)).heads["catalog"].number == 1_005

    run_virtual(main())


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b'{"tenant": "acme", "heads": {}}', b"x" * 70_000,
     b'{"tenant": "globex", "sequence": 9, "at": "x", "heads": {}}',
     b'{"tenant": "acme", "sequence": 9, "at": "x", "heads": {"a": {"number": 1, "hash": ""}}}',
     b'{"tenant": "acme", "sequence": 9, "at": "x", "heads": {}}',
     b'{"tenant": "acme", "sequence": -9, "at": "2026-01-01T00:00:00Z", "heads": {}}',
     b"[" * 60_000],
    ids=["empty", "list", "without-sequence", "long", "of-another-tenant", "no-head", "at-no-time",
         "negative", "deep"],
)  # fmt: skip
def test_a_blob_that_has_no_heads_stops_its_tenant_alone(text: bytes) -> None:
    """Nothing is written beside it: it would be compared with nothing."""

    async def main() -> None:
        world = driven()
        await recorded(world, "a")
        await recorded(world, "b", tenant=OTHER)
        year = world.app.service.clock.now().year
        blobs = world.bench.storage.blobs(AUDIT_HEADS)
        await blobs.put(f"{TENANT}/{year}/00000009-x.json", content(text))

        await anchor_audit_heads(world.app)

        assert [name.split("/")[0] for name in await stored(world)] == [TENANT, OTHER]
        assert undone(world) == 1
        with pytest.raises(Unavailable, match="no heads of audit records"):
            await heads(world)

    run_virtual(main())


def test_nothing_is_anchored_of_a_tenant_before_the_first_time() -> None:
    async def main() -> None:
        world = driven()
        anchored = await heads(world)
        assert (anchored.sequence, anchored.anchored_at, anchored.heads) == (0, None, {})

    run_virtual(main())


def test_a_tenant_is_told_its_own_heads_only() -> None:
    async def main() -> None:
        world = driven()
        await recorded(world, "a", tenant=OTHER)
        await anchor_audit_heads(world.app)

        assert (await heads(world)).heads == {}
        theirs = world.bench.ctx(Scope(OTHER, "user:bob"))
        assert [*(await get_audit_heads(theirs, world.app)).heads] == ["catalog"]

    run_virtual(main())


def test_heads_are_kept_for_seven_years_and_the_newest_for_ever() -> None:
    async def main() -> None:
        world = driven()
        await recorded(world, "a")
        await recorded(world, "b", tenant=OTHER)
        await anchor_audit_heads(world.app)
        first = await stored(world)

        async def after(years: int) -> Sequence[str]:
            await world.app.service.clock.sleep(timedelta(days=366 * years).total_seconds())
            await anchor_audit_heads(world.app)
            return await stored(world)

        assert await after(7) == first
        await recorded(world, "c")
        assert len(await after(1)) == 2
        assert {*first} - {*await stored(world)} == {
            name for name in first if name.startswith(f"{TENANT}/")
        }
        await after(20)
        await recorded(world, "d", tenant=OTHER)
        await anchor_audit_heads(world.app)
        assert (
            await world.app.head_anchors.newest(OTHER, world.app.service.clock.now())
        ).sequence == 2

    run_virtual(main())
