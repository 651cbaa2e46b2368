"""A data folder is given to every instance, found and never made; what was stored there stays."""

import asyncio
import json
import os
import shutil
import signal
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from shared.kernel.errors import Invalid
from shared.kernel.ids import ProjectId, environment_id, environment_key
from shared.kernel.observation import Present
from shared.surfaces.capabilities import Feature
from shared.surfaces.errors import DataMissing
from tests.kit.patience import PATIENCE_S
from tests.surfaces.harness import ACME, ENVIRONMENT, SHOP, SITE, TEMPLATE, SurfaceHarness, fence
from tests.surfaces.local_process_harness import local_process_harness

pytestmark = pytest.mark.real
STORE = ("/bin/sh", "-c", "echo $RUNTIME_INSTANCE_ID >> $RUNTIME_DATA_UP_LOADS/starts; exec $0 $1")
ABSENT = "data folder up-loads is not there: put it back, or deploy again if it was deleted"
SERVE = (*STORE, "python", "server.py")


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[SurfaceHarness]:
    async with local_process_harness(tmp_path) as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the data folder, as the infrastructure of the environment makes it."""
    made = tmp_path / "environments" / "volumes" / ENVIRONMENT / "up-loads"
    made.mkdir(parents=True)
    return made


async def output(harness: SurfaceHarness, instance: str = "module-shop-1-0") -> str:
    """Return the last line that is kept of *instance*."""
    lines = await harness.surface.logs(SHOP, instance, 1)
    assert isinstance(lines, Present)
    return lines.value[0]


async def environ(harness: SurfaceHarness) -> dict[str, str]:
    read = await harness.surface.read_site(ENVIRONMENT)
    assert isinstance(read, Present)
    return await asyncio.to_thread(_environ_at, read.value.endpoint)


def _environ_at(url: str) -> dict[str, str]:
    with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
        told: dict[str, str] = json.load(answer)["environ"]
    return told


@pytest.mark.shows(Feature.DATA_FOLDERS, on="local-process")
async def test_what_is_stored_there_is_there_after_a_kill_a_release_and_a_restart(
    harness: SurfaceHarness, folder: Path
) -> None:
    spec = harness.spec(data=("up-loads",), command=SERVE)
    await harness.serve(spec, weights={1: 100})
    live = await harness.until(lambda live: live.revisions[0].ready == 1)
    pid = live.revisions[0].instances[0].pid
    assert pid is not None

    os.kill(pid, signal.SIGKILL)
    await harness.until(lambda live: any(i.restarts for i in live.revisions[0].instances))
    await harness.until(lambda live: live.revisions[0].ready == 1)
    await harness.serve(replace(spec, revision=2), weights={2: 100})
    await harness.surface.remove(SHOP, 1, fence(1))
    await harness.restart()

    assert (folder / "starts").read_text().split() == [
        "module-shop-1-0", "module-shop-1-0", "module-shop-2-0",
    ]  # fmt: skip
    assert (await environ(harness))["RUNTIME_DATA_UP_LOADS"] == str(folder)


async def test_a_site_says_which_folders_are_there_and_takes_no_link_for_one(
    harness: SurfaceHarness, folder: Path
) -> None:
    await asyncio.to_thread((folder.parent / "elsewhere").symlink_to, folder)
    read = await harness.surface.read_site(ENVIRONMENT)
    assert isinstance(read, Present)
    assert read.value.volumes == ("up-loads",)

    await asyncio.to_thread(folder.rmdir)

    read = await harness.surface.read_site(ENVIRONMENT)
    assert isinstance(read, Present)
    assert read.value.volumes == ()


async def test_environ_may_name_the_folder_and_not_replace_it(
    harness: SurfaceHarness, folder: Path
) -> None:
    told = {
        "VERSION": "1.0",
        "AT": "${RUNTIME_DATA_UP_LOADS}/a",
        "RUNTIME_DATA_UP_LOADS": "/etc",
    }
    await harness.serve(harness.spec(data=("up-loads",), environ=told), weights={1: 100})

    given = await environ(harness)

    assert (given["AT"], given["RUNTIME_DATA_UP_LOADS"]) == (f"{folder}/a", str(folder))


async def test_a_folder_that_is_not_there_is_said_and_not_made(
    harness: SurfaceHarness, folder: Path
) -> None:
    absent = harness.spec(data=("others",))
    with pytest.raises(DataMissing, match="data folder others is not there"):
        await harness.surface.apply(absent, fence(1))

    assert not (folder.parent / "others").exists()


async def test_an_instance_whose_folder_went_away_starts_again_when_it_is_back(
    harness: SurfaceHarness, folder: Path
) -> None:
    await harness.serve(harness.spec(data=("up-loads",), command=SERVE))
    live = await harness.until(lambda live: live.revisions[0].ready == 1)
    (folder / "kept").write_text("safe")
    shutil.move(folder, f"{folder}.away")
    os.kill(live.revisions[0].instances[0].pid or 0, signal.SIGKILL)

    stuck = await harness.until(lambda live: live.revisions[0].reason == "CannotStart")

    assert stuck.revisions[0].instances[0].unready_because == f"CannotStart: {ABSENT}"
    assert await output(harness) == f"cannot start: {ABSENT}"
    shutil.move(f"{folder}.away", folder)
    await harness.until(lambda live: live.revisions[0].ready == 1)
    assert (folder / "kept").read_text() == "safe"


async def test_a_first_start_that_cannot_be_is_an_instance_with_its_reason_and_is_counted(
    harness: SurfaceHarness, folder: Path
) -> None:
    await harness.serve(harness.spec(1, data=("up-loads",), command=SERVE))
    shutil.move(folder, f"{folder}.away")

    await harness.surface.scale(SHOP, 1, 2, fence(1))
    live = await harness.until(lambda live: live.revisions[0].instances[-1].failed_starts >= 3)

    new = live.revisions[0].instances[-1]
    assert (new.id, new.pid, new.restarts) == ("module-shop-1-1", None, 0)
    assert new.unready_because == f"CannotStart: {ABSENT}"
    assert await output(harness, new.id) == f"cannot start: {ABSENT}"
    shutil.move(f"{folder}.away", folder)
    live = await harness.until(lambda live: live.revisions[0].ready == 2)
    assert [each.failed_starts for each in live.revisions[0].instances] == [0, 0]


async def test_a_start_that_cannot_be_can_be_given_up(
    harness: SurfaceHarness, folder: Path
) -> None:
    await harness.serve(harness.spec(1, data=("up-loads",), command=SERVE))
    shutil.move(folder, f"{folder}.away")
    await harness.surface.scale(SHOP, 1, 2, fence(1))
    await harness.until(lambda live: bool(live.revisions[0].instances[-1].failed_starts))

    await harness.surface.scale(SHOP, 1, 1, fence(1))

    await harness.until(lambda live: len(live.revisions[0].instances) == 1)
    assert await output(harness, "module-shop-1-1") == f"cannot start: {ABSENT}"


@pytest.mark.parametrize("replaced", ["the folder", "its parent"])
async def test_a_link_in_place_of_a_folder_leads_nowhere(
    harness: SurfaceHarness, folder: Path, tmp_path: Path, replaced: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / folder.name).mkdir(parents=True)
    at = folder if replaced == "the folder" else folder.parent
    at.rename(at.with_name("before"))
    at.symlink_to(elsewhere)

    with pytest.raises(DataMissing):
        await harness.surface.apply(harness.spec(data=("up-loads",)), fence(1))


async def test_the_same_name_in_another_environment_is_another_folder(
    harness: SurfaceHarness, folder: Path
) -> None:
    other = environment_id(environment_key(ACME, ProjectId("proj-shop"), "other"))
    await harness.surface.ensure_site(replace(SITE, environment=other), fence(1))
    spec = harness.spec(component=replace(SHOP, environment=other), data=("up-loads",))
    try:
        with pytest.raises(DataMissing):
            await harness.surface.apply(spec, fence(1))
    finally:
        await harness.surface.delete_site(other, fence(2))


@pytest.mark.parametrize("name", ["..", "../other", "a/b", "", "A", "a\0"])
def test_a_name_that_could_be_a_path_is_refused(name: str) -> None:
    with pytest.raises(Invalid):
        replace(TEMPLATE, data=(name,))
