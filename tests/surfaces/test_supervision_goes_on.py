"""A defect of the supervisor is logged, and supervision begins again."""

import asyncio
import logging
import os
import signal
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from local_agent.agent import keep_supervising, logs_of
from local_agent.probes import probe_session, send_probe
from local_agent.shutdown import stop_everything
from local_agent.site_controller import SiteController
from local_agent.state_files import DesiredSite, SurfaceFolder, file_lock
from local_agent.supervisor import INTERVAL_S
from local_agent.surface import LocalProcessSurface
from local_agent.vault_folder import VaultFolder
from shared.connections import loopback_ports
from shared.connections.loopback_ports import free_port
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.kernel.ids import ProjectId, environment_id, environment_key
from shared.kernel.observation import Present, Unknown
from shared.persistence.bounded_logs import LOG_BYTES_MAX, bound_all
from shared.surfaces.spec import HttpProbe, SiteSpec, artifact_blob
from tests.kit.virtual_time import LoopClock, run_virtual
from tests.surfaces.harness import ACME, ENVIRONMENT, SHOP, SITE, fence
from tests.surfaces.local_process_harness import FolderBlobs, local_process_harness
from tests.surfaces.test_a_pass_waits_for_no_disk import context_of

OTHER = replace(
    SITE, environment=environment_id(environment_key(ACME, ProjectId("proj-other"), "test"))
)


class Breaking:
    """Breaks off twice, then is told to end."""

    def __init__(self) -> None:
        self.begun = 0

    async def supervise(self) -> None:
        self.begun += 1
        if self.begun <= 2:
            raise ZeroDivisionError
        raise asyncio.CancelledError


