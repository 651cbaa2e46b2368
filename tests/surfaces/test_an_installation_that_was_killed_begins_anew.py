"""Installers end with their agent, and what they left keeps no artifact from being installed."""

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

import psutil
import pytest

from cli.state_folder import REPOSITORY
from local_agent import process_trees, starts
from local_agent.artifacts import Artifacts
from local_agent.confined_command import run_confined
from local_agent.envoy_admin import wait_until
from local_agent.launcher import TOKEN_VARIABLE
from local_agent.process_identity import ProcessIdentity, environ_of
from local_agent.sandbox_order import Means, sandbox_order
from local_agent.shutdown import stop_agent, stop_everything
from local_agent.state_files import SurfaceFolder
from local_agent.wheel_installer import base_python
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.kernel.ids import EnvironmentId
from shared.persistence.plain_files import open_lock
from tests.kit.patience import PATIENCE_S
from tests.surfaces.harness import SHOP, SITE, TEMPLATE, fence
from tests.surfaces.local_process_harness import Agent, FolderBlobs, upload, zipped
from tests.surfaces.test_a_wheelhouse_installs_its_wheels_only import wheel

pytestmark = pytest.mark.real
CLOCK: Final = SystemClock()
ARTIFACT: Final = f"surface/artifacts/sha256/{1:064x}"
FLOOD: Final = """
import os, sys, threading
def write():
    n = 0
    while True:
        n = (n + 1) % 5000
        os.makedirs(f"{sys.argv[1]}/half/{n}", exist_ok=True)
if os.fork() == 0:
    os.setsid()
write()
"""
AGENT: Final = """
import asyncio, sys
from pathlib import Path
from local_agent.confined_command import run_confined
target = Path(sys.argv[1])
install = lambda: run_confined(sys.argv[2:], target=target, workdir=target)
asyncio.run(asyncio.to_thread(install))
"""
DAEMON: Final = """
import os, sys
if os.fork() == 0:
    os.setsid()
os.execv("/bin/sleep", ["sleep", "600"])
"""


async def until(is_so: Callable[[], bool]) -> None:
    async def look() -> bool:
        return is_so()

    await wait_until(look, CLOCK, PATIENCE_S, "it did not come to that")


async def claimed(parent: Path) -> ProcessIdentity:
    """Return the installer that fills a folder in *parent*, when it has begun."""
    found: list[ProcessIdentity] = []

    def look() -> bool:
        claims = map(starts.read_claim, parent.glob("install-*/claim-*"))
        found.extend(each for each in claims if each is not None)
        return bool(found)

    await until(look)
    return found[0]


def running(token: str) -> list[int]:
    """Return all processes of a start, in whatever session."""
    return [p for p in psutil.pids() if environ_of(p).get(TOKEN_VARIABLE) == token]


async def left_by_a_killed_agent(target: Path) -> str:
    """Have an installer fill *target* without its agent; return its token.

    One of an agent that did not end it with itself, or without namespaces a daemon of one. Its
    token is of this test alone: what has a token is ended wherever it runs on the machine.
    """
    folder = target.parent / f"install-{SystemEntropy().uuid().hex}"
    for part in (folder / "root", folder / "tmp", target):
        part.mkdir(parents=True)
    alone = Means(is_namespaced=False, landlock=0)
    starts.spawn(
        folder, folder.name, [base_python(), "-c", FLOOD, str(target)],
        environ={}, workdir=target, output=folder / "output", limits={},
        sandbox=sandbox_order(alone, folder, folder.name, owned=[target]),
    )  # fmt: skip
    await until((target / "half" / "9").exists)
    return folder.name


def nothing_is_left(token: str, target: Path) -> bool:
    return not running(token) and not list(target.parent.glob("install-*"))


async def test_an_installer_ends_with_its_agent(tmp_path: Path) -> None:
    target = tmp_path / ARTIFACT / "content"
    target.parent.mkdir(parents=True)
    with subprocess.Popen(  # noqa: ASYNC220  it comes back at once
        [sys.executable, "-c", AGENT, str(target), "/bin/sleep", "600"], cwd=REPOSITORY
    ) as agent:
        installer = await claimed(target.parent)
        await until(lambda: bool(process_trees.workload_processes(installer)))

        agent.send_signal(signal.SIGKILL)

    await until(lambda: not running(installer.token))


