"""The agent alone touches workloads; apps reach it over HTTP, and its end costs no workload."""

import asyncio
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import aiohttp
import psutil
import pytest
from aiohttp import web

from local_agent.agent_lock import read_owner
from local_agent.capabilities import capabilities
from local_agent.launcher import TOKEN_VARIABLE
from local_agent.process_identity import reap, start_ticks
from local_agent.removed_state import end_processes_of
from local_agent.shutdown import running_processes
from shared.kernel.clock import SystemClock
from shared.kernel.errors import Invalid, Unavailable
from shared.kernel.observation import Unknown
from shared.persistence.unix_sockets import short_name
from shared.rpc.api import CALL_BYTES_MAX
from shared.surfaces.agent_calls import AGENT_API
from shared.surfaces.local_process import (
    RECORD,
    SOCKET,
    AgentRecord,
    AgentSurface,
    read_record,
    write_record,
)
from shared.surfaces.observed_state import LiveComponent
from shared.surfaces.port import Boundaries, IsolationAttempts, Sites, Surface
from tests.kit.patience import PATIENCE_S
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
    state: Path, method: str, body: bytes | AsyncIterator[bytes], token: str | None = None
) -> tuple[int, bytes]:
    headers = {"Authorization": f"Bearer {_record(state).token if token is None else token}"}
    with short_name(state / SOCKET) as socket:
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(socket)) as session,
            session.post(f"http://agent/v1/{method}", data=body, headers=headers) as answer,
        ):
            return answer.status, await answer.read()


async def _is_gone(agent: AgentRecord) -> None:
    """Wait for its end, which closes its sockets."""
    while reap(agent.pid) is None:
        await CLOCK.sleep(0.01)


async def test_an_agent_that_was_killed_is_started_again_and_takes_its_workloads_over(
    tmp_path: Path,
) -> None:
    async with agent_harness(tmp_path) as harness:
        await harness.serve(harness.spec(1, replicas=2), weights={1: 100})
        before, first = await harness.until(lambda _: True), _record(tmp_path)

        harness.kill_host()
        await _is_gone(first)
        running = {pid for pid in _pids(before) if start_ticks(pid or 0)}
        after = await harness.until(lambda live: live.weights == {1: 100})

        assert running == _pids(before) == _pids(after)
        assert _record(tmp_path).pid != first.pid


@pytest.mark.long
async def test_an_agent_that_is_told_to_end_leaves_its_workloads(tmp_path: Path) -> None:
    async with agent_harness(tmp_path) as harness:
        await harness.serve(harness.spec(1), weights={1: 100})
        before, agent = await harness.until(lambda _: True), _record(tmp_path)

        os.kill(agent.pid, signal.SIGTERM)
        await _is_gone(agent)

        assert all(start_ticks(pid or 0) for pid in _pids(before))


async def test_a_folder_has_one_agent(tmp_path: Path) -> None:
    async with agent_harness(tmp_path) as harness:
        await harness.serve(harness.spec(1), weights={1: 100})
        first = _record(tmp_path)

        second = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "local_agent", "--state", str(tmp_path)],
            capture_output=True, text=True, check=False, timeout=PATIENCE_S,
        )  # fmt: skip

        assert (second.returncode, _record(tmp_path)) == (4, first)
        assert f"another agent (pid {first.pid}) runs" in second.stderr
        assert f"`runtimectl down --state {tmp_path}` ends it" in second.stderr


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


@pytest.mark.parametrize("token", [b"", b"x", b"Bearer", b"0" * 64, b"\xff"])
async def test_who_does_not_have_its_token_is_refused_before_the_body_is_read(
    tmp_path: Path, token: bytes
) -> None:
    async with agent_harness(tmp_path):
        with short_name(tmp_path / SOCKET) as socket:
            reader, writer = await asyncio.open_unix_connection(socket)
        head = b"POST /v1/observe HTTP/1.1\r\nHost: agent\r\nAuthorization: Bearer " + token
        writer.write(head + f"\r\nContent-Length: {CALL_BYTES_MAX}\r\n\r\n".encode())

        status = await asyncio.wait_for(reader.readline(), PATIENCE_S)
        writer.close()

        assert status.split()[1] == b"401"
        assert "Traceback" not in (tmp_path / "agent.log").read_text()


async def test_it_listens_on_no_port_and_on_a_socket_of_its_user(tmp_path: Path) -> None:
    async with agent_harness(tmp_path):
        agent = psutil.Process(_record(tmp_path).pid)

        assert [c for c in agent.net_connections("inet") if c.status == "LISTEN"] == []
        assert stat.S_IMODE((tmp_path / SOCKET).stat().st_mode) & 0o077 == 0


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
        answered, said = await _ask(tmp_path, method, body)

        assert answered == status
        assert status == 404 or isinstance(AGENT_API.read_error(said), Invalid)


