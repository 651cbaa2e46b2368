"""Tables and blobs over connections that break: nothing is lost, nothing is there twice."""

import gc
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest
from azure.core.exceptions import ServiceResponseError
from azure.core.pipeline.transport import HttpRequest

from shared.connections.trusted_transport import trusted_transport
from shared.kernel.errors import Unavailable
from shared.messaging.audit import AuditTrail
from shared.messaging.outbox import Record
from shared.persistence.azure_blobs import AzureBlobs
from shared.persistence.storage_account import BLOCK_BYTES, StorageAccount
from shared.persistence.tables import RowExists, TableRow
from tests.kit.cut_proxy import Answer, CutAfter, CutBefore, CutProxy, Fault, Stall
from tests.kit.real_system import free_port
from tests.kit.storage_accounts import KEY, Connected, Emulator, connected, opened

pytestmark = pytest.mark.real

ROWS = [TableRow("p", f"{number}", {"n": number}) for number in range(3)]
LONG = bytes(range(256)) * (3 * BLOCK_BYTES // 256) + b"end"
BATCH, QUERY = b"POST /tests/$batch", b"GET /tests/"
BLOCK, COMMIT, BLOB, GET = b"comp=block&", b"comp=blocklist", b"PUT /tests/", b"GET /tests/"
STEPS = (BLOCK, BLOCK, COMMIT)


@dataclass(frozen=True)
class Wire:
    """One account, reached through a proxy and directly."""

    tables: CutProxy
    blobs: CutProxy
    through: Connected
    direct: Connected


@pytest.fixture
async def wire(emulator: Emulator) -> AsyncIterator[Wire]:
    account = StorageAccount(connection_string=emulator.connection_string())
    async with (
        CutProxy(emulator.table_port) as tables,
        CutProxy(emulator.blob_port) as blobs,
        connected(account) as direct,
    ):
        string = emulator.connection_string(table_port=tables.port, blob_port=blobs.port)
        proxied = StorageAccount(connection_string=string)
        through = opened(proxied, direct.name)
        # The first request makes the connection that breaks later.
        assert await through.table.get("p", "none") is None
        assert await through.blobs.size("none") is None
        yield Wire(tables, blobs, through, direct)
        await proxied.close()


async def chunks(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 1_000_000):
        yield content[start : start + 1_000_000]


async def whole(blobs: AzureBlobs, name: str) -> bytes:
    return b"".join([chunk async for chunk in await blobs.open(name)])


async def test_rows_cut_off_on_their_way_are_not_there(wire: Wire) -> None:
    wire.tables.will(CutBefore(BATCH))

    with pytest.raises(Unavailable):
        await wire.through.table.insert(ROWS)

    assert not await wire.direct.table.scan("p")
    await wire.through.table.insert(ROWS)
    assert list(await wire.direct.table.scan("p")) == ROWS


async def test_rows_whose_answer_is_lost_are_there_and_never_another_s(wire: Wire) -> None:
    """The first attempt is not repeated behind the caller, who would be told RowExists."""
    wire.tables.will(CutAfter(BATCH))

    with pytest.raises(Unavailable):
        await wire.through.table.insert(ROWS)

    assert list(await wire.direct.table.scan("p")) == ROWS
    with pytest.raises(RowExists):
        await wire.through.table.insert(ROWS)


@pytest.mark.parametrize("fault", [CutBefore(BATCH), CutAfter(BATCH), Answer(BATCH, 500)])
async def test_a_record_is_in_the_audit_trail_once(wire: Wire, fault: Fault) -> None:
    trail = AuditTrail(wire.through.table, "things")
    record = Record("evt-1", "acme", "env", "user:ann", "Do", "t", "ok", "request", "c", "t", "at")
    first = replace(record, record_id="evt-0")
    await trail.append(first)  # which puts its tenant on the list of those with a chain
    wire.tables.will(fault)

    with pytest.raises(Unavailable):
        await trail.append(record)
    await trail.append(record)
    await trail.append(record)

    assert wire.tables.is_done
    assert [entry.record for entry in await trail.entries("acme")] == [first, record]
    assert await trail.verify("acme") is None


@pytest.mark.parametrize("fault", [CutBefore(QUERY), CutAfter(QUERY)])
async def test_a_read_is_tried_again(wire: Wire, fault: Fault) -> None:
    await wire.direct.table.insert(ROWS)
    wire.tables.will(fault)

    assert list(await wire.through.table.scan("p")) == ROWS
    assert wire.tables.is_done


async def test_of_an_answer_that_breaks_off_nothing_is_believed(wire: Wire) -> None:
    """The SDK of blobs asks again, that of tables does not."""
    await wire.direct.table.insert(ROWS)
    for name in ("a", "b", "c"):
        await wire.direct.blobs.put(name, chunks(b"x"))
    wire.tables.will(CutAfter(QUERY, 700))
    wire.blobs.will(CutAfter(b"comp=list", 1_200))

    with pytest.raises(Unavailable):
        await wire.through.table.scan("p")

    listed = await wire.through.blobs.list_stored("")
    assert [blob.name for blob in listed] == ["a", "b", "c"]
    assert wire.tables.is_done
    assert wire.blobs.is_done


@pytest.mark.parametrize("status", [429, 503])
async def test_a_busy_table_says_when_to_come_again(wire: Wire, status: int) -> None:
    table = wire.through.table
    calls = (
        lambda: table.insert(ROWS),
        lambda: table.upsert(ROWS),
        lambda: table.get("p", "1"),
        lambda: table.scan("p", newest_first=True),
        lambda: table.delete_before("p", "1"),
    )
    for call in calls:
        asked = wire.tables.requests
        wire.tables.will(Answer(b" /tests/", status, {"Retry-After": "17"}))
        with pytest.raises(Unavailable) as caught:
            await call()
        assert caught.value.retry_after_s == 17
        assert caught.value.throttled is (status == 429)
        assert wire.tables.requests == asked + 1

    assert not await wire.direct.table.scan("p")


@pytest.mark.filterwarnings("ignore:Unclosed connection:ResourceWarning")
async def test_an_answer_that_stops_is_none(emulator: Emulator, wire: Wire) -> None:
    string = emulator.connection_string(table_port=wire.tables.port, blob_port=wire.blobs.port)
    hasty = StorageAccount(connection_string=string, read_s=0.2)
    through = opened(hasty, wire.direct.name)
    await wire.direct.table.insert(ROWS)
    await wire.direct.blobs.put("a", chunks(LONG))

    wire.tables.will(*[Stall(QUERY, 700)] * 3)
    with pytest.raises(Unavailable):
        await through.table.scan("p")
    wire.blobs.will(*[Stall(GET, 2_000)] * 12)
    with pytest.raises(Unavailable):
        await whole(through.blobs, "a")
    await hasty.close()
    gc.collect()  # where an answer is given up, the SDK leaves its connection to the collector


@pytest.mark.parametrize("content", [b"short", LONG], ids=["one-request", "blocks"])
@pytest.mark.parametrize("fault", [CutBefore, CutAfter])
async def test_a_blob_is_put_whole_over_connections_that_break(
    wire: Wire, fault: type[CutBefore | CutAfter], content: bytes
) -> None:
    wire.blobs.will(*(fault(marker) for marker in ([BLOB] if content == b"short" else STEPS)))

    assert await wire.through.blobs.put("a", chunks(content)) == len(content)

    assert wire.blobs.is_done
    assert await whole(wire.direct.blobs, "a") == content
    assert [blob.name for blob in await wire.direct.blobs.list_stored("")] == ["a"]


@pytest.mark.parametrize(("name", "marker"), [("a", COMMIT), ("b", BLOCK)])
async def test_a_put_that_is_given_up_leaves_what_was_there(
    wire: Wire, name: str, marker: bytes
) -> None:
    await wire.direct.blobs.put("a", chunks(b"before"))
    wire.blobs.will(*[Answer(marker, 503, {"Retry-After": "17"})] * 3)

    with pytest.raises(Unavailable) as caught:
        await wire.through.blobs.put(name, chunks(LONG))

    assert caught.value.retry_after_s == 17
    assert await whole(wire.direct.blobs, "a") == b"before"
    assert [blob.name for blob in await wire.direct.blobs.list_stored("")] == ["a"]


@pytest.mark.parametrize("fault", [CutBefore(GET), CutAfter(GET), CutAfter(GET, 2_000)])
async def test_a_blob_is_read_whole_over_connections_that_break(wire: Wire, fault: Fault) -> None:
    await wire.direct.blobs.put("a", chunks(LONG))
    chunk_at = await wire.through.blobs.open("a")
    wire.blobs.will(fault)

    assert b"".join([chunk async for chunk in chunk_at]) == LONG
    assert wire.blobs.is_done


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_what_lost_its_answer_is_not_sent_again_by_the_transport(
    wire: Wire, method: str
) -> None:
    url = f"http://127.0.0.1:{wire.blobs.port}/tests"
    wire.blobs.forget()
    wire.blobs.will(CutAfter(method.encode()))

    async with trusted_transport(None) as transport:
        with pytest.raises(ServiceResponseError):
            await transport.send(HttpRequest(method, url))

    assert wire.blobs.is_done
    assert wire.blobs.requests == 1


async def test_a_blob_deleted_by_a_lost_answer_is_deleted(wire: Wire) -> None:
    await wire.direct.blobs.put("a", chunks(b"x"))
    wire.blobs.will(CutAfter(b"DELETE /"))

    await wire.through.blobs.delete("a")

    assert wire.blobs.is_done
    assert await wire.direct.blobs.size("a") is None


async def test_a_throttled_container_says_when_to_come_again(wire: Wire) -> None:
    blobs = wire.through.blobs
    for call in (
        lambda: blobs.put("a", chunks(b"x")),
        lambda: blobs.open("a"),
        lambda: blobs.size("a"),
        lambda: blobs.list_stored(""),
        lambda: blobs.delete("a"),
    ):
        wire.blobs.will(Answer(b" /tests/", 429, {"Retry-After": "17"}))
        with pytest.raises(Unavailable) as caught:
            await call()
        assert (caught.value.retry_after_s, caught.value.throttled) == (17, True)


async def test_an_account_that_is_away_is_unavailable() -> None:
    string = Emulator(free_port(), free_port()).connection_string()
    account = StorageAccount(connection_string=string)

    with pytest.raises(Unavailable) as table_away:
        await opened(account, "away").table.insert(ROWS)
    with pytest.raises(Unavailable) as blobs_away:
        await opened(account, "away").blobs.list_stored("")

    assert KEY not in f"{table_away.value} {blobs_away.value} {account!r}"
    await account.close()
