"""What the platform does in a cluster, verb by verb: the manifests of its rights are made of this.

`python -m tools.kubernetes_rbac` writes them. Some rows are ahead of the adapter, for what its
capabilities lack yet: an administrator applies them once. A verb whose need has ended is removed.
Secrets are not in it: workloads get theirs from a vault, by a SecretProviderClass.
"""

from dataclasses import dataclass
from typing import Final

LABEL: Final = ("app.kubernetes.io/managed-by", "factory-runtime")
"""Of the namespaces in which the platform may write, the ones that it makes among them."""
POD_SECURITY: Final = ("pod-security.kubernetes.io/enforce", ("restricted", "baseline"))
"""They have one of these levels too: else whoever makes pods there may become root of a node.
https://kubernetes.io/docs/concepts/security/pod-security-standards/"""

READ: Final = ("get", "list", "watch")
"""What apps do that only look: catalog and health."""
_OWN: Final = (*READ, "create", "patch", "delete")
"""Server-side apply is a PATCH, and needs `create` where it makes the object."""


@dataclass(frozen=True)
class Permission:
    """*verbs* on the *resources* of one API *group*, and what for."""

    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    purpose: str

    @property
    def rights(self) -> frozenset[tuple[str, str, str]]:
        """Return each of them as group, resource and verb."""
        return frozenset((self.group, each, verb) for each in self.resources for verb in self.verbs)


PERMISSIONS: Final = (
    Permission("", ("namespaces",), _OWN, "the place of an environment, or of a tenant in it"),
    Permission("", ("nodes",), READ, "which pools there are, and why a pod is not placed"),
    Permission("", ("resourcequotas", "limitranges"), _OWN, "what a tenant may use"),
    Permission("", ("serviceaccounts",), _OWN, "the workload identity of a component"),
    Permission("", ("configmaps",), (*_OWN, "update"), "configuration, and our own records"),
    Permission("", ("services",), _OWN, "one of each release revision"),
    Permission("", ("pods",), READ, "proof of what runs, and why it does not"),
    Permission("", ("pods",), ("patch",), "which pods go first when a revision is scaled down"),
    Permission("", ("pods/log",), ("get",), "output of instances"),
    Permission("", ("pods/proxy",), ("get",), "an instance's own answer, which release it is"),
    Permission("", ("events",), READ, "reasons"),
    Permission("metrics.k8s.io", ("pods",), ("list",), "CPU and memory of instances"),
    Permission("apps", ("deployments",), _OWN, "release revisions that serve"),
    Permission("apps", ("replicasets",), READ, "which pods are of which template"),
    Permission("batch", ("jobs", "cronjobs"), _OWN, "release revisions that end"),
    Permission("autoscaling", ("horizontalpodautoscalers",), _OWN, "scaling by measures"),
    Permission("keda.sh", ("scaledobjects",), _OWN, "scaling by events"),
    Permission("policy", ("poddisruptionbudgets",), _OWN, "how many may be evicted at once"),
    Permission("networking.k8s.io", ("networkpolicies",), _OWN, "who may talk to a tenant"),
    Permission("gateway.networking.k8s.io", ("gatewayclasses",), READ, "which gateways there are"),
    Permission(
        "gateway.networking.k8s.io", ("gateways", "httproutes"), _OWN, "weights of revisions"
    ),
    Permission(
        "secrets-store.csi.x-k8s.io", ("secretproviderclasses",), _OWN, "secrets by reference"
    ),
)
