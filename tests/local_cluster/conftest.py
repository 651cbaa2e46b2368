from pathlib import Path

import pytest

from tests.kit.kubernetes_cluster import (
    KubernetesCluster,
    cluster_with_pods,
    kubernetes_cluster,
    namespace,
    real_cluster,
)
from tests.kit.program_images import push_server

__all__ = ["cluster_with_pods", "kubernetes_cluster", "namespace", "real_cluster"]


@pytest.fixture
def server_image(real_cluster: KubernetesCluster, tmp_path: Path) -> str:
    """Return an image of a web server, in the registry of the session's cluster."""
    return push_server(real_cluster, "test/server", tmp_path / "layer.tar")
