"""A path is watched for what stands there: device and inode, not the name."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.kernel.clock import SystemClock
from shared.persistence import held_paths
from shared.persistence.held_paths import first_removed
from tests.kit.patience import PATIENCE_S

pytestmark = pytest.mark.real


def _anew(folder: Path) -> None:
    """Give the path a folder that would get the same inode, were the old one not held."""
    folder.rmdir()
    folder.mkdir()


def _to_a_link(folder: Path) -> None:
    folder.rmdir()
    folder.symlink_to(folder.parent)


def _below_a_file(folder: Path) -> None:
    folder.rmdir()
    parent = folder.parent
    parent.rename(parent.with_name("elsewhere"))
    parent.touch()


@pytest.mark.parametrize(
    "change", [Path.rmdir, _anew, _to_a_link, _below_a_file], ids=lambda each: each.__name__
)
async def test_a_folder_that_is_not_the_one_it_was_is_removed(
    change: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_paths, "INTERVAL_S", 0.01)
    folder = tmp_path / "parent" / "state"
    folder.mkdir(parents=True)
    waiting = asyncio.ensure_future(first_removed([tmp_path, folder], SystemClock()))
    await SystemClock().sleep(0.1)
    assert not waiting.done()

    change(folder)

    assert await asyncio.wait_for(waiting, PATIENCE_S) == folder


async def test_a_path_that_is_not_there_is_removed_at_once(tmp_path: Path) -> None:
    assert await first_removed([tmp_path / "none"], SystemClock()) == tmp_path / "none"


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_what_is_written_inside_is_no_removal_and_nothing_stays_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_paths, "INTERVAL_S", 0.01)
    before = _open_files()
    waiting = asyncio.ensure_future(first_removed([tmp_path], SystemClock()))
    for number in range(20):
        (tmp_path / f"{number}").mkdir()
        await SystemClock().sleep(0.01)
    assert not waiting.done()

    waiting.cancel()
    await asyncio.wait([waiting])

    assert _open_files() == before
