"""What a local cloud with identities says when it cannot be one."""

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cli.cloud_services import answers
from local_cloud.cloud import CloudSettings, IdentityPorts, LocalCloud
from local_cloud.identity_services import IdentityServices
from local_cloud.sqlite.database import MEMORY, Database
from local_cloud.storage import LocalStorage
from local_cloud.wire_endpoints import PortTaken
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
    ("ports", "option"),
    [
        ({"tokens": ...}, "--token-port"),
        ({"key_vault": ...}, "--key-vault-port"),
        ({"cosmos": ...}, "--cosmos-https-port"),
    ],
)
async def test_a_port_that_is_taken_is_named_with_its_option(
    tmp_path: Path, taken: int, ports: dict[str, Any], option: str
) -> None:
    clock, entropy = SystemClock(), SystemEntropy()
    chosen = IdentityPorts(**dict.fromkeys(ports, taken))
    storage = LocalStorage(tmp_path, clock, in_memory=True)
    identities = IdentityServices(tmp_path, clock, entropy)
    cloud = LocalCloud(
        Database(MEMORY), storage, CloudSettings(cosmos_port=0, identity_ports=chosen),
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
    from asyncio import to_thread

    async with identity_cloud(tmp_path, monkeypatch) as served:
        addresses = served.cloud.addresses().values()
        while_it_runs = [await to_thread(answers, each) for each in addresses]
    after = [await to_thread(answers, each) for each in addresses]

    assert while_it_runs == [True] * len(addresses)
    assert after == [False] * len(addresses)
