"""A workload writes as fast and as much as it likes; two files are kept, and it has neither."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.state_folder import REPOSITORY
from local_agent.sandbox.output import BYTES_MAX
from tests.kit.patience import PATIENCE_S
from tests.surfaces.accounts import Account, account

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(sys.platform != "linux", reason="sandboxes are of Linux"),
]
FLOOD = """
import os
for _ in range(100):
    os.write(1, b"x" * (1 << 20))
os.write(2, b"the last line")
"""
RECOVERS = """
import os, sys
from local_agent.sandbox.output import Output
path, hindrance = sys.argv[1:]
os.dup2(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND), 1)
output = Output(path)
pipe = os.dup(1)
output.read()
os.unlink(path) if hindrance == path else os.mkdir(hindrance)
for _ in range(6):
    os.write(pipe, b"x" * (1 << 20))
hindrance == path or os.rmdir(hindrance)
os.write(pipe, b"x" * (1 << 20) + b"the last line")
os.close(pipe)
output.finish()
"""
HELD = {"in-namespaces": {}, "without-namespaces": {"namespaces": False}}


@pytest.fixture(params=["root", "user"])
def platform(request: pytest.FixtureRequest) -> Iterator[Account]:
    with account(request.param) as opened:
        yield opened


def _files(platform: Account) -> dict[str, int]:
    folder = platform.folder / "state" / "instance"
    return {path.name: path.stat().st_size for path in folder.glob("output*")}


@pytest.mark.parametrize("held", HELD.values(), ids=HELD)
def test_of_a_flood_the_end_is_kept(platform: Account, held: dict[str, bool]) -> None:
    ended = platform.run(["/usr/bin/env", "python3", "-c", FLOOD], **held)

    files = _files(platform)
    assert (ended.code, ended.output[-13:]) == (0, "the last line")
    assert files.keys() == {"output.log", "output.log.1"}
    assert max(files.values()) <= BYTES_MAX


@pytest.mark.parametrize("held", HELD.values(), ids=HELD)
def test_a_child_that_keeps_the_output_open_keeps_nobody_waiting(
    platform: Account, held: dict[str, bool]
) -> None:
    ended = platform.run(["/bin/sh", "-c", "setsid /bin/sleep 600 & echo left"], **held)

    assert (ended.code, ended.output) == (0, "left\n")


@pytest.mark.parametrize("hindrance", ["output.log", "output.log.next", "output.log.1"])
def test_a_file_that_could_not_be_changed_for_the_next_is_changed_later(
    tmp_path: Path, hindrance: str
) -> None:
    log = tmp_path / "output.log"

    subprocess.run(
        [sys.executable, "-c", RECOVERS, str(log), str(tmp_path / hindrance)],
        cwd=REPOSITORY, check=True, timeout=PATIENCE_S,
    )  # fmt: skip

    assert log.read_text().endswith("the last line")
    assert max(path.stat().st_size for path in tmp_path.iterdir()) <= BYTES_MAX


def test_a_workload_has_no_file_of_the_agent(platform: Account) -> None:
    ended = platform.run(["/bin/sh", "-c", "readlink /proc/self/fd/1 /proc/self/fd/2"])

    assert all(line.startswith("pipe:") for line in ended.output.split())
