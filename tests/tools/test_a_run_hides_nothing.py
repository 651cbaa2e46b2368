"""What `tests/conftest.py` does to a run of pytest."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

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
SKIPPED: Final = """
import pytest

@pytest.mark.skip(reason="no server here")
def test_skipped(): pass
"""


def _run(folder: Path, tests: str, **environ: str) -> str:
    shutil.copy(CONFTEST, folder)
    (folder / "test_something.py").write_text(tests)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n    real\n    long\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)]
    environ = {**os.environ, "CI": "", **environ}
    return subprocess.run(
        command, cwd=folder, env=environ, check=False, capture_output=True, text=True
    ).stdout


def test_it_says_how_many_passed_by_marker(tmp_path: Path) -> None:
    assert "passed by marker: unit 1, real 1, long 1" in _run(tmp_path, MARKED)


def test_a_skip_fails_in_ci(tmp_path: Path) -> None:
    assert "skipped in CI: " in _run(tmp_path, SKIPPED, CI="true")


def test_a_skip_is_no_failure_elsewhere(tmp_path: Path) -> None:
    assert "1 skipped" in _run(tmp_path, SKIPPED)
