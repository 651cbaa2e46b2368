from tests.kit.kubernetes_cluster import kubernetes_cluster, namespace, real_cluster

__all__ = ["kubernetes_cluster", "namespace", "real_cluster"]
