"""The agent alone touches workloads; apps reach it over HTTP, and its end costs no workload."""

import asyncio
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from local_agent import processes
from local_agent.shutdown import live_processes
from shared.kernel.clock import SystemClock
from shared.kernel.errors import Invalid, Unavailable
from shared.kernel.observation import Absent, Unknown
from shared.surfaces.agent_calls import CALL_BYTES_MAX, CALLS, read_error
from shared.surfaces.local_process import AgentRecord, LocalProcess, read_record
from shared.surfaces.observed_state import LiveComponent
from shared.surfaces.port import Sites, Surface
from tests.surfaces.harness import SHOP, fence
from tests.surfaces.local_process_harness import agent_harness

pytestmark = pytest.mark.real
CLOCK = SystemClock()


def _record(state: Path) -> AgentRecord:
    record = read_record(state)
    assert record is not None
    return record


def _pids(live: LiveComponent) -> set[int | None]:
    return {instance.pid for revision in live.revisions for instance in revision.instances}


async def _ask(
    url: str, token: str, method: str, body: bytes | AsyncIterator[bytes]
) -> tuple[int, bytes]:
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/v1/{method}", data=body, headers=headers) as answer,
    ):
        return answer.status, await answer.read()


async def _is_gone(agent: AgentRecord) -> None:
    """Wait for its end, which closes its sockets."""
    while processes.reap(agent.pid) is None:
        await CLOCK.sleep(0.01)


async def test_an_agent_that_was_killed_is_started_again_and_takes_its_workloads_over(
    tmp_path: Path,
) -> None:
    async with agent_harness(tmp_path) as harness:
        await harness.serve(harness.spec(1, replicas=2), weights={1: 100})
        before, first = await harness.until(lambda _: True), _record(tmp_path)

        harness.kill_host()
        await _is_gone(first)
        running = {pid for pid in _pids(before) if processes.start_ticks(pid or 0)}
        after = await harness.until(lambda live: live.weights == {1: 100})

        assert running == _pids(before) == _pids(after)
        assert _record(tmp_path).pid != first.pid


async def test_an_agent_that_is_told_to_end_leaves_its_workloads(tmp_path: Path) -> None:
    async with agent_harness(tmp_path) as harness:
        await harness.serve(harness.spec(1), weights={1: 100})
        before, agent = await harness.until(lambda _: True), _record(tmp_path)

        os.kill(agent.pid, signal.SIGTERM)
        await _is_gone(agent)

        assert all(processes.start_ticks(pid or 0) for pid in _pids(before))


async def test_a_folder_has_one_agent(tmp_path: Path) -> None:
    async with agent_harness(tmp_path) as harness:
        await harness.serve(harness.spec(1), weights={1: 100})
        first = _record(tmp_path)

        second = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "local_agent", "--state", str(tmp_path)],
            capture_output=True, text=True, check=False, timeout=30,
        )  # fmt: skip

        assert (second.returncode, _record(tmp_path)) == (4, first)
        assert "another agent runs" in second.stderr


async def test_its_record_is_for_the_eyes_of_its_user_and_its_token_for_one_run(
    tmp_path: Path,
) -> None:
    async with agent_harness(tmp_path) as harness:
        first = _record(tmp_path)
        harness.kill_host()
        await _is_gone(first)
        await harness.surface.observe(SHOP)

        assert stat.S_IMODE((tmp_path / "agent.json").stat().st_mode) == 0o600
        assert _record(tmp_path).token != first.token


@pytest.mark.parametrize("token", ["", "x", "Bearer", "0" * 64])
async def test_who_does_not_have_its_token_is_refused_before_the_body_is_read(
    tmp_path: Path, token: str
) -> None:
    async with agent_harness(tmp_path):
        url = _record(tmp_path).url.removeprefix("http://")
        host, _, port = url.partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = f"POST /v1/observe HTTP/1.1\r\nHost: {url}\r\nAuthorization: Bearer {token}\r\n"
        writer.write(f"{head}Content-Length: {CALL_BYTES_MAX}\r\n\r\n".encode())

        status = await asyncio.wait_for(reader.readline(), 10)
        writer.close()

        assert status.split()[1] == b"401"


