"""What the account acknowledged is there after the process was killed and started again."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import pytest
from azure.storage.blob import BlobBlock

from shared.contracts.storage import ARTIFACTS, AUDIT
from shared.kernel.entropy import SystemEntropy
from shared.persistence.azure_blobs import AzureBlobs
from shared.persistence.azure_tables import AzureTable
from shared.persistence.storage_account import BLOCK_BYTES, StorageAccount
from shared.persistence.tables import TableRow
from tests.kit.real_system import REPOSITORY

pytestmark = pytest.mark.real
ROWS = [TableRow("p", str(n), {"n": n}) for n in range(3)]
LONG = b"x" * (BLOCK_BYTES + 1)


@contextmanager
def killed_in_the_end(state: Path) -> Iterator[StorageAccount]:
    """Run a local cloud in *state*; give its account, and kill it."""
    command = [sys.executable, "-m", "local_cloud", "--state", str(state)]
    with subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        printed = ""
        try:
            while "local cloud ready" not in printed:
                line = process.stdout.readline()
                assert line, printed
                printed += line
            settings = json.loads((state / "app-settings.json").read_text())
            yield StorageAccount(connection_string=settings["Storage"])
        finally:
            process.kill()


async def content(whole: bytes) -> AsyncIterator[bytes]:
    yield whole


async def whole(blobs: AzureBlobs, name: str) -> bytes:
    return b"".join([chunk async for chunk in await blobs.open(name)])


@pytest.mark.long
async def test_a_kill_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    with killed_in_the_end(tmp_path) as account:
        await account.create_table("fresh")
        await account.create_container("fresh")
        blobs = AzureBlobs(account, "fresh", SystemEntropy())
        await AzureTable(account, "fresh").insert(ROWS)
        await AzureTable(account, AUDIT).upsert(ROWS)
        await AzureBlobs(account, ARTIFACTS, SystemEntropy()).put("a/b", content(b"short"))
        await blobs.put("long", content(LONG))
        late = (await account.container("fresh")).get_blob_client("late")
        await late.stage_block("block-1", BytesIO(b"late"))

    with killed_in_the_end(tmp_path) as again:
        await account.close()
        blobs = AzureBlobs(again, "fresh", SystemEntropy())
        assert list(await AzureTable(again, "fresh").scan("p")) == ROWS
        assert list(await AzureTable(again, AUDIT).scan("p")) == ROWS
        assert await whole(AzureBlobs(again, ARTIFACTS, SystemEntropy()), "a/b") == b"short"
        assert await whole(blobs, "long") == LONG
        late = (await again.container("fresh")).get_blob_client("late")
        await late.commit_block_list([BlobBlock("block-1")])
        assert await whole(blobs, "late") == b"late"
        await again.close()
