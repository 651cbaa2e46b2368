"""What `tests/conftest.py` does to a run of pytest."""

import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

CONFTEST: Final = Path(__file__).resolve().parents[1] / "conftest.py"
MARKED: Final = """
import pytest

def test_plain(): pass
@pytest.mark.real
def test_with_processes(): pass
@pytest.mark.real
@pytest.mark.long
def test_with_patience(): pass
"""
SHARED: Final = """
import os
from pathlib import Path

import pytest

def told(kind):
    with Path(__file__).with_name("workers").open("a") as file:
        file.write(kind + " " + os.environ["PYTEST_XDIST_WORKER"] + chr(10))

@pytest.fixture(scope="module")
def part(): return "part"
@pytest.mark.parametrize("number", range(20))
def test_with_a_part(part, number): told("part")
@pytest.mark.parametrize("number", range(20))
@pytest.mark.xdist_group("one")
def test_marked(number): told("mark")
"""
MIXED: Final = """
from pathlib import Path

import pytest

def told(kind):
    with Path(__file__).with_name("order").open("a") as file:
        file.write(kind + chr(10))

@pytest.mark.parametrize("number", range(20))
def test_that_computes(number): told("computes")
@pytest.mark.real
@pytest.mark.parametrize("number", range(4))
def test_that_waits(number): told("waits")
@pytest.mark.long(minutes=1)
def test_that_takes_a_minute(): told("a minute")
@pytest.mark.long(minutes=2)
def test_that_takes_minutes(): told("minutes")
"""
MEASURED: Final = """
import os

import pytest
from coverage import Coverage

@pytest.mark.parametrize("number", range(3))
def test_numbers(number):
    is_measured = number == 0
    assert (Coverage.current() is not None) == is_measured
    assert ("COVERAGE_PROCESS_CONFIG" in os.environ) == is_measured
"""
SKIPPED: Final = """
import pytest

@pytest.mark.skip(reason="no server here")
def test_skipped(): pass
"""


def _run(folder: Path, tests: str, *options: str, **environ: str) -> str:
    shutil.copy(CONFTEST, folder)
    (folder / "test_something.py").write_text(tests)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n    real\n    long\n")
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    environ = {**os.environ, "CI": "", "PYTHONPATH": str(CONFTEST.parents[1]), **environ}
    return subprocess.run(
        [*pytest, *options, folder], cwd=folder, env=environ, check=False, capture_output=True,
        text=True,
    ).stdout  # fmt: skip


def test_it_says_how_many_passed_by_marker(tmp_path: Path) -> None:
    assert "passed by marker: unit 1, real 1, long 1" in _run(tmp_path, MARKED)


@pytest.mark.long
def test_tests_that_share_a_part_run_on_one_worker(tmp_path: Path) -> None:
    _run(tmp_path, SHARED, "-n", "2", "--dist", "loadgroup")

    used = set((tmp_path / "workers").read_text().splitlines())
    assert Counter(each.split()[0] for each in used) == {"part": 1, "mark": 1}


@pytest.mark.long
def test_what_takes_minutes_begins_and_what_waits_is_mixed_with_what_computes(
    tmp_path: Path,
) -> None:
    _run(tmp_path, MIXED, "-n", "1", "--dist", "loadgroup", "--no-loadscope-reorder")

    order = (tmp_path / "order").read_text().splitlines()
    assert [each for each in order if each != "computes"] == ["minutes", "a minute", *["waits"] * 4]
    assert order[0] == "minutes"
    assert order[-3:] == ["computes"] * 3
    assert "waits waits" not in " ".join(order)
    assert len(order) == 26


@pytest.mark.long
def test_coverage_is_of_the_first_of_each_test_function(tmp_path: Path) -> None:
    (tmp_path / ".coveragerc").write_text("[run]\npatch = subprocess\n")

    said = _run(tmp_path, MEASURED, "-n", "1", "--cov", "--cov-report=")

    assert "3 passed" in said


def test_a_skip_fails_in_ci(tmp_path: Path) -> None:
    assert "skipped in CI: " in _run(tmp_path, SKIPPED, CI="true")


def test_a_skip_is_no_failure_elsewhere(tmp_path: Path) -> None:
    assert "1 skipped" in _run(tmp_path, SKIPPED)
