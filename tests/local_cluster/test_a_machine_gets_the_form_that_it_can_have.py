"""The form of a cluster is the most real one that this machine can have, and says what it lacks."""

import os
import re
from pathlib import Path

import pytest

from local_cluster.binaries import (
    KUBEBOX,
    NODE_RUNTIME,
    RUNTIME_PROGRAMS,
    Binaries,
    find_binaries,
    find_nft,
    require_kubebox,
    runtime_folder,
)
from local_cluster.cluster_folder import ClusterFolder, ClusterRecord, Form
from local_cluster.forms import choose
from local_cluster.packet_filter import problem_of_filters
from shared.kernel.errors import Unavailable

NO_RUNTIME = Binaries(Path("/cache/kubebox"), None)
HERE = Path("/state")


def test_without_a_node_runtime_nodes_are_played() -> None:
    choice = choose(NO_RUNTIME, HERE)

    assert choice.form is Form.KWOK
    assert choice.lacks[0].startswith("no container runs")
    assert any("there is no node runtime: `make kubebox`" in lack for lack in choice.lacks)


def test_real_nodes_that_were_asked_for_are_refused_with_every_reason() -> None:
    with pytest.raises(Unavailable, match=r"cannot run real nodes: .*no node runtime"):
        choose(NO_RUNTIME, HERE, Form.ROOT)


def test_a_state_folder_that_a_node_would_not_see_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="a node has a /run of its own, in which /run/state"):
        choose(Binaries(tmp_path, tmp_path), Path("/run/state"), Form.ROOT)


@pytest.mark.skipif(os.geteuid() != 0, reason="this machine's user is not root")
def test_as_root_nodes_are_real(tmp_path: Path) -> None:
    choice = choose(Binaries(tmp_path, tmp_path), HERE)

    assert choice.form is Form.ROOT
    not_enforced = "network policies are accepted, and nothing enforces them: there is no `nft`"
    nft = find_nft(tmp_path)
    assert (not_enforced in choice.lacks) is (nft is None)
    assert choice.enforces_policies is (nft is not None and not problem_of_filters(nft))


@pytest.mark.parametrize(
    ("code", "problem"), [(0, ""), (1, "the kernel has no nftables for bridges")]
)
def test_root_asks_the_kernel_whether_it_filters_bridges(
    code: int, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("local_cluster.packet_filter.BRIDGED", tmp_path)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    nft = tmp_path / "nft"
    nft.write_text(
        f'#!/bin/sh\ntest "$*" = "--check add table bridge network-policies" && exit {code}\n'
    )
    nft.chmod(0o700)

    assert problem_of_filters(str(nft)) == problem


def test_without_root_nodes_need_a_user_namespace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(Unavailable, match="need a user namespace: there is no `unshare`"):
        choose(Binaries(tmp_path, tmp_path), HERE, Form.ROOTLESS)


def test_programs_are_those_that_settings_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own-kubebox").write_bytes(b"")
    monkeypatch.setenv(KUBEBOX, str(tmp_path / "own-kubebox"))

    assert find_binaries(tmp_path).kubebox == tmp_path / "own-kubebox"


def test_half_a_node_runtime_in_the_cache_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kubebox").write_bytes(b"")
    runtime_folder(tmp_path).mkdir()
    for name in RUNTIME_PROGRAMS[:-1]:
        (runtime_folder(tmp_path) / name).write_bytes(b"")
    monkeypatch.setenv(KUBEBOX, str(tmp_path / "kubebox"))
    monkeypatch.delenv(NODE_RUNTIME, raising=False)

    assert find_binaries(tmp_path).runtime is None


def test_a_setting_that_names_half_a_node_runtime_is_refused_with_what_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("kubebox", *RUNTIME_PROGRAMS[:-1]):
        (tmp_path / name).write_bytes(b"")
    monkeypatch.setenv(KUBEBOX, str(tmp_path / "kubebox"))
    monkeypatch.setenv(NODE_RUNTIME, str(tmp_path))

    lacks = f"{NODE_RUNTIME} names {tmp_path}, which lacks {RUNTIME_PROGRAMS[-1]}"
    with pytest.raises(Unavailable, match=re.escape(lacks)):
        find_binaries(tmp_path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param("#!/bin/sh\nexit 0\n", "is no kubebox", id="another-program"),
        pytest.param("#!/nobody/has/this\n", "cannot be run", id="of-another-machine"),
    ],
)
def test_a_program_that_is_no_kubebox_is_refused_at_once(
    tmp_path: Path, content: str, says: str
) -> None:
    program = tmp_path / "kubebox"
    program.write_text(content)
    program.chmod(0o700)

    with pytest.raises(Unavailable, match=f"{re.escape(str(program))} {says}"):
        require_kubebox(program)


def test_a_kubebox_is_known_by_its_usage(tmp_path: Path) -> None:
    program = tmp_path / "kubebox"
    program.write_text("#!/bin/sh\necho 'usage: kubebox etcd|kubelet [flags]' >&2\nexit 2\n")
    program.chmod(0o700)

    require_kubebox(program)


def test_absent_programs_are_refused_with_what_builds_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(KUBEBOX, raising=False)

    with pytest.raises(Unavailable, match="`make kubebox` builds it, or RUNTIMECTL_KUBEBOX"):
        find_binaries(tmp_path)


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    folder = ClusterFolder(tmp_path)
    record = ClusterRecord(
        Form.ROOT, ("no names",), "https://10.240.0.1:20000", "/k", ("node1",), "10.240.0.0/20"
    )

    assert folder.record() is None
    folder.write_record(record)
    assert folder.record() == record


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"form": "root"}', id="fields-are-absent"),
        pytest.param('{"form": "paper"}', id="another-form"),
        pytest.param(
            '{"form": "root", "lacks": [], "server": "s", "kubeconfig": "k", "nodes": [], "x": 1}',
            id="a-field-more",
        ),
    ],
)
def test_a_record_of_another_version_is_named_as_one(tmp_path: Path, text: str) -> None:
    folder = ClusterFolder(tmp_path)
    folder.record_file.write_text(text)

    with pytest.raises(Unavailable, match="of another version of the local cluster"):
        folder.record()
