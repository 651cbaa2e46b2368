"""The pods of a cluster have the processors beside other work, not only what that leaves."""

import pytest

from local_cluster import control_groups
from local_cluster.cluster_folder import Form
from local_cluster.network import claimed
from tests.kit.kubernetes_cluster import KubernetesCluster

pytestmark = pytest.mark.real


def test_the_group_of_a_cluster_counts_as_more_than_one_process(
    kubernetes_cluster: KubernetesCluster,
) -> None:
    if kubernetes_cluster.record.form is not Form.ROOT:
        pytest.skip("a cluster without root has no control groups")
    (network,) = claimed(kubernetes_cluster.folder.path)

    shares = {
        int(file.read_text())
        for pattern in ("*/{}/cpu.shares", "{}/cpu.weight")
        for file in control_groups.ROOT.glob(pattern.format(network.name))
    }

    assert shares in ({16384}, {1600})
