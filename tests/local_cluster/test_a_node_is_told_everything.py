"""The files of a node's components: what they say, and that the node reads its plan as written."""

import json
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local_cluster.cluster_folder import ClusterFolder
from local_cluster.network import ClusterNetwork
from local_cluster.node import commands, release_addresses
from local_cluster.node_plan import POD_PLUGIN, NodePlan, decode, files, plan_of, programs


@pytest.fixture
def plan() -> NodePlan:
    return plan_of(
        ClusterFolder(Path("/state/cluster")), ClusterNetwork(7), 2, 20_001,
        kubebox=Path("/cache/kubebox"), runtime=Path("/cache/runtime"),
        images=[Path("/state/cluster/nodes/pause.tar")], has_nft=True,
    )  # fmt: skip


def document(plan: NodePlan, name: str) -> Any:
    return json.loads(files(plan)[name])


def test_a_node_reads_its_plan_as_it_was_written(plan: NodePlan) -> None:
    assert decode(files(plan)["node.json"]) == plan


def test_a_kubelet_takes_orders_of_the_api_server_only(plan: NodePlan) -> None:
    kubelet = document(plan, "kubelet.yaml")

    assert kubelet["authentication"]["anonymous"] == {"enabled": False}
    assert kubelet["authentication"]["x509"] == {"clientCAFile": "/state/cluster/keys/ca.crt"}
    assert kubelet["authorization"] == {"mode": "Webhook"}
    assert kubelet["readOnlyPort"] == 0


def test_a_node_counts_its_pods_in_a_control_group_of_its_own(plan: NodePlan) -> None:
    assert document(plan, "kubelet.yaml")["cgroupRoot"] == "/rtk7/node2"


def test_pods_of_a_node_get_addresses_of_its_range(plan: NodePlan) -> None:
    plugin = document(plan, "network/10-pods.conflist")["plugins"][0]
    addresses = plugin["ipam"]["ranges"][0][0]

    assert addresses["subnet"] == plan.subnet == "10.240.112.0/20"
    assert (addresses["rangeStart"], addresses["rangeEnd"]) == ("10.240.114.10", "10.240.114.250")
    assert plugin["isGateway"] is False, "else it sets the machine's ip_forward"


def test_a_pod_waits_for_its_policies_where_they_are_enforced(plan: NodePlan) -> None:
    enforcing = replace(plan, policies="/state/cluster/nodes/policies.sock")
    plugins = [document(each, "network/10-pods.conflist")["plugins"] for each in (plan, enforcing)]

    assert [each["type"] for each in plugins[0]] == ["bridge"]
    assert [each["type"] for each in plugins[1]] == ["bridge", POD_PLUGIN]
    assert programs(plan) == {}
    assert list(programs(enforcing)) == [f"plugins/{POD_PLUGIN}"]


def test_a_node_that_starts_again_gives_no_address_that_it_gave_just_before(
    plan: NodePlan, tmp_path: Path
) -> None:
    given = document(plan, "network/10-pods.conflist")["plugins"][0]["ipam"]["dataDir"]
    folder = tmp_path / "addresses" / "pods"
    folder.mkdir(parents=True)
    for name in ("10.240.114.10", "10.240.114.11", "last_reserved_ip.0", "lock"):
        (folder / name).write_text(name)

    release_addresses(folder.parent)

    assert given == "/state/cluster/nodes/node2/addresses", "outside of its own /run"
    assert [file.name for file in folder.iterdir()] == ["last_reserved_ip.0"]


def test_a_node_keeps_its_hardware_address(plan: NodePlan) -> None:
    assert plan.hardware_address == "02:00:0a:f0:72:01"


def test_the_network_proxy_leaves_the_limits_of_the_machine_alone(plan: NodePlan) -> None:
    proxy = document(plan, "kube-proxy.yaml")

    assert proxy["mode"] == "nftables"
    assert {proxy["conntrack"]["maxPerCore"], proxy["conntrack"]["min"]} == {0}


def test_containerd_runs_the_runc_of_the_cache(plan: NodePlan) -> None:
    read = tomllib.loads(files(plan)["containerd.toml"].decode())
    runtime = read["plugins"]["io.containerd.cri.v1.runtime"]

    options = runtime["containerd"]["runtimes"]["runc"]["options"]
    assert options == {"BinaryName": "/cache/runtime/runc", "SystemdCgroup": False}
    own = "/state/cluster/nodes/node2/plugins"
    assert runtime["cni"]["bin_dirs"] == ["/cache/runtime", own]


def test_every_file_that_a_component_is_told_of_is_written(plan: NodePlan) -> None:
    told = [word.partition("=")[2] or word for words in commands(plan).values() for word in words]
    below = [word.removeprefix(f"{plan.folder}/") for word in told if plan.folder in word]

    assert set(below) - {"kubeconfig"} <= set(files(plan))  # credentials.py writes that one
