"""`cluster` answers for the cluster that runs, or says why it cannot."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli import host_program
from cli.cluster_process import wait_for_gateways
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.main import main
from cli.state_folder import StateFolder
from local_cluster.cluster_folder import ClusterFolder, ClusterRecord, Form
from local_cluster.image_registry import kept_port
from shared.persistence.lock_files import take_lock, write_owner
from tests.kit.seeded_entropy import SeededEntropy
from tests.kit.stores import HandClock


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Path]:
    """Yield a state folder whose cluster, of two nodes, is this process."""
    folder = ClusterFolder(tmp_path / "cluster")
    folder.path.mkdir()
    lock = take_lock(folder.lock)
    assert lock is not None
    write_owner(lock, os.getpid())
    folder.write_record(ClusterRecord(Form.KWOK, (), "https://127.0.0.1:1", "/k", ("a", "b")))
    yield tmp_path
    os.close(lock)


def test_another_number_of_nodes_than_run_is_refused(
    running: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    up = ["cluster", "up", "--state", str(running), "-o", "json"]

    codes = [main(up), main([*up, "--nodes", "2"]), main([*up, "--nodes", "3"])]

    assert codes == [ExitCode.OK, ExitCode.OK, ExitCode.CONFLICT]
    error = json.loads(capsys.readouterr().err)["error"]
    assert error["message"] == "the cluster runs already, with --nodes 2"
    assert "cluster down" in error["next"]


@contextmanager
def another_user() -> Iterator[None]:
    """Be a user without rights, where this one is root."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(was)


def test_a_state_folder_of_another_user_is_named(
    running: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = ["cluster", "status", "--state", str(running), "-o", "json"]
    assert main(status) == ExitCode.OK
    ClusterFolder(running / "cluster").record_file.chmod(0)
    capsys.readouterr()

    with another_user():
        code = main(status)

    assert code == ExitCode.UNAVAILABLE
    error = json.loads(capsys.readouterr().err)["error"]
    assert "cluster.json cannot be used: Permission denied" in error["message"]
    assert "--state" in error["next"]


@pytest.mark.real
def test_up_says_what_a_kill_has_lost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIMECTL_KUBEBOX", str(tmp_path / "none"))  # it starts nothing here
    folder = ClusterFolder(tmp_path / "cluster")
    folder.path.mkdir()
    folder.write_record(ClusterRecord(Form.KWOK, (), "https://127.0.0.1:1", "/k", ("a",)))

    main(["cluster", "up", "--state", str(tmp_path)])

    assert "the last cluster was killed: what was in it is gone" in capsys.readouterr().err


def test_the_registry_keeps_its_port_while_it_is_free(tmp_path: Path) -> None:
    folder, entropy = ClusterFolder(tmp_path), SeededEntropy(1)

    first = kept_port(folder, entropy, set())
    again = kept_port(folder, entropy, set())
    other = kept_port(folder, entropy, {first})

    assert again == first
    assert other != first
    assert kept_port(folder, entropy, set()) == other


def test_a_form_that_is_none_is_refused_in_our_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["cluster", "up", "--form", "kwock", "--state", str(tmp_path), "-o", "json"])

    message = json.loads(capsys.readouterr().err)["error"]["message"]
    assert code == ExitCode.USAGE
    assert "'kwock' is not one of" in message
    assert "Value error" not in message


@pytest.mark.parametrize("file", ["local.settings.json", None], ids=["in-the-file", "in-environ"])
def test_a_cluster_that_is_named_anywhere_needs_what_speaks_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str | None
) -> None:
    monkeypatch.setattr(host_program, "_FOR_CLUSTERS", ("nobody_has_this",))
    monkeypatch.delenv("RUNTIME_KUBECONFIG", raising=False)
    monkeypatch.delenv("RUNTIME_AKS_CLUSTER_ID", raising=False)
    host_program.check_cluster_packages(tmp_path)

    if file is None:
        monkeypatch.setenv("RUNTIME_KUBECONFIG", "/k")
    else:
        values = {"Values": {"RUNTIME_KUBECONFIG": "/k"}}
        (tmp_path / file).write_text(json.dumps(values))

    with pytest.raises(Failure, match=r"RUNTIME_KUBECONFIG names a cluster.*nobody_has_this"):
        host_program.check_cluster_packages(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"Values": 7}'])
def test_a_settings_file_that_is_none_is_the_hosts_to_refuse(tmp_path: Path, content: str) -> None:
    (tmp_path / "local.settings.json").write_text(content)

    host_program.check_cluster_packages(tmp_path)


class ServingClock(HandClock):
    """Lets the gateway of *folder* be served at its second sleep, where it is to be."""

    def __init__(self, folder: ClusterFolder, *, serves: bool) -> None:
        super().__init__()
        self._folder, self._serves, self.sleeps = folder, serves, 0

    async def sleep(self, seconds: float) -> None:
        self.sleeps += 1
        await super().sleep(seconds)
        if self._serves and self.sleeps == 2:
            self._folder.gateway.mkdir()
            self._folder.gateways_served.touch()


@pytest.mark.parametrize(("serves", "shown"), [(True, "served"), (False, "not served at")])
def test_up_ends_when_gateways_are_served_or_it_takes_too_long(
    running: Path, capsys: pytest.CaptureFixture[str], *, serves: bool, shown: str
) -> None:
    cluster = ClusterFolder(running / "cluster")
    cluster.write_record(
        ClusterRecord(Form.ROOT, (), "https://127.0.0.1:1", "/k", ("a",), gateway_class="ours")
    )
    clock = ServingClock(cluster, serves=serves)

    wait_for_gateways(StateFolder(running), clock, 0)

    assert (clock.sleeps == 2) is serves
    assert main(["cluster", "status", "--state", str(running), "-o", "json"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["gateways"].startswith(shown)


def test_up_fails_where_the_cluster_ends_before_its_gateways_are_served(tmp_path: Path) -> None:
    ended = ClusterFolder(tmp_path / "cluster")
    ended.path.mkdir()
    ended.log.write_text("of the last start\nno space left\n")
    ended.write_record(
        ClusterRecord(Form.ROOT, (), "https://127.0.0.1:1", "/k", ("a",), gateway_class="ours")
    )

    with pytest.raises(Failure, match=r"^the local cluster did not start\n  \| no space left$"):
        wait_for_gateways(StateFolder(tmp_path), HandClock(), len("of the last start\n"))
