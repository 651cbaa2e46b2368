"""Where files of secrets are without mount namespaces: in memory that workloads do not share."""

from pathlib import Path

import pytest

from local_agent import memory_place, starts
from local_agent.memory_place import folder_of_start, forget_state, is_tmpfs, prepare

MOUNTS = """
overlay / overlay rw,relatime 0 0
tmpfs /dev/shm tmpfs rw,nosuid,nodev 0 0
tmpfs /run tmpfs rw,nosuid,nodev,mode=755 0 0
tmpfs /run/user/1000 tmpfs rw,nosuid,nodev,mode=700,uid=1000 0 0
/dev/sda1 /run/user/1001 ext4 rw 0 0
tmpfs /run/user/1002 tmpfs rw 0 0
/dev/sda1 /run/user/1002 ext4 rw 0 0
"""


@pytest.mark.parametrize("place", ["/run/user/1000", "/run"], ids=["of-a-user", "of-root"])
def test_a_place_is_in_memory_where_a_tmpfs_is_mounted(place: str) -> None:
    assert is_tmpfs(Path(place), MOUNTS)


@pytest.mark.parametrize("user", ["1001", "1002", "1003"], ids=["a-disk", "below-one", "nothing"])
def test_no_other_place_is(user: str) -> None:
    assert not is_tmpfs(Path("/run/user", user), MOUNTS)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for the tmpfs of this user, which not every machine has."""
    memory = tmp_path / "memory"
    memory.mkdir()
    monkeypatch.setattr(memory_place, "memory_place", lambda: memory)
    return memory


def left_of_a_start(place: Path, state: Path, token: str) -> Path:
    instance = state / "surface" / "sites" / "env" / "instances" / "svc" / "module-shop-1-0"
    instance.mkdir(parents=True, exist_ok=True)
    folder = folder_of_start(place, instance, token)
    prepare(folder)
    folder.mkdir(mode=0o700)
    (folder / "db-password").write_text("s3cret")
    starts.SpawnedProcesses().end(instance, "of-another-start")
    assert folder.exists()
    return folder


def test_what_a_killed_shim_left_goes_with_its_start(place: Path, tmp_path: Path) -> None:
    folder = left_of_a_start(place, tmp_path / "state", "t-1")
    instance = next((tmp_path / "state").glob("surface/sites/env/instances/svc/*"))

    starts.SpawnedProcesses().end(instance, "t-1")

    assert not folder.exists()


def test_what_is_left_of_a_state_folder_goes_with_it_and_nothing_of_another(
    place: Path, tmp_path: Path
) -> None:
    mine = left_of_a_start(place, tmp_path / "state", "t-1")
    other = left_of_a_start(place, tmp_path / "other", "t-2")

    forget_state(tmp_path / "state")

    assert not mine.parent.exists()
    assert other.exists()
