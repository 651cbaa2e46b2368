from tests.kit.kubernetes_cluster import (
    cluster_with_pods,
    kubernetes_cluster,
    namespace,
    real_cluster,
)

__all__ = ["cluster_with_pods", "kubernetes_cluster", "namespace", "real_cluster"]
