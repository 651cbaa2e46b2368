"""`make demo-aks` itself: all that it promises is shown, in both forms, and nothing is left."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from cli.demo.__main__ import EXIT_NO_PODS
from local_cluster.binaries import KUBEBOX, NODE_RUNTIME
from local_cluster.cluster_folder import Form
from local_cluster.forms import choose
from local_cluster.network import claimed
from tests.kit.demo_runs import left_of, start, text_of, until_shown
from tests.kit.kubernetes_cluster import programs_of_clusters, until
from tests.kit.machine_state import left_by, machine_state
from tests.kit.patience import PATIENCE_S
from tests.kit.unprivileged_user import as_user

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("demo")]
ENDS_WITHIN_S = 1500
"""Alone it takes 3 minutes; how long it takes here is the machine's load."""
SHOWN = [
    r"cluster: of its own, in the form (root|rootless)",
    r"Provisioned  \S+  http://10\.\d+\.\d+\.10/",
    r"proof: module-datasette-r1-\S+ runs r1 sha256:",
    r"\$ kill -9 \d+    # the API server, at weight \d\d %",
    r"while dead: [1-9]\d* requests served, 0 failed, in \d",
    r"trigger:   at 20 % the gate of module-datasette said Fail: errorRatio",
    r"figures:   \d\d\.\d% of [1-9]\d* requests failed \([1-9]\d*\), 0\.0% of the old release",
    r"exposed:   [1-9]\d* requests",
    r"module-datasette-r2-\S+ +2 .*nothing",
    r"module-site-2-0 +2 .*nothing",
    r"was rolled back here by dep-",
    r"has no tag 9\.9\.9 of datasette",
    r"noticed:   after \d+\.\d s; its pods run on another node",
    r"lost:      \d+ requests that were on node\d; it is back",
    r"differs:   workload resources/memoryMib of r2 is 192; it was released as 256",
    r"requests:  [1-9]\d* sent, [1-9]\d* served",
    r"Failed:    0",
    r"the demo passed",
    r"nothing is left running",
]
WITH_LIMITS = r"told as:   module-datasette-r4-\S+ ended 3 times .* memory limit exceeded"
WITHOUT_LIMITS = r"left out: a cluster without root holds no pod to its memory"


@pytest.fixture
def home() -> Iterator[Path]:
    """Yield a folder that any user reaches, as pytest's own are root's."""
    with TemporaryDirectory(prefix="rt-", dir="/tmp") as name:
        yield Path(name)


def command(state: Path, form: Form) -> Sequence[str]:
    demo = (sys.executable, "-m", "cli.demo", "--cluster", "--form", form)
    return (*demo, "--state", str(state))


def end(demo: "subprocess.Popen[bytes]") -> int:
    try:
        return demo.wait(ENDS_WITHIN_S)
    finally:
        demo.send_signal(signal.SIGTERM)
        demo.wait(PATIENCE_S)


def names_of_networks(state: Path) -> list[str]:
    """Return the names of the links and control groups of the cluster in *state*."""
    return [network.name for network in claimed(state / "cluster")]


@pytest.mark.long
def test_as_root_every_part_is_shown_and_no_request_fails(tmp_path: Path) -> None:
    state, output = tmp_path / "demo", tmp_path / "output.txt"
    if choose(programs_of_clusters(), state).form is not Form.ROOT:
        pytest.skip("this machine's user is not root, or it has no real nodes")
    before = machine_state()

    demo = start(command(state, Form.ROOT), output, os.environ)
    try:
        until_shown(output, "env create", demo)
        (network,) = names_of_networks(state)
    finally:
        code = end(demo)

    text = text_of(output)
    assert code == 0, text[-3000:]
    assert [wanted for wanted in (*SHOWN, WITH_LIMITS) if not re.search(wanted, text)] == []
    assert left_of(state) == []
    until(lambda: not left_by(network, before))  # the kernel takes links away by itself


@pytest.mark.long
@pytest.mark.sweep
def test_without_root_it_is_the_same_but_for_limits(home: Path) -> None:
    programs = programs_of_clusters()
    state, output = home / "demo", home.with_suffix(".txt")
    words, environ = as_user(home, command(state, Form.ROOTLESS))
    environ |= {
        KUBEBOX: str(programs.kubebox),
        NODE_RUNTIME: str(programs.runtime),
        "RUNTIMECTL_CACHE": str(home / "cache"),  # root's is not the user's to write
    }
    before = machine_state()

    try:
        code = end(start(words, output, environ))
        text = text_of(output)
    finally:
        output.unlink()

    assert code == 0, text[-3000:]
    assert [wanted for wanted in (*SHOWN, WITHOUT_LIMITS) if not re.search(wanted, text)] == []
    assert left_of(state) == []
    assert left_by("none: a cluster without root has no link or group here", before) == set()


@pytest.mark.long
@pytest.mark.parametrize(
    "at",
    [
        "cluster up",
        pytest.param("env create", marks=pytest.mark.sweep),
        pytest.param("http://10", marks=pytest.mark.sweep),
    ],
    ids=lambda at: at.split()[0],
)
def test_an_interruption_leaves_nothing(tmp_path: Path, at: str) -> None:
    state, output = tmp_path / "demo", tmp_path / "output.txt"
    if choose(programs_of_clusters(), state).form is not Form.ROOT:
        pytest.skip("this machine's user is not root, or it has no real nodes")
    before = machine_state()
    demo = start(command(state, Form.ROOT), output, os.environ)
    try:
        until_shown(output, at, demo)
        networks = names_of_networks(state)
        os.killpg(demo.pid, signal.SIGINT)
        code = demo.wait(PATIENCE_S)
    finally:
        end(demo)

    assert code == 130, text_of(output)[-2000:]
    assert "nothing is left running" in text_of(output)
    assert left_of(state) == []
    assert names_of_networks(state) == []
    # The kernel takes the links of a namespace away by itself, a moment after it has ended.
    until(lambda: not any(left_by(network, before) for network in networks))


def test_a_machine_without_the_programs_is_told_how_to_get_them(tmp_path: Path) -> None:
    output = tmp_path / "output.txt"
    words = command(tmp_path / "demo", Form.ROOTLESS)

    code = end(start(words, output, {**os.environ, "RUNTIMECTL_CACHE": str(tmp_path / "cache")}))

    assert code == EXIT_NO_PODS
    assert "there is no demo on a cluster here: there is no " in text_of(output)
    assert "`make kubebox` builds it" in text_of(output)


def test_a_machine_that_runs_no_pods_says_what_is_missing(tmp_path: Path) -> None:
    programs_of_clusters()
    output, programs = tmp_path / "output.txt", tmp_path / "bin"
    programs.mkdir()
    for name in ("ip", "mount", "unshare"):  # and no newuidmap
        (programs / name).symlink_to(shutil.which(name) or "/bin/true")

    environ = {**os.environ, "PATH": str(programs)}
    code = end(start(command(tmp_path / "demo", Form.ROOTLESS), output, environ))

    assert code == EXIT_NO_PODS
    assert "this machine cannot run real nodes: " in text_of(output)
    assert "there is no `newuidmap`" in text_of(output)
    assert not (tmp_path / "demo").exists(), "nothing was started"
