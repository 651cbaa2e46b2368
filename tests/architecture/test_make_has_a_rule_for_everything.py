"""What stands in the Makefile works in a fresh clone, where nothing is installed or built yet."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from cli.state_folder import REPOSITORY

MAKEFILE = (REPOSITORY / "Makefile").read_text()
TARGETS = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)[0].split()


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that rules need, and with nothing that they make."""
    folder = tmp_path_factory.mktemp("clone")
    shutil.copytree(REPOSITORY / "requirements", folder / "requirements")
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, folder)
    return folder


@pytest.mark.parametrize("target", TARGETS)
def test_each_target_and_all_that_it_needs_has_a_rule(clone: Path, target: str) -> None:
    shown = subprocess.run(
        ["make", "--dry-run", target], cwd=clone, capture_output=True, text=True, check=False
    )

    assert shown.returncode == 0, shown.stderr
    assert "Nothing to be done" not in shown.stdout


def test_what_help_lists_is_no_file() -> None:
    assert set(re.findall(r"^([a-z-]+):.*##", MAKEFILE, re.MULTILINE)) <= set(TARGETS)
