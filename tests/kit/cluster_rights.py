"""The rights of the platform on a cluster of tests, and a kubeconfig that has no others."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tools.kubernetes_rbac import FOLDER, NAME

if TYPE_CHECKING:
    from tests.kit.kubernetes_cluster import KubernetesCluster

PLATFORM: Final = f"system:serviceaccount:{NAME}:{NAME}"
TOKEN_LIFE: Final = "24h"
"""Longer than any session: Kubernetes gives one an hour, and then answers 401 to all that runs."""


def confined_kubeconfig(cluster: "KubernetesCluster", folder: Path) -> Path:
    """Apply the manifests that ship, and return the kubeconfig of the platform's ServiceAccount.

    It is returned when the rights and the policy that confines them count.
    """
    from tests.kit.kubernetes_cluster import until

    cluster.kubectl("apply", "--server-side", "-f", str(FOLDER / "rbac.yaml"))
    until(lambda: _is_confined(cluster))
    words = ("create", "token", NAME, "--namespace", NAME, "--duration", TOKEN_LIFE)
    token = cluster.kubectl(*words).strip()
    return kubeconfig_with(cluster, folder / "platform.kubeconfig", {"token": token})


def kubeconfig_with(cluster: "KubernetesCluster", path: Path, user: dict[str, Any]) -> Path:
    """Write the kubeconfig of *cluster* with another *user*, and return its *path*."""
    config = json.loads(
        cluster.kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json")
    )
    config["users"][0]["user"] = user
    path.write_text(json.dumps(config))
    path.chmod(0o600)
    return path


def _is_confined(cluster: "KubernetesCluster") -> bool:
    """Return whether the policy refuses the platform what its role allows, elsewhere."""
    words = ("create", "configmap", "probe", "--namespace", "default", "--dry-run=server")
    try:
        cluster.kubectl(*words, "--as", PLATFORM)
    except AssertionError as refused:
        return "ValidatingAdmissionPolicy" in str(refused)
    return False