def test_supervision_that_broke_off_begins_again(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> Any:
        surface: Any = Breaking()
        with caplog.at_level(logging.WARNING), suppress(asyncio.CancelledError):
            await keep_supervising(surface, LoopClock())
        return surface.begun

    assert run_virtual(main()) == 3
    assert "restarts" in caplog.text


@pytest.mark.real
async def test_a_site_that_was_deleted_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = 0
    reconcile = SiteController.reconcile

    async def counted(controller: SiteController) -> bool:
        nonlocal passes
        passes += 1
        return await reconcile(controller)

    monkeypatch.setattr(SiteController, "reconcile", counted)
    async with local_process_harness(tmp_path) as harness:
        await harness.surface.delete_site(ENVIRONMENT, fence(1))
        await harness.clock.sleep(2 * INTERVAL_S)
        before = passes

        await harness.clock.sleep(3 * INTERVAL_S)

        assert passes == before


@pytest.mark.real
async def test_a_site_that_was_deleted_has_no_task_until_it_is_made_again(tmp_path: Path) -> None:
    async with local_process_harness(tmp_path) as harness:
        await harness.surface.delete_site(ENVIRONMENT, fence(1))
        while ENVIRONMENT in {task.get_name() for task in asyncio.all_tasks()}:
            await harness.clock.sleep(0.01)

        await harness.surface.ensure_site(SITE, fence(2))

        await harness.serve(harness.spec(1, path_prefix="/"))


@pytest.mark.real
async def test_a_defect_that_one_site_brings_up_is_not_everybodys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    reconcile = SiteController.reconcile

    async def broken(controller: SiteController) -> bool:
        if controller.name == OTHER.environment:
            raise RecursionError
        return await reconcile(controller)

    monkeypatch.setattr(SiteController, "reconcile", broken)
    async with local_process_harness(tmp_path) as harness:
        folder = SurfaceFolder(tmp_path / "surface").site(OTHER.environment)
        folder.write_site(DesiredSite(OTHER, 1, 1))
        while OTHER.environment not in caplog.text:
            await harness.clock.sleep(0.01)

        await harness.serve(harness.spec(1), weights={1: 100})


async def test_a_defect_of_one_probe_ends_no_supervision(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken() -> None:
        raise ZeroDivisionError

    async with asyncio.TaskGroup() as tasks:
        context_of(tmp_path, tasks).spawn(broken)

    assert "ZeroDivisionError" in caplog.text


async def test_a_probe_that_is_canceled_before_it_begins_makes_no_coroutine(
    tmp_path: Path,
) -> None:
    made: list[Coroutine[None, None, None]] = []

    def probe() -> Coroutine[None, None, None]:
        made.append(SystemClock().sleep(0))
        return made[0]

    async def spawn_and_end() -> None:
        async with asyncio.TaskGroup() as tasks:
            context_of(tmp_path, tasks).spawn(probe)
            raise ZeroDivisionError

    with pytest.raises(ExceptionGroup):
        await spawn_and_end()

    assert made == []


@pytest.mark.real
async def test_what_runs_is_unknown_while_no_supervisor_has_seen_it(tmp_path: Path) -> None:
    async with local_process_harness(tmp_path) as harness:
        await harness.serve(harness.worker(1))

        await harness.kill_host()
        without = await harness.surface.observe(SHOP)
        await harness.restart()
        before_its_first_pass = await harness.surface.observe(SHOP)

        assert without == Unknown("no supervisor runs for this surface at the moment")
        assert before_its_first_pass == without
        await harness.until(lambda live: live.revisions[0].ready == 1)


@pytest.mark.real
async def test_a_site_that_takes_long_at_the_start_holds_up_no_new_one(tmp_path: Path) -> None:
    async with local_process_harness(tmp_path) as harness:
        await harness.serve(harness.worker(1))
        instance = (await harness.until(lambda _: True)).revisions[0].instances[0]
        await harness.kill_host()
        assert instance.pid is not None
        os.kill(instance.pid, signal.SIGKILL)
        unpacked = tmp_path / "surface" / "artifacts" / artifact_blob(harness.template.artifact)
        (unpacked / "unpacked.json").unlink()
        with file_lock(unpacked / "lock"):
            await harness.restart()

            await harness.surface.ensure_site(OTHER, fence(1))

        await harness.until(lambda live: live.revisions[0].ready == 1)


@pytest.mark.real
async def test_a_port_of_a_deleted_site_is_given_away_again(tmp_path: Path) -> None:
    entropy = _Between(*(free_port(SystemEntropy(), set()) for _ in range(2)))
    blobs = FolderBlobs(tmp_path / "blobs")
    clock = SystemClock()
    secrets = VaultFolder(tmp_path / "vaults", clock, entropy)
    surface = LocalProcessSurface(tmp_path / "surface", blobs, secrets, clock, entropy)
    supervision = asyncio.create_task(surface.supervise())
    try:
        entropy.choose(0)
        await surface.ensure_site(SITE, fence(1))
        await surface.delete_site(ENVIRONMENT, fence(2))
        await surface.ensure_site(OTHER, fence(1))

        entropy.choose(1)
        await surface.ensure_site(SITE, fence(3))

        ports = [await _port(surface, site) for site in (OTHER, SITE)]
        assert ports == entropy.ports
    finally:
        supervision.cancel()
        await asyncio.wait([supervision])
        await stop_everything(tmp_path / "surface", SystemClock())


async def _port(surface: LocalProcessSurface, site: SiteSpec) -> int:
    read = await surface.read_site(site.environment)
    assert isinstance(read, Present)
    return int(read.value.endpoint.rpartition(":")[2].rstrip("/"))


class _Between(SystemEntropy):
    """Leads to one of two ports, which is chosen."""

    def __init__(self, *ports: int) -> None:
        super().__init__()
        self.ports = list(ports)
        self._chosen = ports[0]

    def choose(self, number: int) -> None:
        self._chosen = self.ports[number]

    def fraction(self) -> float:
        return (self._chosen - loopback_ports.FIRST + 0.5) / loopback_ports.COUNT


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    await writer.drain()
    writer.close()


@pytest.mark.real
async def test_probes_without_an_answer_delay_no_others() -> None:
    waiting: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(lambda _, writer: waiting.append(writer), "127.0.0.1", 0)
    well = await asyncio.start_server(_answer, "127.0.0.1", 0)
    silent_port, well_port = (s.sockets[0].getsockname()[1] for s in (silent, well))
    probe = HttpProbe("/", period_s=1, timeout_s=60)
    async with silent, well, probe_session() as session, asyncio.TaskGroup() as tasks:
        hanging = [tasks.create_task(send_probe(session, silent_port, probe)) for _ in range(150)]
        while len(waiting) < 100:
            await SystemClock().sleep(0.01)

        assert await send_probe(session, well_port, replace(probe, timeout_s=5)) == ""

        for each in (*hanging, *waiting):
            each.cancel() if isinstance(each, asyncio.Task) else each.close()


def test_logs_of_agent_and_proxies_have_a_bound(tmp_path: Path) -> None:
    edge = tmp_path / "surface" / "sites" / ENVIRONMENT / "edge"
    edge.mkdir(parents=True)
    logs = [tmp_path / "agent.log", edge / "envoy.log"]
    for log in logs:
        log.write_bytes(b"x" * LOG_BYTES_MAX + b"the end")

    bound_all(logs_of(tmp_path))

    before = [log.with_name(f"{log.name}.1").read_bytes() for log in logs]
    assert [log.stat().st_size for log in logs] == [0, 0]
    assert [(len(kept), kept[-7:]) for kept in before] == 2 * [(LOG_BYTES_MAX, b"the end")]


class _SetBack(SystemClock):
    """A clock that somebody sets back."""

    shift = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.shift


@pytest.mark.real
async def test_an_instance_that_ended_before_the_clock_was_set_back_starts_again(
    tmp_path: Path,
) -> None:
    clock = _SetBack()
    async with local_process_harness(tmp_path, clock) as harness:
        await harness.serve(harness.worker(1))
        first = (await harness.until(lambda _: True)).revisions[0].instances[0].pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await harness.until(lambda live: live.revisions[0].ready == 0)

        clock.shift = -timedelta(hours=1)

        await harness.until(lambda live: live.revisions[0].instances[0].pid not in {None, first})
