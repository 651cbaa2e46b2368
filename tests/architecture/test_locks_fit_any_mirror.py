"""A lock says which packages, by hash, and leaves to the machine where they come from."""

import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).resolve().parents[2]
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS: Final = sorted((ROOT / "requirements").glob("*.txt"))
APPS: Final = ROOT / "requirements.txt"
"""What Azure and Core Tools install for an app."""
RANGES: Final = {"app": PROJECT["project"]["dependencies"], **PROJECT["dependency-groups"]}
INDEX_HOSTS: Final = re.compile(rb"(pypi|pythonhosted|npmjs|yarnpkg)[.](org|com)")
LINE: Final = re.compile(
    r"\s*#.*|"
    r"[a-z0-9-]+(\[[a-z0-9, -]+\])?==[a-z0-9.!+]+( ; [^@]+)?( \\)?|"
    r"    --hash=sha256:[0-9a-f]{64}( \\)?"
)


def _pins(lock: Path) -> list[Requirement]:
    lines = lock.read_text().splitlines()
    return [Requirement(line.removesuffix(" \\")) for line in lines if "==" in line.split(" ; ")[0]]


def test_no_tracked_file_names_the_host_of_a_package_index() -> None:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True)
    paths = [ROOT / name for name in listing.stdout.decode().split("\0") if name]

    named = [path for path in paths if path.is_file() and INDEX_HOSTS.search(path.read_bytes())]

    assert named == []


@pytest.mark.parametrize("lock", [APPS, *LOCKS], ids=lambda path: path.stem)
def test_a_lock_has_packages_and_hashes_and_nothing_else(lock: Path) -> None:
    lines = lock.read_text().splitlines()

    assert [line for line in lines if not LINE.fullmatch(line)] == []


def test_the_lock_of_azurite_has_hashes_and_no_addresses() -> None:
    lock = json.loads((ROOT / "requirements/azurite/package-lock.json").read_text())
    packages = {name: entry for name, entry in lock["packages"].items() if name}

    assert "node_modules/azurite" in packages
    assert [name for name, entry in packages.items() if "integrity" not in entry] == []
    assert [name for name, entry in packages.items() if "resolved" in entry] == []


def test_each_group_has_a_lock() -> None:
    assert {lock.stem for lock in LOCKS} == set(RANGES)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_a_lock_holds_what_its_group_asks_for(lock: Path) -> None:
    locked: dict[str, list[str]] = {}
    for pin in _pins(lock):
        version = next(iter(pin.specifier)).version
        locked.setdefault(canonicalize_name(pin.name), []).append(version)
    asked = [Requirement(text) for text in RANGES[lock.stem]]

    for range_ in asked:
        versions = locked.get(canonicalize_name(range_.name), [])
        assert versions, f"{range_} is not locked: run make lock"
        assert all(range_.specifier.contains(version) for version in versions), range_


def test_no_two_locks_disagree() -> None:
    pinned: dict[tuple[str, str], set[str]] = {}
    for lock in (APPS, *LOCKS):
        for pin in _pins(lock):
            key = (canonicalize_name(pin.name), str(pin.marker))
            pinned.setdefault(key, set()).add(str(pin.specifier))

    assert {key: found for key, found in pinned.items() if len(found) > 1} == {}