@pytest.mark.parametrize(
    ("method", "body", "status"),
    [
        ("supervise", b"{}", 404),
        ("_call", b"{}", 404),
        ("observe", b"", 400),
        ("observe", b"[]", 400),
        ("observe", b'{"component": 1}', 400),
        ("observe", b'{"component": {"environment": "..", "tenant": "..", "module": "x"}}', 400),
        ("kept_outputs", b'{"revision": 1}', 400),
        ("read_site", b'{"environment": "e", "more": 1}', 400),
        ("read_site", b"[" * 100_000, 400),
    ],
)
async def test_a_call_that_is_none_is_refused(
    tmp_path: Path, method: str, body: bytes, status: int
) -> None:
    async with agent_harness(tmp_path):
        agent = _record(tmp_path)

        answered, said = await _ask(agent.url, agent.token, method, body)

        assert answered == status
        assert status == 404 or isinstance(read_error(said), Invalid)


async def test_a_call_has_a_bound(tmp_path: Path) -> None:
    async with agent_harness(tmp_path):
        agent = _record(tmp_path)

        status, _ = await _ask(agent.url, agent.token, "observe", _too_much())

        assert status == 413


async def test_who_took_the_port_of_an_agent_that_ended_is_not_believed(tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n" + b'{"absent":true}')
        writer.close()

    async with agent_harness(tmp_path) as harness:
        await harness.serve(harness.spec(1), weights={1: 100})
        agent = _record(tmp_path)
        harness.kill_host()
        await _is_gone(agent)
        port = int(agent.url.rpartition(":")[2])
        server = await asyncio.start_server(answer, "127.0.0.1", port, reuse_address=True)
        async with server:
            reading = await harness.surface.observe(SHOP)

        assert not isinstance(reading, Absent)


async def test_without_an_agent_a_read_is_unknown_and_a_write_unavailable(tmp_path: Path) -> None:
    surface = LocalProcess(tmp_path, lambda: None, _Hurried())

    assert isinstance(await surface.observe(SHOP), Unknown)
    with pytest.raises(Unavailable, match="does not answer"):
        await surface.scale(SHOP, 1, 1, fence(1))
    with pytest.raises(Unavailable, match="not ready"):
        surface.capabilities()


async def test_the_agent_says_what_this_machine_can_hold_workloads_to(tmp_path: Path) -> None:
    async with agent_harness(tmp_path) as harness:
        assert harness.surface.capabilities().surface == "LocalProcess"


def test_every_method_of_the_ports_can_be_called() -> None:
    methods = {
        name
        for port in (Surface, Sites)
        for name, value in vars(port).items()
        if callable(value) and not name.startswith("_")
    }
    # What a plan is checked against is in the record, so that a plan waits for nobody.
    assert {*CALLS, "capabilities"} >= methods


async def _too_much() -> AsyncIterator[bytes]:
    for _ in range(CALL_BYTES_MAX // 2**16 + 1):
        yield b" " * 2**16


class _Hurried(SystemClock):
    """A clock on which nobody waits."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def monotonic_s(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.now_s += max(seconds, 1.0)


def _remove(state: Path) -> None:
    gone = state.rename(state.with_name("gone"))
    shutil.rmtree(gone, ignore_errors=True)  # what still runs may write there meanwhile


async def test_an_agent_whose_folder_is_removed_ends_all_that_it_started(tmp_path: Path) -> None:
    async with agent_harness(tmp_path) as harness:
        await harness.serve(harness.spec(1, replicas=2), weights={1: 100})
        live, agent = await harness.until(lambda _: True), _record(tmp_path)
        proxies = live_processes(tmp_path / "surface")

        await asyncio.to_thread(_remove, tmp_path)

        await _is_gone(agent)
        pids = [*_pids(live), *(identity.pid for identity in proxies)]
        assert len(proxies) == 3
        assert not any(processes.start_ticks(pid or 0) for pid in pids)
        await asyncio.to_thread(tmp_path.mkdir)  # nothing has made it anew
