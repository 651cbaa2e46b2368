"""Azurite, Microsoft's emulator of Azure Storage.

`make test` installs it below `.tools/azurite` where Node is there. One serves a whole session.
"""

import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from shared.kernel.clock import SystemClock
from tests.kit.patience import PATIENCE_S
from tests.kit.real_system import free_port
from tests.kit.storage_accounts import ACCOUNT, KEY, Emulator

PROGRAM: Final = (
    Path(__file__).parents[2] / ".tools/azurite/node_modules/azurite/dist/src/azurite.js"
)
_OPTIONS: Final = ("--silent", "--inMemoryPersistence", "--skipApiVersionCheck")


@pytest.fixture(scope="session")
def azurite() -> Iterator[Emulator]:
    yield from started()


def started(*options: str, scheme: str = "http") -> Iterator[Emulator]:
    """Run an Azurite; it ends with the generator."""
    node = shutil.which("node")
    if node is None or not PROGRAM.exists():
        pytest.skip("Azurite is not installed: `make test` installs it where Node is there")
    served = Emulator(free_port(), free_port(), scheme)
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
    deadline_s = clock.monotonic_s() + PATIENCE_S
    for port in ports:
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            if clock.monotonic_s() > deadline_s:
                process.kill()
            with suppress(subprocess.TimeoutExpired):
                output, _ = process.communicate(timeout=0.05)
                raise AssertionError(f"Azurite ended: {output.decode(errors='replace')[-2000:]}")
