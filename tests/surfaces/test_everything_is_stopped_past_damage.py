"""`runtimectl down` stops all it can find, whatever else stands among the state files."""

import asyncio
import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Final

import pytest

from local_agent import starts
from local_agent.envoy_admin import wait_until
from local_agent.process_identity import is_alive, start_ticks
from local_agent.shutdown import stop_everything
from local_agent.state_files import (
    ComponentRecord,
    DesiredComponent,
    DesiredSite,
    InstanceRecord,
    SiteFolder,
    SurfaceFolder,
)
from shared.kernel.clock import SystemClock
from shared.kernel.ids import EnvironmentId
from tests.surfaces.harness import SHOP, SITE
from tests.surfaces.local_process_harness import this_process

pytestmark = pytest.mark.real
CLOCK: Final = SystemClock()
Spoil = Callable[[Path], None]


def _site(root: Path, name: str) -> SiteFolder:
    """Make a site with one recorded instance, which has no process yet, and an edge."""
    site = SurfaceFolder(root).site(EnvironmentId(name))
    site.path.mkdir(parents=True)
    site.write_site(DesiredSite(SITE, 1, 1))
    site.write_component(DesiredComponent(SHOP))
    starting = InstanceRecord("module-shop-1-0", 1, "starting", None, CLOCK.now())
    site.write_record(ComponentRecord(SHOP, (starting,)), is_durable=False)
    for folder in (site.instances(SHOP.service) / starting.id, site.edge):
        folder.mkdir(parents=True)
    (site.edge / "started").write_text("proxy")
    return site


def _foreign(path: Path) -> None:
    path.write_text('["of/another/program"]')


def _bytes(path: Path) -> None:
    path.write_bytes(b"\xff\xfe")


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("spoil", [_foreign, _bytes, _pipe])
@pytest.mark.parametrize(
    "name", [f"running/{SHOP.service}.json", f"components/{SHOP.service}.json", "edge/started"]
)
async def test_a_damaged_file_keeps_nothing_else_from_being_stopped(
    tmp_path: Path, name: str, spoil: Spoil
) -> None:
    damaged, healthy = _site(tmp_path, "env-a"), _site(tmp_path, "env-b")
    spoil(damaged.path / name)
    folder = healthy.instances(SHOP.service) / "module-shop-1-1"
    folder.mkdir()
    pid = starts.spawn(
        folder, "running", ["/bin/sleep", "60"],
        environ={}, workdir=folder, output=folder / "output.log", limits={},
    )  # fmt: skip
    claim = starts.claim_file(folder, "running")

    async def is_running() -> bool:
        return starts.read_claim(claim) is not None

    await wait_until(is_running, CLOCK, 20, "it did not start")

    assert await stop_everything(tmp_path, CLOCK) == 1
    assert start_ticks(pid) is None
    starting = healthy.instances(SHOP.service) / "module-shop-1-0"
    assert starts.claim_file(starting, "starting").read_bytes() == b""
    assert starts.claim_file(healthy.edge, "proxy").read_bytes() == b""


def _nest_folders(folder: Path) -> None:
    """Nest folders deeper than Python recurses, and than a path is long."""
    before = Path.cwd()
    os.chdir(folder)
    for _ in range(2000):
        Path("d").mkdir()
        os.chdir("d")
    os.chdir(before)


async def test_what_a_workload_left_in_its_folder_names_no_process_and_stops_nothing(
    tmp_path: Path,
) -> None:
    site = _site(tmp_path, "env-a")
    work = site.instances(SHOP.service) / "module-shop-1-0" / "work"
    work.mkdir()
    own = this_process()
    (work / "claim-mine").write_text(json.dumps(asdict(own)))
    _nest_folders(work)
    try:
        assert await stop_everything(tmp_path, CLOCK) == 0
        assert is_alive(own)
    finally:
        remove = ["/bin/rm", "-rf", str(work)]  # pytest could not
        await asyncio.to_thread(subprocess.run, remove, check=True)
