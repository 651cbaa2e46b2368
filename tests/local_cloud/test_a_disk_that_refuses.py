"""A full, read-only or damaged disk is `Unavailable` with the reason, until that has passed."""

import resource
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from local_agent.state_files import SiteFolder, write_atomically
from local_cloud.blobs import FolderBlobs
from local_cloud.broker.broker import Broker
from local_cloud.broker.topology import Queue, Topology
from local_cloud.sqlite.database import Database
from local_cloud.sqlite.store import SqliteStore
from local_cloud.sqlite.table import SqliteTable
from local_cloud.token_endpoint.identities import LocalIdentities
from local_cloud.token_endpoint.server import TokenEndpoint
from local_host.state_lock import StateLock
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.kernel.errors import Unavailable
from shared.messaging.broker import OutgoingMessage
from shared.messaging.service_bus import ServiceBusMessages
from shared.persistence.azure_blobs import AzureBlobs
from shared.persistence.azure_tables import AzureTable
from shared.persistence.storage_account import StorageAccount
from shared.persistence.store import Partition, Upsert
from shared.persistence.tables import TableRow
from shared.vault.port import SecretValue
from tests.kit.cosmos import wired
from tests.kit.key_vault import VaultWire, wired_vault
from tests.kit.service_bus_wire import served
from tests.kit.small_disk import fill, make_read_only, small_disk
from tests.kit.storage_wire import wired_storage

pytestmark = pytest.mark.real
HOME = Partition("acme", "-", "-")
BULK = "x" * 200_000
"""Larger than what SQLite may have left in a file that is already there."""
BULKY = {f"text{part}": "x" * 25_000 for part in range(8)}
"""As large, in the values of one row of a table."""


@dataclass
class Disk:
    """A small disk with every kind of thing that is written here, open."""

    folder: Path
    writes: dict[str, Callable[[], Awaitable[Any]]]


async def _bytes() -> AsyncIterator[bytes]:
    yield BULK.encode()


@pytest.fixture
async def disk(tmp_path: Path) -> AsyncIterator[Disk]:
    clock = SystemClock()
    with small_disk(tmp_path / "disk") as folder:
        databases = [Database(folder / name) for name in ("store.db", "table.db", "host.db")]
        store = SqliteStore(databases[0], "c", clock)
        table = SqliteTable(databases[1], "audit")
        broker = Broker(
            databases[2], Topology(queues=(Queue("q"),)), clock=clock, entropy=SystemEntropy()
        )
        await broker.start()
        blobs = FolderBlobs(folder / "blobs")
        site = SiteFolder(folder / "site")

        async def write_state() -> None:
            with site.write_lock():
                write_atomically(site.path / "site.json", BULK.encode())

        yield Disk(
            folder,
            {
                "store": lambda: store.batch(HOME, [Upsert("d", {"text": BULK})]),
                "table": lambda: table.upsert([TableRow("p", "r", BULKY)]),
                "broker": lambda: broker.send("q", [OutgoingMessage(BULK.encode(), "id")]),
                "blobs": lambda: blobs.put("a/b", _bytes()),
                "surface": write_state,
            },
        )
        await broker.stop()
        for database in databases:
            database.close()


EVERY = ["store", "table", "broker", "blobs", "surface"]


@pytest.mark.parametrize("name", EVERY)
async def test_a_full_disk_is_unavailable_with_that_word_until_there_is_space(
    name: str, disk: Disk
) -> None:
    write = disk.writes[name]
    await write()
    filler = fill(disk.folder)

    for _ in range(2):
        with pytest.raises(Unavailable, match="the disk is full"):
            await write()

    filler.unlink()
    await write()


