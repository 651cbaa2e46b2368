"""What an instance left behind is deleted beside the loop, which serves everything else."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

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
from tests.kit.seeded_entropy import SeededEntropy
from tests.kit.virtual_time import EPOCH, LoopClock, run_virtual
from tests.surfaces.harness import SHOP, TEMPLATE
from tests.surfaces.local_process_harness import FolderBlobs

STOPPED = InstanceRecord(
    "module-shop-1-0", 1, "token", None, EPOCH, draining_at=EPOCH, terminated_at=EPOCH
)


def context_of(folder: Path, tasks: asyncio.TaskGroup) -> ControllerContext:
    artifacts = Artifacts(folder / "artifacts", FolderBlobs(folder / "blobs"))
    session: Any = None
    clock = LoopClock()
    scratch = ScratchMeter(clock, folder)
    return ControllerContext(
        clock, SeededEntropy(1), artifacts, folder / "tools", session, tasks, lambda: None, scratch
    )


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
