"""Whatever a workload forks ends with it; signals and exit codes pass through their shim."""

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import psutil
import pytest

from local_agent import starts
from local_agent.sandbox_means import tried_means
from local_agent.sandbox_order import sandbox_order
from local_agent.wheel_installer import base_python
from shared.kernel.entropy import SystemEntropy
from tests.kit.machine_processes import with_argument
from tests.kit.patience import PATIENCE_S
from tests.surfaces.accounts import Account, account

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(sys.platform != "linux", reason="sandboxes are of Linux"),
]
DAEMON: Final = """
import os, sys
def detach():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.environ.clear()
            os.execve("/bin/sleep", [sys.argv[1], "600"], {})
        os._exit(0)
    os.wait()
detach()
if os.fork() == 0:
    os.execv("/bin/sleep", [sys.argv[1], "600"])
print("ready", flush=True)
if sys.argv[2] == "stay":
    os.execv("/bin/sleep", [sys.argv[1], "600"])
"""
ASCII: Final = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
HELD: Final[Mapping[str, Mapping[str, Any]]] = {
    "all-there-is": {},
    "without-landlock": {"landlock": 0},
    "without-namespaces": {"namespaces": False},
}


@pytest.fixture(params=["root", "user"])
def platform(request: pytest.FixtureRequest) -> Iterator[Account]:
    with account(request.param) as opened:
        yield opened


@pytest.mark.parametrize("held", HELD.values(), ids=HELD)
@pytest.mark.parametrize(
    ("act", "code"),
    [
        pytest.param("", 0, id="its-end"),
        pytest.param("terminate", -15, id="a-request-to-stop"),
        pytest.param("kill", -9, id="a-kill"),
    ],
)
def test_daemons_end_with_their_instance(
    platform: Account, act: str, code: int, held: Mapping[str, Any]
) -> None:
    marker = SystemEntropy().uuid().hex
    command = [base_python(), "-c", DAEMON, marker, "stay" if act else "end"]

    ended = platform.run(command, act=act, **held)

    assert (ended.code, ended.output) == (code, "ready\n")
    assert with_argument(marker) == []


STORM: Final = """
import os, sys
started = 0
try:
    while True:
        if os.fork() == 0:
            os.setsid()
            os.execv("/bin/sleep", [sys.argv[1], "600"])
        started += 1
except BlockingIOError:
    print(started, "ready", flush=True)
os.execv("/bin/sleep", [sys.argv[1], "600"])
"""


@pytest.mark.parametrize(
    ("limits", "started"),
    [
        pytest.param({"processes": 40}, 39, id="asked-for"),
        pytest.param({}, 1023, id="without-a-limit-of-its-own"),
    ],
)
def test_a_fork_storm_is_bounded_and_ends(
    platform: Account, limits: Mapping[str, int], started: int
) -> None:
    marker = SystemEntropy().uuid().hex

    ended = platform.run([base_python(), "-c", STORM, marker], act="kill", limits=limits)

    ended.needs_namespaces()
    assert (ended.code, ended.output) == (-9, f"{started} ready\n")
    assert with_argument(marker) == []


LINE: Final = """
if [ "$1" -gt 0 ]; then /bin/sh -c "$3" sh $(($1 - 1)) "$2" "$3"; exit; fi
echo ready
while :; do sleep 600; done
"""


@pytest.mark.parametrize("held", [{}, {"namespaces": False}], ids=["all-there-is", "no-namespaces"])
def test_a_long_line_of_processes_ends(platform: Account, held: Mapping[str, Any]) -> None:
    marker = SystemEntropy().uuid().hex

    ended = platform.run(["/bin/sh", "-c", LINE, "sh", "600", marker, LINE], act="kill", **held)

    assert (ended.code, ended.output) == (-9, "ready\n")
    assert with_argument(marker) == []


def test_the_tree_ends_with_its_shim(platform: Account) -> None:
    marker = SystemEntropy().uuid().hex

    ended = platform.run([base_python(), "-c", DAEMON, marker, "stay"], act="killShim")

    ended.needs_namespaces()
    assert ended.code == -9
    assert _until_gone(marker)