async def test_the_cosmos_endpoint_answers_503_while_its_disk_is_full(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as folder:
        async with wired(SystemClock(), folder) as wire:
            store = wire.store()
            filler = fill(folder)
            with pytest.raises(Unavailable, match="Cosmos DB answered 503: the disk is full"):
                await store.batch(HOME, [Upsert("d", {"text": BULK})])

            filler.unlink()
            await store.batch(HOME, [Upsert("d", {"text": BULK})])


async def test_storage_says_that_its_disk_is_full(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as folder:
        async with wired_storage(folder) as wire:
            account = StorageAccount(connection_string=wire.connection_string())
            await account.create_table("audit")
            await account.create_container("files")
            table = AzureTable(account, "audit")
            blobs = AzureBlobs(account, "files", SystemEntropy())
            await table.upsert([TableRow("p", "r", BULKY)])
            await blobs.put("a/b", _bytes())
            fill(folder)

            with pytest.raises(Unavailable, match="503 ServerBusy: the disk is full"):
                await table.upsert([TableRow("p", "r", BULKY)])
            with pytest.raises(Unavailable, match="503 ServerBusy: the disk is full"):
                await blobs.put("a/c", _bytes())
            await account.close()


async def test_key_vault_says_that_its_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fill_it(wire: VaultWire) -> None:
        for number in range(200):
            await wire.client.set(f"s{number}", SecretValue("x" * 25_000))

    with small_disk(tmp_path / "disk") as folder:
        async with wired_vault(folder, SystemClock(), monkeypatch) as wire:
            await wire.client.set("first", SecretValue("x"))
            fill(folder)

            with pytest.raises(Unavailable, match="Key Vault answered 503: the disk is full"):
                await fill_it(wire)


async def test_the_tokens_of_identities_say_that_their_disk_is_full(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as folder:
        endpoint = TokenEndpoint(
            LocalIdentities(folder, SystemClock(), SystemEntropy()), ["catalog"], 0
        )
        await endpoint.start()
        fill(folder)
        async with aiohttp.ClientSession() as session:
            answer = await session.get(
                f"{endpoint.url}?api-version=2019-08-01&resource=https://vault.azure.net",
                headers={"X-IDENTITY-HEADER": endpoint.environ_of("catalog")["IDENTITY_HEADER"]},
            )
            said = await answer.json()
        await endpoint.stop()

    assert answer.status == 503
    assert "the disk is full" in said["message"]


async def test_service_bus_says_that_its_disk_is_full(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as folder:
        database = Database(folder / "broker.db")
        async with served(Topology(queues=(Queue("q"),)), database) as wire:
            sender = ServiceBusMessages(connection_string=wire.endpoint.connection_string)
            fill(folder)

            with pytest.raises(Unavailable, match="the requests to q: the disk is full"):
                await sender.send("q", [OutgoingMessage(BULK.encode(), "id")])
            await sender.close()
        database.close()


@pytest.mark.parametrize(
    "opens",
    [
        pytest.param(lambda folder: Database(folder / "new" / "d.db"), id="new-database"),
        pytest.param(lambda folder: Database(folder / "d.db"), id="database"),
        pytest.param(lambda folder: FolderBlobs(folder / "blobs"), id="blobs"),
        pytest.param(StateLock, id="state-folder"),
    ],
)
def test_what_is_opened_on_a_read_only_disk_says_so(
    opens: Callable[[Path], object], tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk") as folder:
        Database(folder / "d.db", "CREATE TABLE t (a);").close()
        make_read_only(folder)

        with pytest.raises(Unavailable, match=r"read-only|Read-only"):
            opens(folder)


async def test_a_write_beyond_a_limit_of_file_sizes_is_unavailable(tmp_path: Path) -> None:
    store = SqliteStore(Database(tmp_path / "d.db"), "c", SystemClock())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, hard))
    try:
        with pytest.raises(Unavailable, match="it may be full, over its quota"):
            await store.batch(HOME, [Upsert("d", {"text": BULK})])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    await store.batch(HOME, [Upsert("d", {"text": BULK})])
    store.database.close()


@pytest.mark.parametrize("keep_bytes", [0, 100, 4096])
async def test_a_file_that_is_damaged_while_it_is_open_is_unavailable(
    keep_bytes: int, tmp_path: Path
) -> None:
    path = tmp_path / "d.db"
    store = SqliteStore(Database(path), "c", SystemClock())
    for number in range(50):
        await store.batch(HOME, [Upsert(f"d{number}", {"text": BULK})])
    store.database.close()
    store = SqliteStore(Database(path), "c", SystemClock())
    with path.open("r+b") as file:
        size = file.seek(0, 2)
        file.seek(keep_bytes)
        file.write(b"\xaa" * (size - keep_bytes))

    async def use() -> None:
        for number in range(50):
            await store.read(HOME, f"d{number}")
            await store.batch(HOME, [Upsert(f"d{number}", {"text": BULK})])

    with pytest.raises(Unavailable, match="the file is damaged"):
        await use()
    store.database.close()


async def test_an_upload_after_its_folder_is_gone_is_unavailable(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path / "blobs")
    shutil.rmtree(tmp_path / "blobs")

    with pytest.raises(Unavailable, match="blob a/b cannot be written: No such file"):
        await blobs.put("a/b", _bytes())
