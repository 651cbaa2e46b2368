"""What a workload left is measured at a bounded cost and removed whole, and no link is followed."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.persistence import file_trees
from shared.persistence.file_trees import DEPTH_MAX, Usage, measure, remove_tree

NOBODY = 65534
PLENTY = {"bytes_max": 2**40, "names_max": 10**6}


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """Give a folder that no measure counts and no removal touches."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "precious").write_bytes(b"x" * 65536)
    mode = folder.stat().st_mode
    yield folder
    assert (folder / "precious").read_bytes() == b"x" * 65536
    assert folder.stat().st_mode == mode


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    made = tmp_path / "folder"
    made.mkdir()
    yield made
    remove_tree(made)  # pytest could not


def deep(folder: Path, levels: int) -> None:
    """Make *levels* of folders in each other, also where their path is too long for the system."""
    at = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d", dir_fd=at)
        inner = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = inner
    os.close(at)


def test_bytes_and_names_are_counted_with_folders_and_without_holes(folder: Path) -> None:
    (folder / "a").write_bytes(b"x" * 100_000)
    (folder / "inner").mkdir()
    (folder / "inner" / "b").write_bytes(b"x" * 100_000)
    with (folder / "hole").open("wb") as file:
        file.truncate(10**9)

    used = measure([folder, folder / "absent"], **PLENTY)

    assert (used.names, used.is_whole) == (4, True)
    assert 200_000 <= used.bytes < 300_000


def test_a_file_with_two_names_takes_its_bytes_once(folder: Path) -> None:
    (folder / "a").write_bytes(b"x" * 100_000)
    (folder / "b").hardlink_to(folder / "a")

    used = measure([folder], **PLENTY)

    assert used.names == 2
    assert used.bytes < 200_000


def test_links_count_as_names_and_lead_nowhere(folder: Path, outside: Path) -> None:
    (folder / "to-a-folder").symlink_to(outside)
    (folder / "to-itself").symlink_to(folder)
    os.mkfifo(folder / "pipe")

    used = measure([folder], **PLENTY)
    through = measure([folder / "to-a-folder"], **PLENTY)

    assert (used.names, used.is_whole) == (3, True)
    assert used.bytes < 65536
    assert through == Usage()


@pytest.mark.parametrize("bounds", [{"names_max": 50}, {"bytes_max": 50 * 4096}])
def test_counting_ends_at_the_bound(
    folder: Path, bounds: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2000):
        (folder / f"{number}").write_bytes(b"x" * 4096)
    looked = 0
    walk = file_trees._walk

    def counting(path: Path) -> Iterator[os.stat_result | None]:
        nonlocal looked
        for found in walk(path):
            looked += 1
            yield found

    monkeypatch.setattr(file_trees, "_walk", counting)

    used = measure([folder], **{**PLENTY, **bounds})

    assert not used.is_whole
    assert 50 <= looked <= 60


@pytest.mark.parametrize("levels", [DEPTH_MAX - 1, DEPTH_MAX, 5000])
def test_what_is_too_deep_is_no_whole_measure(folder: Path, levels: int) -> None:
    deep(folder, levels)

    used = measure([folder], **PLENTY)

    assert (used.names, used.is_whole) == (min(levels, DEPTH_MAX), levels < DEPTH_MAX)


@contextmanager
def _as_nobody() -> Iterator[None]:
    """Be a user who reads what its folders allow; root reads what is closed."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("mode", [0o000, 0o400])
def test_a_closed_folder_is_no_whole_measure(mode: int) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)  # of pytest's folders nobody sees any
        folder.chmod(0o755)
        (folder / "closed").mkdir()
        (folder / "closed" / "file").touch()
        (folder / "closed").chmod(mode)

        with _as_nobody():
            used = measure([folder], **PLENTY)

        assert (used.names, used.is_whole) == (1, False)


@pytest.mark.parametrize("free", [1, 2, 3, 4])
def test_without_descriptors_left_it_is_no_whole_measure(folder: Path, free: int) -> None:
    deep(folder, 20)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + free, limits[1]))
    try:
        used = measure([folder], **PLENTY)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    assert used.names < 20
    assert not used.is_whole


def test_what_is_deeper_than_any_path_is_removed(folder: Path, outside: Path) -> None:
    deep(folder, 5000)
    (folder / "link").symlink_to(outside)

    remove_tree(folder)

    assert not folder.exists()


def test_what_its_owner_closed_is_removed(folder: Path) -> None:
    closed = folder / "a" / "b"
    closed.mkdir(parents=True)
    (closed / "c").mkdir()
    (closed / "file").write_text("x")
    for path in (closed / "c", closed, closed.parent, folder):
        path.chmod(0o000)

    remove_tree(folder)

    assert not folder.exists()


def test_names_that_the_removal_uses_itself_are_no_hindrance(folder: Path) -> None:
    for name in (".removed-0", ".removed-1"):
        (folder / name / "a" / "b").mkdir(parents=True)
        (folder / name / "file").write_text("x")
    (folder / ".removed-2").write_text("x")

    remove_tree(folder)

    assert not folder.exists()


def test_a_link_or_a_file_in_place_of_the_folder_stays(folder: Path, outside: Path) -> None:
    (folder / "link").symlink_to(outside)
    (folder / "file").write_text("x")

    for name in ("link", "file", "absent"):
        remove_tree(folder / name)

    assert sorted(path.name for path in folder.iterdir()) == ["file", "link"]


KINDS = st.sampled_from(["file", "link", "closed", "folder", "pipe"])
TREES = st.lists(st.tuples(st.lists(st.integers(0, 3), max_size=6), KINDS), max_size=40)


@given(TREES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_any_tree_is_removed_and_nothing_outside(
    tmp_path: Path, outside: Path, tree: list[tuple[list[int], str]]
) -> None:
    root = tmp_path / "tree"
    root.mkdir(exist_ok=True)
    closed: list[Path] = []
    for path, kind in tree:
        at = root.joinpath(*map(str, path), kind)
        try:
            at.parent.mkdir(parents=True, exist_ok=True)
            match kind:
                case "file":
                    at.write_text("x")
                case "link":
                    at.symlink_to(outside)
                case "pipe":
                    os.mkfifo(at)
                case _:
                    at.mkdir()
                    closed += [at] if kind == "closed" else []
        except FileExistsError:
            continue
    for at in closed:
        at.chmod(0o000)

    remove_tree(root)

    assert not root.exists()
