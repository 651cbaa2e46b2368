"""What a local cloud with identities says when it cannot be one."""

import socket
from asyncio import to_thread
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cli.cloud_services import answers
from local_cloud.cloud import CloudSettings, IdentityPorts, LocalCloud
from local_cloud.identity_services import IdentityServices
from local_cloud.listeners import PortTaken, StoragePorts
from local_cloud.sqlite.database import MEMORY, Database
from local_cloud.storage import LocalStorage
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from tests.kit.identity_cloud import identity_cloud

pytestmark = pytest.mark.real


@pytest.fixture
def taken() -> Iterator[int]:
    """A port at which something listens that never answers."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("tokens", "--token-port"),
        ("key_vault", "--key-vault-port"),
        ("cosmos", "--cosmos-https-port"),
        ("service_bus", "--service-bus-tls-port"),
        ("tables", "--table-https-port"),
        ("blobs", "--blob-https-port"),
    ],
)
async def test_a_port_that_is_taken_is_named_with_its_option(
    tmp_path: Path, taken: int, name: str, option: str
) -> None:
    pytest.importorskip("proton", reason="python-qpid-proton is not installed: no C compiler")
    clock, entropy = SystemClock(), SystemEntropy()
    chosen = IdentityPorts(**{name: taken})
    settings = CloudSettings(
        cosmos_port=0, service_bus_port=0, storage_ports=StoragePorts(), identity_ports=chosen
    )
    storage = LocalStorage(tmp_path, clock, in_memory=False)
    identities = IdentityServices(tmp_path, clock, entropy)
    cloud = LocalCloud(
        Database(MEMORY), storage, settings,
        clock=clock, entropy=entropy, identities=identities,
    )  # fmt: skip
    try:
        with pytest.raises(PortTaken, match=f"on port {taken}: .*; choose another with {option}"):
            await cloud.start()
    finally:
        await cloud.stop()
        await identities.close()
        storage.close()


async def test_status_asks_every_kind_of_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("proton", reason="python-qpid-proton is not installed: no C compiler")
    async with identity_cloud(tmp_path, monkeypatch, service_bus_port=0) as served:
        addresses = served.cloud.addresses().values()
        while_it_runs = [await to_thread(answers, each) for each in addresses]
    after = [await to_thread(answers, each) for each in addresses]

    assert while_it_runs == [True] * len(addresses)
    assert after == [False] * len(addresses)
