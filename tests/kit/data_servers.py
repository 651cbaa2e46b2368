"""Real servers of data resources, run by the agent's own part for them."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from local_agent import process_trees, starts
from local_agent.data_server import DataServer, live_server
from local_agent.starts import started_token
from shared.connections.loopback_ports import free_port
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.passwords.logins import POSTGRESQL, VALKEY, Login
from shared.passwords.verifiers import acl_verifier, scram_verifier
from shared.surfaces.data_servers import (
    ADMINISTRATOR,
    HOST,
    LOCAL_POSTGRES,
    ServerSpec,
    program_folders,
)
from shared.surfaces.errors import ServerMissing
from tests.kit.patience import PATIENCE_S

PASSWORD = "administrators-password-0123456789"
LOOK_S = 0.05


@dataclass
class RunningServer:
    """One server below *root*, which a test may stop, kill and start again."""

    spec: ServerSpec
    process: DataServer

    @property
    def administrator(self) -> Login:
        scheme = POSTGRESQL if self.spec.kind == LOCAL_POSTGRES else VALKEY
        return Login(scheme, ADMINISTRATOR, PASSWORD, HOST, self.spec.port, self.spec.database)

    async def start(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not (live := live_server(self.process.folder, self.spec)).is_ready:
                assert live.reason != "CannotStart", live.message
                await asyncio.to_thread(self.process.ensure_running, self.spec)
                await SystemClock().sleep(LOOK_S)

    def kill(self) -> None:
        """Kill it as the machine does when memory is short: nothing of it writes any more."""
        folder = self.process.folder
        identity = starts.read_claim(starts.claim_file(folder, started_token(folder)))
        assert identity is not None
        process_trees.kill(identity)

    async def stop(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not await asyncio.to_thread(self.process.stop):
                await SystemClock().sleep(LOOK_S)


def require_programs(*kinds: str) -> None:
    """Skip the test where this Python has not the programs of *kinds*."""
    try:
        for kind in kinds:
            program_folders(kind)
    except ServerMissing:
        # In CI this fails: any machine can have them.
        pytest.skip(f"`make data-servers` brings {' and '.join(kinds)}")


def new_server(kind: str, name: str) -> ServerSpec:
    """Return a server of *kind* on a free port, whose administrator has PASSWORD."""
    require_programs(kind)
    entropy = SystemEntropy()
    is_postgres = kind == LOCAL_POSTGRES
    verifier = scram_verifier(PASSWORD, entropy) if is_postgres else acl_verifier(PASSWORD)
    return ServerSpec(name, kind, free_port(entropy), verifier)


@contextmanager
def running_server(root: Path, kind: str, name: str = "orders-db") -> Iterator[RunningServer]:
    """Run a new server of *kind* below *root*; it has ended when the block ends.

    Not within a loop that runs: what it waits for it waits for in a loop of its own.
    """
    data = root / "environments" / "volumes" / "env-a" / name
    data.mkdir(parents=True)
    folder = root / "surface" / "sites" / "env-a" / "servers" / name
    server = RunningServer(
        new_server(kind, name), DataServer(folder, data, SystemClock(), SystemEntropy())
    )
    try:
        asyncio.run(server.start())
        yield server
    finally:
        asyncio.run(server.stop())
