"""The local cloud by itself: what the Functions host is given, used without one."""

import socket
from pathlib import Path

import pytest

from local_cloud.broker.topology import Queue, Topology
from local_cloud.cloud import CloudSettings, LocalCloud
from local_cloud.cosmos_endpoint.account import Account
from local_cloud.listeners import PortTaken, StoragePorts
from local_cloud.sqlite.database import MEMORY, Database
from local_cloud.storage import LocalStorage
from shared.kernel.errors import Invalid, NotFound, Unavailable
from tests.kit.seeded_entropy import SeededEntropy
from tests.kit.service_bus import message
from tests.kit.virtual_time import LoopClock, run_virtual


def cloud(settings: CloudSettings | None = None) -> LocalCloud:
    clock = LoopClock()
    storage = LocalStorage(Path("/nowhere"), clock, in_memory=True)
    return LocalCloud(
        Database(MEMORY),
        storage,
        settings or CloudSettings(),
        clock=clock,
        entropy=SeededEntropy(1),
    )


def test_a_declared_queue_delivers() -> None:
    async def main() -> None:
        local = cloud(CloudSettings(Topology(queues=[Queue("orders")])))
        await local.start()
        await local.broker.send("orders", [message("first")])

        (received,) = await local.broker.lock("orders", 10)

        assert received.body == b"first"
        await local.stop()

    run_virtual(main())


@pytest.mark.real
@pytest.mark.parametrize("option", ["--cosmos-port", "--blob-port", "--table-port"])
async def test_a_taken_port_is_reported_with_the_option_that_chooses_another(option: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        ports = {
            "--cosmos-port": CloudSettings(cosmos_port=taken),
            "--blob-port": CloudSettings(storage_ports=StoragePorts(blobs=taken)),
            "--table-port": CloudSettings(storage_ports=StoragePorts(tables=taken)),
        }
        local = cloud(ports[option])

        with pytest.raises(PortTaken, match=option):
            await local.start()
        await local.stop()


async def test_an_output_needs_a_container_that_exists_and_documents_that_can_be() -> None:
    containers = cloud().cosmos

    with pytest.raises(NotFound, match="no container shop/orders"):
        await containers.upsert("shop", "orders", [{"id": "1"}])
    await containers.create("shop", "orders", ["/id"])
    with pytest.raises(Invalid, match="a document has a text id"):
        await containers.upsert("shop", "orders", [{"id": 1}])
    with pytest.raises(Invalid, match="1 to 3 partition key paths"):
        await containers.create("shop", "others", ["/a", "/b", "/c", "/d"])


async def test_a_container_that_is_only_looked_for_is_not_created() -> None:
    local = cloud()

    assert local.cosmos.change_feed("shop", "orders") is None
    assert local.storage.containers("shop") == []


async def test_the_feed_of_a_deleted_container_is_away_and_a_new_one_is_another() -> None:
    local = cloud()
    await local.cosmos.create("shop", "orders", ["/id"])
    await local.cosmos.upsert("shop", "orders", [{"id": "1"}])
    before = local.cosmos.change_feed("shop", "orders")
    assert before is not None

    Account(local.storage).delete_container("shop", "orders")

    with pytest.raises(Unavailable, match="deleted"):
        await before.changes("0", None, 10)
    assert local.cosmos.change_feed("shop", "orders") is None
    await local.cosmos.create("shop", "orders", ["/customer"])
    after = local.cosmos.change_feed("shop", "orders")
    assert after is not None
    assert [await after.changes(name, None, 10) for name in "01"] == [([], "0"), ([], "0")]
