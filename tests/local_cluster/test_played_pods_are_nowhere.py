"""Pods that KWOK plays have addresses, and nobody is there: a proxy to one dials nothing real."""

from ipaddress import ip_address, ip_network
from pathlib import Path

from local_cluster.cluster_folder import ClusterFolder
from local_cluster.control_plane import Addresses, ControlPlane

BENCHMARKS = ip_network("198.18.0.0/15")
"""RFC 2544: of no real network."""


def test_played_pods_and_nodes_have_addresses_of_no_network(tmp_path: Path) -> None:
    addresses = Addresses("127.0.0.1", 1, 2, 3)
    folder = ClusterFolder(tmp_path)
    plane = ControlPlane(tmp_path, folder, addresses, has_nodes=False, issuer=addresses.server)

    words = dict(word.partition("=")[::2] for word in plane.kwok(tmp_path))

    node, pods = ip_address(words["--node-ip"]), ip_network(words["--cidr"])
    assert node in BENCHMARKS
    assert pods.subnet_of(BENCHMARKS)
    assert node not in pods
