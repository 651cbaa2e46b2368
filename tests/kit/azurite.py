"""Azurite, Microsoft's emulator of Azure Storage, with the official SDKs connected to it.

`make test` installs it below `.tools/azurite` where Node is there. One serves a whole session.
"""

import base64
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.persistence.azure_blobs import AzureBlobs
from shared.persistence.azure_tables import AzureTable
from shared.persistence.storage_account import StorageAccount
from tests.kit.real_system import free_port

PROGRAM: Final = (
    Path(__file__).parents[2] / ".tools/azurite/node_modules/azurite/dist/src/azurite.js"
)
ACCOUNT: Final = "tests"
KEY: Final = base64.b64encode(b"local key of the tests").decode()
_READY_S: Final = 30.0
_OPTIONS: Final = ("--silent", "--inMemoryPersistence", "--skipApiVersionCheck")


@dataclass(frozen=True)
class Azurite:
    """A running Azurite; its ports are on loopback."""

    blob_port: int
    table_port: int
    scheme: str = "http"

    def connection_string(
        self, *, table_port: int | None = None, blob_port: int | None = None
    ) -> str:
        """Return what the SDKs connect with; other ports are those of a proxy before it."""
        return (
            f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};"
            f"BlobEndpoint={self._url(blob_port or self.blob_port)};"
            f"TableEndpoint={self._url(table_port or self.table_port)};"
        )

    @property
    def tables(self) -> str:
        return self._url(self.table_port)

    @property
    def blobs(self) -> str:
        return self._url(self.blob_port)

    def _url(self, port: int) -> str:
        return f"{self.scheme}://127.0.0.1:{port}/{ACCOUNT}"


@dataclass(frozen=True)
class Connected:
    """An account with a table and a container of one name that nobody else has."""

    name: str
    account: StorageAccount
    table: AzureTable
    blobs: AzureBlobs


@asynccontextmanager
async def connected(account: StorageAccount) -> AsyncIterator[Connected]:
    """Make a table and a container in *account*, which is closed afterwards."""
    name = f"t{SystemEntropy().uuid().hex}"
    try:
        await account.create_table(name)
        await account.create_container(name)
        yield opened(account, name)
    finally:
        await account.close()


def opened(account: StorageAccount, name: str) -> Connected:
    blobs = AzureBlobs(account, name, SystemEntropy())
    return Connected(name, account, AzureTable(account, name), blobs)


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    yield from started()


def started(*options: str, scheme: str = "http") -> Iterator[Azurite]:
    """Run an Azurite; it ends with the generator."""
    node = shutil.which("node")
    if node is None or not PROGRAM.exists():
        pytest.skip("Azurite is not installed: `make test` installs it where Node is there")
    served = Azurite(free_port(), free_port(), scheme)
    ports = {"--blobPort": served.blob_port, "--queuePort": free_port()}
    ports["--tablePort"] = served.table_port
    process = subprocess.Popen(
        [node, str(PROGRAM), *_OPTIONS, "--disableTelemetry", *options]
        + [str(word) for pair in ports.items() for word in pair],
        env={"PATH": str(Path(node).parent), "AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        _await_ports(process, [served.blob_port, served.table_port])
        yield served
    finally:
        process.kill()
        process.communicate()


def _await_ports(process: "subprocess.Popen[bytes]", ports: Sequence[int]) -> None:
    clock = SystemClock()
    deadline_s = clock.monotonic_s() + _READY_S
    for port in ports:
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            if clock.monotonic_s() > deadline_s:
                process.kill()
            with suppress(subprocess.TimeoutExpired):
                output, _ = process.communicate(timeout=0.05)
                raise AssertionError(f"Azurite ended: {output.decode(errors='replace')[-2000:]}")
