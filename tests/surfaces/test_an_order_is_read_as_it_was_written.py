"""An order of a start reaches the launcher whole; one of another version starts nothing."""

import marshal
import subprocess
import sys
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from local_agent import launcher
from local_agent.sandbox.order import SandboxOrder, StartOrder, read, write

SANDBOX = SandboxOrder(
    parent=None,
    is_namespaced=True,
    has_network=True,
    user=1000,
    root="/state/root",
    hidden="/state",
    readable=["/opt/python"],
    writable=["/state/home"],
    program_folders=[],
    program_files=["/state/work/server.py"],
    mapped=[("/data", 1000)],
    tmp="/state/tmp",
    accounts=("root:x:0", "app:x:1000"),
    secrets="/state/secrets",
    landlock=4,
    port=8080,
    filters_calls=True,
)


def _order(folder: Path, sandbox: SandboxOrder | None) -> StartOrder:
    return StartOrder(
        claim=str(folder / "claim-t"),
        boot="b",
        exit=str(folder / "exit-t"),
        output=str(folder / "output.log"),
        workdir=str(folder),
        limits={"RLIMIT_CORE": 0},
        command=["/bin/echo", "started"],
        environ={"NAME": "value"},
        secret_files={"db-password": "s3cret"},
        sandbox=sandbox,
    )


@pytest.mark.parametrize("sandbox", [SANDBOX, None], ids=["in-a-sandbox", "without-one"])
def test_an_order_is_read_as_it_was_written(tmp_path: Path, sandbox: SandboxOrder | None) -> None:
    order, file = _order(tmp_path, sandbox), BytesIO()

    write(order, file)
    file.seek(0)
    again = read(file)

    assert (again.sandbox and vars(again.sandbox)) == (sandbox and vars(sandbox))
    assert {**vars(again), "sandbox": None} == {**vars(order), "sandbox": None}


@pytest.mark.parametrize(
    ("change", "code", "output"),
    [
        pytest.param({}, 0, "started\n", id="of-this-version"),
        pytest.param(
            {"niceness": 3},
            launcher.NOT_STARTED,
            "cannot start a workload: its order is of another version, by niceness\n",
            id="with-a-field-that-is-unknown-here",
        ),
        pytest.param(
            {"sandbox": {**vars(SANDBOX), "seccomp": True}},
            launcher.NOT_STARTED,
            "cannot start a workload: its order is of another version, by seccomp\n",
            id="with-a-sandbox-of-another-version",
        ),
    ],
)
def test_the_launcher_starts_by_an_order_of_its_version_only(
    tmp_path: Path, change: Mapping[str, Any], code: int, output: str
) -> None:
    order = marshal.dumps({**vars(_order(tmp_path, None)), **change})

    ended = subprocess.run(
        [sys.executable, "-I", "-S", launcher.__file__, "t"],
        input=order,
        capture_output=True,
        check=False,
    )

    assert (ended.returncode, (ended.stdout + ended.stderr).decode()) == (code, output)
    assert (tmp_path / "claim-t").exists() is (code == 0)
