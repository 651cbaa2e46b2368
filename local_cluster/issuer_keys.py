"""Whoever gets a token of a ServiceAccount may ask the API server for the keys of its issuer.

Kubernetes gives that right to accounts only, and the apps of the platform ask as nobody, as they
ask any issuer. What they find is public: names of paths, and keys that verify.
https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#service-account-issuer-discovery
"""

from typing import Final

from local_cluster.kubernetes_api import KubernetesApi

_GROUP: Final = "rbac.authorization.k8s.io"
_NAME: Final = "issuer-keys-for-everybody"


async def publish_keys(api: KubernetesApi) -> None:
    """Let everybody who reaches the API server read the keys of its issuer. Raises Unavailable."""
    role = {
        "apiGroup": _GROUP,
        "kind": "ClusterRole",
        "name": "system:service-account-issuer-discovery",
    }
    everybody = {"apiGroup": _GROUP, "kind": "Group", "name": "system:unauthenticated"}
    binding = {
        "apiVersion": f"{_GROUP}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": _NAME},
        "roleRef": role,
        "subjects": [everybody],
    }
    await api.apply(f"/apis/{_GROUP}/v1/clusterrolebindings/{_NAME}", binding)