@pytest.mark.parametrize(
    "error",
    [
        {"type": "Unavailable", "code": "Unavailable", "message": "m"},
        {"type": "Unavailable", "code": "Unavailable", "message": "m", "retryAfterS": "soon"},
        {"type": "Invalid", "message": "m", "target": ""},
        {"type": "Invalid", "code": "Invalid", "message": "m", "details": []},
    ],
)
def test_an_error_of_another_version_is_unavailable(error: dict[str, object]) -> None:
    read = AGENT_API.read_error(json.dumps({"error": error}).encode())

    assert isinstance(read, Unavailable)
    assert "its log says why" in read.message


async def test_a_call_has_a_bound(tmp_path: Path) -> None:
    async with agent_harness(tmp_path):
        status, _ = await _ask(tmp_path, "observe", _too_much())

        assert status == 413


async def test_without_an_agent_a_read_is_unknown_and_a_write_unavailable(tmp_path: Path) -> None:
    surface = AgentSurface(tmp_path, lambda: None, _Hurried())

    assert isinstance(await surface.observe(SHOP), Unknown)
    with pytest.raises(Unavailable, match="does not answer"):
        await surface.scale(SHOP, 1, 1, fence(1))
    with pytest.raises(Unavailable, match="not ready"):
        surface.capabilities()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        pytest.param(404, b"", id="it-does-not-know-the-call"),
        pytest.param(200, b'{"present": 7}', id="it-answers-in-another-form"),
    ],
)
async def test_an_agent_of_another_version_is_said_to_be_one(
    tmp_path: Path, status: int, body: bytes
) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, body=body)

    app = web.Application()
    app.router.add_post("/v1/{method}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        with short_name(tmp_path / SOCKET) as name:
            await web.UnixSite(runner, name).start()
        record = AgentRecord("token", os.getpid(), capabilities())
        (tmp_path / RECORD).write_bytes(write_record(record))

        reading = await AgentSurface(tmp_path, lambda: None, SystemClock()).observe(SHOP)

        assert isinstance(reading, Unknown)
        assert "is of another version" in reading.reason
    finally:
        await runner.cleanup()


async def test_the_agent_says_what_this_machine_can_hold_workloads_to(tmp_path: Path) -> None:
    async with agent_harness(tmp_path) as harness:
        assert harness.surface.capabilities().surface == "LocalProcess"


def test_every_method_of_the_ports_can_be_called() -> None:
    methods = {
        name
        for port in (Surface, Sites, Boundaries, IsolationAttempts)
        for name, value in vars(port).items()
        if callable(value) and not name.startswith("_")
    }
    # What a plan is checked against is in the record, so that a plan waits for nobody.
    assert {*AGENT_API.calls, "capabilities"} >= methods


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


@pytest.mark.long
async def test_an_agent_whose_folder_is_removed_ends_all_that_it_started(tmp_path: Path) -> None:
    async with agent_harness(tmp_path) as harness:
        await harness.serve(harness.spec(1, replicas=2), weights={1: 100})
        live, agent = await harness.until(lambda _: True), _record(tmp_path)
        proxies = running_processes(tmp_path / "surface")

        await asyncio.to_thread(_remove, tmp_path)

        await _is_gone(agent)
        pids = [*_pids(live), *(identity.pid for identity in proxies)]
        assert len(proxies) == 3
        assert not any(start_ticks(pid or 0) for pid in pids)
        await asyncio.to_thread(tmp_path.mkdir)  # nothing has made it anew


async def test_it_writes_its_process_into_its_lock_whatever_becomes_of_its_starter(
    tmp_path: Path,
) -> None:
    async with agent_harness(tmp_path):
        assert read_owner(tmp_path) == _record(tmp_path).pid


async def test_an_agent_that_ends_leaves_what_another_started_in_a_new_folder(
    tmp_path: Path,
) -> None:
    (tmp_path / "surface" / "home").mkdir(parents=True)
    environ = {TOKEN_VARIABLE: "x", "HOME": str(tmp_path / "surface" / "home")}
    started: list[asyncio.subprocess.Process] = []

    async def sleeper() -> asyncio.subprocess.Process:
        stubborn = "trap '' TERM; exec /bin/sleep 60"
        started.append(await asyncio.create_subprocess_exec("/bin/sh", "-c", stubborn, env=environ))
        return started[-1]

    class StartsAnother(SystemClock):
        async def sleep(self, seconds: float) -> None:
            if len(started) == 1:
                await sleeper()
            await super().sleep(seconds)

    try:
        first = await sleeper()
        while Path(f"/proc/{first.pid}/comm").read_text() != "sleep\n":  # noqa: ASYNC240  no disk
            await CLOCK.sleep(0.01)
        assert await end_processes_of(tmp_path, StartsAnother()) == 1
        assert (await started[0].wait(), started[1].returncode) == (-9, None)
    finally:
        for process in started:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
