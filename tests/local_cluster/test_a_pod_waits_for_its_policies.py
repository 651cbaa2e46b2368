"""The plugin by which a new pod starts when the policies of its network are in force."""

import json
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from local_cluster.cluster_folder import ClusterFolder
from local_cluster.network import ClusterNetwork
from local_cluster.node_plan import POD_PLUGIN, plan_of, programs
from shared.persistence.unix_sockets import short_name

GIVEN: Final = {
    "cniVersion": "1.0.0",
    "interfaces": [
        {"name": "pods"}, {"name": "veth1"}, {"name": "eth0", "sandbox": "/run/netns/1"}
    ],
    "ips": [{"address": "10.240.114.10/20", "interface": 2}],
}  # fmt: skip


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """Return the plugin of a node, as its folder has it."""
    plan = plan_of(
        ClusterFolder(tmp_path), ClusterNetwork(7), 2, 20_001,
        kubebox=tmp_path, runtime=tmp_path, images=[], has_nft=True, enforces_policies=True,
    )  # fmt: skip
    path = tmp_path / POD_PLUGIN
    path.write_text(programs(plan)[f"plugins/{POD_PLUGIN}"])
    path.chmod(0o700)
    return path


@contextmanager
def cluster(path: Path, problem: str, heard: list[Any]) -> Iterator[None]:
    """Answer one node at the socket *path*."""
    with short_name(path) as name, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(name)
        listener.listen()

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                heard.append(json.loads(connection.makefile().readline()))
                connection.sendall(json.dumps({"problem": problem}).encode() + b"\n")

        answering = threading.Thread(target=answer)
        answering.start()
        yield
        answering.join()


def run(plugin: Path, command: str, path: Path) -> tuple[int, Any]:
    """Return how the plugin ends, and what it prints."""
    asked: Mapping[str, Any] = {
        "cniVersion": "1.0.0", "name": "pods", "type": POD_PLUGIN, "node": "node2",
        "socket": str(path), "bridge": "pods", "prevResult": GIVEN,
    }  # fmt: skip
    environ = {
        "CNI_COMMAND": command,
        "CNI_CONTAINERID": "sandbox-1",
        "CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_UID=uid-1",
    }
    ended = subprocess.run(
        [str(plugin)], input=json.dumps(asked), capture_output=True, text=True, check=False,
        env=environ,
    )  # fmt: skip
    assert not ended.stderr
    return ended.returncode, json.loads(ended.stdout or "null")


@pytest.mark.parametrize("folder", ["short", "long" * 30], ids=["a-short-path", "a-long-path"])
def test_it_says_the_address_of_a_pod_and_hands_on_what_it_was_given(
    plugin: Path, tmp_path: Path, folder: str
) -> None:
    path, heard = tmp_path / folder / "policies.sock", list[Any]()
    path.parent.mkdir()
    with cluster(path, "", heard):
        assert run(plugin, "ADD", path) == (0, GIVEN)

    pod = {"container": "sandbox-1", "uid": "uid-1", "address": "10.240.114.10", "link": "veth1"}
    assert heard == [{**pod, "node": "node2"}]


def test_a_pod_whose_policies_are_not_in_force_does_not_start(plugin: Path, tmp_path: Path) -> None:
    path = tmp_path / "policies.sock"
    with cluster(path, "they are not in force", []):
        code, said = run(plugin, "ADD", path)
    nobody = run(plugin, "ADD", tmp_path / "absent.sock")

    assert (code, said["code"], said["msg"]) == (1, 11, "they are not in force")
    assert nobody[0] == 1


def test_a_pod_ends_whoever_answers(plugin: Path, tmp_path: Path) -> None:
    path, heard = tmp_path / "policies.sock", list[Any]()
    with cluster(path, "", heard):
        assert run(plugin, "DEL", path) == (0, None)

    assert heard == [{"removed": "sandbox-1"}]
    assert run(plugin, "DEL", tmp_path / "absent.sock") == (0, None)


def test_it_says_which_version_of_the_interface_it_speaks(plugin: Path, tmp_path: Path) -> None:
    code, said = run(plugin, "VERSION", tmp_path)

    assert (code, said["supportedVersions"]) == (0, ["1.0.0"])
