"""The session's cluster, for the tests that change one."""

from tests.kit.kubernetes_cluster import kubernetes_cluster
from tests.kit.pod_cluster import pod_cluster

__all__ = ["kubernetes_cluster", "pod_cluster"]