@pytest.mark.parametrize("namespaces", [True, False])
def test_processes_are_searched_only_where_the_kernel_leaves_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, namespaces: bool
) -> None:
    in_force = replace(tried_means(), is_namespaced=namespaces)
    if namespaces and not tried_means().is_namespaced:
        pytest.skip("this machine gives no namespaces to this user")
    for part in ("root", "tmp"):
        (tmp_path / part).mkdir()
    pid = starts.spawn(
        tmp_path,
        "start",
        ["/bin/true"],
        environ={},
        workdir=tmp_path / "tmp",
        output=tmp_path / "output",
        limits={},
        sandbox=sandbox_order(in_force, tmp_path, "start", owned=[tmp_path / "tmp"]),
    )
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    searches: list[int] = []
    monkeypatch.setattr(psutil, "pids", lambda: searches.append(1) or [])

    assert starts.SpawnedProcesses().end(tmp_path, "start") == 0
    assert bool(searches) is not namespaces


def _until_gone(marker: str) -> bool:
    """Return whether they end by themselves; the kernel does it after the shim was reaped."""
    _, alive = psutil.wait_procs(with_argument(marker), timeout=PATIENCE_S)
    return not alive


@pytest.mark.parametrize("held", HELD.values(), ids=HELD)
@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("exit 0", 0),
        ("exit 3", 3),
        ("exit 143", 143),
        ("kill -TERM $$", -15),
        ("kill -KILL $$", -9),
        ("kill -SEGV $$", -11),
        ("exec /no/such/program", 127),
    ],
)
def test_an_instance_ends_as_its_program_does(
    platform: Account, script: str, code: int, held: Mapping[str, Any]
) -> None:
    assert platform.run(["/bin/sh", "-c", script], **held).code == code


@pytest.mark.parametrize("held", HELD.values(), ids=HELD)
@pytest.mark.parametrize("ending", ["ABRT", "SEGV"])
def test_a_shim_that_ends_by_a_signal_leaves_no_core(
    platform: Account, ending: str, held: Mapping[str, Any]
) -> None:
    ended = platform.run(["/bin/sh", "-c", f"kill -{ending} $$"], **held)

    assert ended.code < 0
    assert not ended.core


def test_a_program_that_is_not_there_is_named(platform: Account) -> None:
    ended = platform.run(["no-such-program", "x"])

    assert ended.code == 127
    assert ended.output.startswith("cannot start ['no-such-program', 'x']: [Errno 2]")


@pytest.mark.parametrize("held", HELD.values(), ids=HELD)
@pytest.mark.parametrize(
    "order",
    [
        {"environ": {"A": "x\0y"}},
        {"environ": {"A=B": "x"}},
        {"sandbox": {"readable": [0.5]}},
        {"sandbox": {"landlock": 4, "port": "x"}},
    ],
    ids=["a-variable-with-a-zero", "a-name-with-an-equals-sign", "its-init", "its-restrictions"],
)
def test_a_start_that_cannot_be_says_so(
    platform: Account, order: Mapping[str, Any], held: Mapping[str, Any]
) -> None:
    ended = platform.run(["/bin/true"], **order, **held)

    assert ended.code == 127
    assert ended.output.startswith("cannot start ")


@pytest.mark.parametrize("name", [b"\xff", "\u00fc".encode()], ids=["no-text", "utf-8"])
@pytest.mark.parametrize("locale", [{}, ASCII], ids=["as-it-is", "ascii"])
def test_a_folder_may_have_any_name(
    platform: Account, name: bytes, locale: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = platform.folder / name.decode("ascii", "surrogateescape")  # so for every locale
    folder.mkdir(exist_ok=True)
    os.chown(folder, platform.folder.stat().st_uid, -1)
    for variable, value in locale.items():
        monkeypatch.setenv(variable, value)

    ended = replace(platform, folder=folder).run(["/bin/sh", "-c", "touch $HOME/file && echo ok"])

    assert (ended.code, ended.output) == (0, "ok\n")


@pytest.mark.parametrize("held", HELD.values(), ids=HELD)
def test_a_request_to_stop_can_be_answered(platform: Account, held: Mapping[str, Any]) -> None:
    script = "trap 'echo asked; exit 7' TERM; echo ready; while :; do sleep 0.05; done"

    ended = platform.run(["/bin/sh", "-c", script], act="terminate", **held)

    assert (ended.code, ended.output) == (7, "ready\nasked\n")


def test_orphans_are_reaped(platform: Account) -> None:
    script = (
        "import os\n"
        "for _ in range(20):\n"
        "    if os.fork() == 0:\n"
        "        if os.fork() == 0: os._exit(0)\n"
        "        os._exit(0)\n"
        "    os.wait()\n"
        "def left():\n"
        "    return [p for p in os.listdir('/proc') if p.isdigit() and int(p) > 2]\n"
        "while left(): pass\n"
        "print('no zombie')\n"
    )

    ended = platform.run([base_python(), "-c", script])

    ended.needs_namespaces()
    assert ended.output == "no zombie\n"