async def test_the_next_installation_ends_the_one_before_and_begins_anew(tmp_path: Path) -> None:
    target = tmp_path / ARTIFACT / "content"
    token = await left_by_a_killed_agent(target)

    run_confined(["/bin/touch", str(target / "whole")], target=target, workdir=target)

    assert nothing_is_left(token, target)
    assert [path.name for path in target.iterdir()] == ["whole"]


async def test_who_stops_an_agent_ends_what_it_installs(tmp_path: Path) -> None:
    target = tmp_path / ARTIFACT / "content"
    token = await left_by_a_killed_agent(target)

    await stop_agent(tmp_path, CLOCK)

    assert nothing_is_left(token, target)


async def test_the_next_agent_ends_it_unless_somebody_prepares(tmp_path: Path) -> None:
    target = tmp_path / ARTIFACT / "content"
    token = await left_by_a_killed_agent(target)
    folder = tmp_path / "surface" / "artifacts"
    artifacts = Artifacts(folder, FolderBlobs(tmp_path / "blobs"))

    with os.fdopen(open_lock(folder / "lock"), "a") as preparing:
        fcntl.flock(preparing, fcntl.LOCK_SH)
        artifacts.remove_leftovers()
        assert running(token)
    artifacts.remove_leftovers()

    assert nothing_is_left(token, target)


async def _kill(agent: Agent) -> None:
    agent.kill()


async def _stop(agent: Agent) -> None:
    await stop_agent(agent.state, CLOCK)


@pytest.mark.long
@pytest.mark.parametrize("end", [_kill, _stop])
async def test_an_artifact_whose_agent_ended_meanwhile_is_installed_by_the_next(
    tmp_path: Path, end: Callable[[Agent], Awaitable[None]]
) -> None:
    agent = Agent(tmp_path)
    artifact = upload(
        FolderBlobs(tmp_path / "blobs" / "artifacts"),
        zipped({"tiny-1.0-py3-none-any.whl": wheel("tiny")}),
    )
    spec = replace(
        TEMPLATE, artifact=artifact, revision=1, port=None, readiness=None, release=None,
        path_prefix=None, command=("python3", "-c", "import tiny, time; time.sleep(600)"),
    )  # fmt: skip
    folder = tmp_path / "surface" / "artifacts" / "sha256" / artifact.removeprefix("sha256:")
    try:
        await agent.surface.ensure_site(SITE, fence(1, "site"))
        first = asyncio.ensure_future(agent.surface.apply(spec, fence(2)))
        installer = await claimed(folder)
        first.cancel()
        with suppress(asyncio.CancelledError):
            await first
        await end(agent)

        await agent.surface.apply(spec, fence(3))

        assert nothing_is_left(installer.token, folder / "content")
        assert (folder / "unpacked.json").exists()
    finally:
        await stop_agent(tmp_path, CLOCK)
        await stop_everything(tmp_path / "surface", CLOCK)


async def test_what_outlives_its_shim_without_namespaces_is_stopped(tmp_path: Path) -> None:
    site = SurfaceFolder(tmp_path).site(EnvironmentId(SITE.environment))
    folder = site.instances(SHOP.service) / "module-shop-1-0"
    for part in ("root", "tmp", "work"):
        (folder / part).mkdir(parents=True)
    bounds = sandbox_order(
        Means(is_namespaced=False, landlock=0), folder, "orphaned", owned=[folder / "work"]
    )
    pid = starts.spawn(
        folder, "orphaned", [base_python(), "-c", DAEMON],
        environ={}, workdir=folder / "work", output=folder / "output.log", limits={},
        sandbox=bounds,
    )  # fmt: skip
    await until(lambda: len(running("orphaned")) >= 3)
    os.kill(pid, signal.SIGKILL)
    await asyncio.to_thread(os.waitpid, pid, 0)
    assert running("orphaned")

    assert await stop_everything(tmp_path, CLOCK) == 0

    await until(lambda: not running("orphaned"))
