"""The keys of a local cloud are its own: the emulators' published ones open nothing."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from local_cloud.account_keys import AccountKeys, kept_keys
from local_cloud.token_endpoint.identities import LocalIdentities
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.kernel.errors import Unavailable
from shared.messaging.service_bus import ServiceBusMessages
from shared.persistence.azure_tables import AzureTable
from shared.persistence.cosmos_account import CosmosAccount, string_parts
from shared.persistence.cosmos_store import CosmosStore
from shared.persistence.storage_account import StorageAccount
from shared.persistence.store import Partition
from tests.kit.identity_cloud import IdentityCloud, identity_cloud
from tests.kit.service_bus import message

pytestmark = pytest.mark.real
PUBLISHED = AccountKeys()


@pytest.fixture
async def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[IdentityCloud]:
    pytest.importorskip("proton", reason="python-qpid-proton is not installed: no C compiler")
    async with identity_cloud(tmp_path, monkeypatch, service_bus_port=0) as cloud:
        yield cloud


async def reads_documents(connection: str) -> None:
    endpoint, key = string_parts(connection)
    account = CosmosAccount(endpoint, key=key)
    try:
        await CosmosStore(account, "runtime", "catalog").read(Partition("acme", "shop"), "one")
    finally:
        await account.close()


async def sends_events(connection: str) -> None:
    sender = ServiceBusMessages(connection_string=connection)
    try:
        await sender.send("runtime-events", [message("one")])
    finally:
        await sender.close()


async def reads_rows(connection: str) -> None:
    account = StorageAccount(connection_string=connection)
    try:
        await AzureTable(account, "audit").get("acme", "0001")
    finally:
        await account.close()


@pytest.mark.parametrize(
    ("setting", "kept", "uses"),
    [
        ("CosmosDB", "cosmos", reads_documents),
        ("ServiceBus", "service_bus", sends_events),
        ("Storage", "storage", reads_rows),
    ],
)
async def test_a_published_key_opens_no_account(
    served: IdentityCloud, tmp_path: Path, setting: str, kept: str, uses: object
) -> None:
    assert callable(uses)
    own, published = getattr(kept_keys(tmp_path / "accounts"), kept), getattr(PUBLISHED, kept)
    connection = served.cloud.app_settings()[setting]

    await uses(connection)
    with pytest.raises(Unavailable):
        await uses(connection.replace(own, published))

    assert own in connection


def test_keys_are_kept_for_their_owner_only(tmp_path: Path) -> None:
    keys = kept_keys(tmp_path)

    assert kept_keys(tmp_path) == keys
    assert kept_keys(tmp_path / "another") != keys
    assert len({keys.cosmos, keys.service_bus, keys.storage}) == 3
    assert (tmp_path / "accounts.key").stat().st_mode & 0o777 == 0o600
    assert keys.cosmos not in repr(keys)


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 33], ids=["empty", "short", "long"])
def test_a_damaged_secret_is_named_and_not_used(tmp_path: Path, content: bytes) -> None:
    kept_keys(tmp_path)
    identities = LocalIdentities(tmp_path, SystemClock(), SystemEntropy())
    identities.get("catalog")
    for name in ("accounts.key", "headers.key"):
        (tmp_path / name).write_bytes(content)

    with pytest.raises(Unavailable, match=r"accounts.key is damaged: restore it"):
        kept_keys(tmp_path)
    with pytest.raises(Unavailable, match=r"headers.key is damaged: restore it"):
        identities.get("catalog")
