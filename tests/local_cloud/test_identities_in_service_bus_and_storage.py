"""Our adapters by identity: what an app's roles allow, and that the rest is Unavailable."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.kernel.entropy import SystemEntropy
from shared.kernel.errors import Unavailable
from shared.persistence.azure_blobs import AzureBlobs
from shared.persistence.azure_tables import AzureTable
from shared.persistence.tables import TableRow
from tests.kit.identity_cloud import IdentityCloud, identity_cloud
from tests.kit.service_bus import message

pytestmark = pytest.mark.real
ROW = TableRow("acme", "0001", {"action": "looked"})


@pytest.fixture
async def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[IdentityCloud]:
    pytest.importorskip("proton", reason="python-qpid-proton is not installed: no C compiler")
    async with identity_cloud(tmp_path, monkeypatch, service_bus_port=0) as cloud:
        yield cloud


async def test_an_app_sends_its_events_and_not_the_commands_of_others(
    served: IdentityCloud,
) -> None:
    async with served.sender("catalog") as sender:
        await sender.send("runtime-events", [message("one")])
        with pytest.raises(Unavailable, match="not the role for runtime-health-commands"):
            await sender.send("runtime-health-commands", [message("two")])


async def test_an_app_writes_its_tables_only(served: IdentityCloud) -> None:
    async with served.storage("catalog") as account:
        await AzureTable(account, "audit").insert([ROW])
        found = await AzureTable(account, "audit").get("acme", "0001")
        samples = AzureTable(account, "healthsamples")
        with pytest.raises(Unavailable, match="403 AuthorizationPermissionMismatch"):
            await samples.insert([ROW])
        with pytest.raises(Unavailable, match="403 AuthorizationPermissionMismatch"):
            await samples.get("acme", "0001")

    assert found == ROW


async def one_block() -> AsyncIterator[bytes]:
    yield b"archive"


async def test_artifacts_are_for_deployments(served: IdentityCloud) -> None:
    async with served.storage("deployments") as account:
        await AzureBlobs(account, "artifacts", SystemEntropy()).put("one", one_block())
    async with served.storage("catalog") as account:
        with pytest.raises(Unavailable, match="403 AuthorizationPermissionMismatch"):
            await AzureBlobs(account, "artifacts", SystemEntropy()).size("one")
    async with served.storage("operator") as account:
        blobs = AzureBlobs(account, "artifacts", SystemEntropy())
        size = await blobs.size("one")
        with pytest.raises(Unavailable, match="403 AuthorizationPermissionMismatch"):
            await blobs.delete("one")

    assert size == len(b"archive")
