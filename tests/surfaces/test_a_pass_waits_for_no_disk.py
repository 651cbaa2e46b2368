"""What takes long with an instance is done beside the loop, which serves everything else."""

import asyncio
import threading
from collections import defaultdict
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from local_agent import process_trees, starts
from local_agent.api_access import ApiAccess
from local_agent.artifacts import Artifacts
from local_agent.component_controller import ComponentController
from local_agent.controller_context import ControllerContext
from local_agent.instance_folder import InstanceFolder
from local_agent.scratch import ScratchMeter
from local_agent.state_files import (
    ComponentRecord,
    DesiredComponent,
    DesiredRevision,
    InstanceRecord,
    SiteFolder,
)
from local_agent.vault_folder import VaultFolder
from shared.surfaces.spec import Resources
from tests.kit.seeded_entropy import SeededEntropy
from tests.kit.virtual_time import EPOCH, LoopClock, run_virtual
from tests.surfaces.harness import SHOP, TEMPLATE, fence
from tests.surfaces.local_process_harness import FolderBlobs, local_process_harness
from tests.surfaces.test_processes_on_this_machine import GREEDY

STOPPED = InstanceRecord(
    "module-shop-1-0", 1, "token", None, EPOCH, draining_at=EPOCH, terminated_at=EPOCH
)


def context_of(folder: Path, tasks: asyncio.TaskGroup) -> ControllerContext:
    artifacts = Artifacts(folder / "artifacts", FolderBlobs(folder / "blobs"))
    session: Any = None
    clock = LoopClock()
    scratch = ScratchMeter(clock, folder)
    entropy = SeededEntropy(1)
    secrets = VaultFolder(folder / "vaults", clock, entropy)
    return ControllerContext(
        clock, entropy, artifacts, folder / "tools", session, tasks, lambda: None, scratch, secrets,
        ApiAccess(folder, clock, entropy),
    )  # fmt: skip


def test_the_folder_of_a_stopped_instance_is_deleted_in_another_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deleting: list[threading.Thread] = []
    clear = InstanceFolder.clear

    def seen(folder: InstanceFolder) -> None:
        deleting.append(threading.current_thread())
        clear(folder)

    monkeypatch.setattr(InstanceFolder, "clear", seen)
    site = SiteFolder(tmp_path / "site")
    folder = site.instances(SHOP.service) / STOPPED.id
    (folder / "work" / "many").mkdir(parents=True)
    (folder / "output.log").write_text("its last words")
    site.write_record(ComponentRecord(SHOP, (STOPPED,)), is_durable=False)
    desired = DesiredComponent(SHOP, revisions={1: DesiredRevision(TEMPLATE, removed_at=EPOCH)})

    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            controller = ComponentController(site, SHOP, context_of(tmp_path, tasks))
            await controller.reconcile(desired, {}, is_deletion=True)

    run_virtual(main())

    assert site.record(SHOP).instances == ()
    assert [path.name for path in folder.iterdir()] == ["output.log"]
    assert len(deleting) == 1
    assert threading.main_thread() not in deleting


@pytest.mark.real
async def test_starts_kills_and_measures_are_in_other_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places: dict[str, set[threading.Thread]] = defaultdict(set)

    def follow(module: ModuleType, name: str) -> None:
        act = getattr(module, name)

        def seen(*given: Any, **more: Any) -> Any:
            if name != "spawn" or given[0].name == STOPPED.id:  # a proxy needs no sandbox
                places[name].add(threading.current_thread())
            return act(*given, **more)

        monkeypatch.setattr(module, name, seen)

    follow(starts, "spawn")
    follow(process_trees, "resident_bytes")
    follow(process_trees, "kill")
    async with local_process_harness(tmp_path) as harness:
        command, limited = ("python", "-c", GREEDY), Resources(memory_mb=128)
        await harness.surface.apply(harness.worker(1, command=command, resources=limited), fence(1))

        await harness.until(
            lambda live: any(i.restarts for r in live.revisions for i in r.instances)
        )

        assert places.keys() == {"spawn", "resident_bytes", "kill"}
        assert threading.main_thread() not in set().union(*places.values())
