"""Two applications that the platform has never heard of, through the command line only."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.state_folder import REPOSITORY

pytestmark = [pytest.mark.real, pytest.mark.long, pytest.mark.xdist_group("any_web_application")]
EXAMPLES = REPOSITORY / "examples"


class Shell:
    """Types lines into a shell of its own state folder."""

    def __init__(self, state: Path) -> None:
        self._environ = {**os.environ, "RUNTIMECTL_STATE": str(state), "NO_COLOR": "1"}

    def __call__(self, line: str, *, expect: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "cli.main", *line.split()],
            cwd=REPOSITORY, env=self._environ, capture_output=True, text=True, timeout=600,
            check=False,
        )  # fmt: skip
        assert done.returncode == expect, f"{line}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def read(self, line: str) -> Any:
        return json.loads(self(f"{line} -o json"))


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    typed = Shell(tmp_path_factory.mktemp("system"))
    typed("up --port 0")
    try:
        typed("login --dev --tenant tenant-any --user somebody")
        yield typed
    finally:
        typed("down")


@pytest.mark.parametrize(
    ("name", "first", "second", "packages", "path"),
    [
        pytest.param(
            "httpbin",
            "0.10.3",
            "0.10.4",
            "gunicorn==23.0.0",
            "status/200",
            id="httpbin",
            marks=pytest.mark.sweep,
        ),
        pytest.param("pypiserver", "2.4.0", "2.4.2", "", "health", id="pypiserver"),
    ],
)
def test_it_is_deployed_replaced_and_rolled_back_without_a_line_of_code(
    shell: Shell, tmp_path: Path, name: str, first: str, second: str, packages: str, path: str
) -> None:
    shell(f"env create {name} --wait")
    for release in (first, second):
        archive = tmp_path / f"{release}.zip"
        shell(f"artifact build {name}=={release} {packages} --to {archive}")
        file = EXAMPLES / name / f"release-{release}.yaml"
        shell(f"deploy -f {file} --artifact {archive} --env {name} --weights 100 --wait")
    url = shell.read(f"env show {name}")["provisioned"][0]["endpoint"]

    answered = _status(f"{url}{path}")
    running = _service(shell, name)
    shell(f"rollback {name} --reason test --wait")
    restored = _service(shell, name)

    assert answered == 200
    assert running["version"] == second
    assert restored["version"] == first
    assert _status(f"{url}{path}") == 200
    assert name in shell(f"history module-{name} --env {name}")


def _service(shell: Shell, environment: str) -> Any:
    (service,) = shell.read(f"status --env {environment}")
    return service


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code
