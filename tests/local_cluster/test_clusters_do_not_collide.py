"""Several clusters of one machine have networks, names and addresses of their own."""

from itertools import combinations, pairwise

from local_cluster.network import ALL, COUNT, NODES_MAX, ClusterNetwork

INTERFACE_NAME_MAX = 15
"""Of the kernel."""
NETWORKS = [ClusterNetwork(number) for number in range(COUNT)]


def test_no_two_networks_overlap() -> None:
    subnets = sorted(network.subnet for network in NETWORKS)

    assert all(subnet.subnet_of(ALL) for subnet in subnets)
    assert not any(a.overlaps(b) for a, b in pairwise(subnets))


def test_the_kernel_takes_the_name_of_every_link() -> None:
    names = [n.link(node) for n in NETWORKS for node in range(1, NODES_MAX + 1)]

    assert max(map(len, names)) <= INTERFACE_NAME_MAX
    assert len(set(names)) == len(names)


def test_nodes_share_no_address() -> None:
    network = NETWORKS[-1]
    ranges = [network.pod_range(node) for node in range(1, NODES_MAX + 1)]

    assert all(a[1] < b[0] for a, b in combinations(ranges, 2))
    assert all(
        network.address < network.node_address(node) < first < last < network.subnet[-1]
        for node, (first, last) in enumerate(ranges, start=1)
    )
