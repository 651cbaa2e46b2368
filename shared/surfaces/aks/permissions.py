"""What the platform does in a cluster, verb by verb: the manifests of its rights are made of this.

`python -m tools.kubernetes_rbac` writes them. Some rows are ahead of the adapter, for what its
capabilities lack yet: an administrator applies them once. A verb whose need has ended is removed.
Secrets are not in it: workloads get theirs from a vault, by a SecretProviderClass, and the CSI
driver of their node copies those into Secrets that are to be variables.
"""

from typing import Final

from shared.kernel.dataclass import dataclass

LABEL: Final = ("app.kubernetes.io/managed-by", "factory-runtime")
"""Of the namespaces in which the platform may write, the ones that it makes among them."""
POD_SECURITY: Final = ("pod-security.kubernetes.io/enforce", ("restricted", "baseline"))
"""They have one of these levels too: else whoever makes pods there may become root of a node.
https://kubernetes.io/docs/concepts/security/pod-security-standards/"""

READ: Final = ("get", "list", "watch")
"""What apps do that only look: catalog and health."""
PROVES: Final = frozenset(
    {("batch", "jobs", "create"), ("batch", "jobs", "delete"), ("", "pods", "create")}
)
"""What tenants does beside that: it tries isolation from inside."""
_APPLIED: Final = ("create", "patch")
"""Server-side apply is a PATCH, and needs `create` where it makes the object."""
_KEPT: Final = (*_APPLIED, "delete")
"""Of what we delete by itself, and not with what owns it."""


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
    Permission(
        "", ("namespaces",), ("get", "list", *_KEPT), "the place of an environment, or of a tenant"
    ),
    Permission("", ("nodes",), ("get",), "under which digests it has the image of a pod"),
    Permission("", ("resourcequotas", "limitranges"), ("get", *_KEPT), "what a tenant may use"),
    Permission("", ("serviceaccounts",), ("get", *_APPLIED), "whom pods act as"),
    Permission("", ("configmaps",), (*READ, *_APPLIED, "update"), "configuration, and our records"),
    Permission("", ("services",), ("get", *_KEPT), "one of each component and each revision"),
    Permission("", ("pods",), ("list", "watch"), "proof of what runs, and why it does not"),
    Permission("", ("pods",), ("patch",), "which pods go first when a revision is scaled down"),
    Permission("", ("pods",), ("create",), "what a tenant may not make is tried, in dry runs only"),
    Permission("", ("pods/log",), ("get",), "output of instances"),
    Permission("", ("pods/proxy",), ("get",), "an instance's own answer, which release it is"),
    Permission("metrics.k8s.io", ("pods",), ("list",), "CPU and memory of instances"),
    Permission("apps", ("deployments",), (*READ, *_KEPT), "release revisions that serve"),
    Permission(
        "batch", ("jobs",), (*READ, "create", "delete"), "release revisions that run once, and runs"
    ),
    Permission("batch", ("cronjobs",), (*READ, *_KEPT), "release revisions with a schedule"),
    Permission(
        "discovery.k8s.io", ("endpointslices",), ("get",), "where the API server is, to be tried"
    ),
    Permission(
        "autoscaling",
        ("horizontalpodautoscalers",),
        ("get", "list", *_KEPT),
        "scaling by measures, and who else scales",
    ),
    Permission("keda.sh", ("scaledobjects",), ("get", "list", *_KEPT), "scaling by events"),
    Permission(
        "policy", ("poddisruptionbudgets",), ("get", *_APPLIED), "how many may be evicted at once"
    ),
    Permission(
        "networking.k8s.io", ("networkpolicies",), ("get", *_APPLIED), "who may talk to a tenant"
    ),
    Permission(
        "storage.k8s.io", ("csidrivers",), ("get",), "whether nodes mount secrets of vaults"
    ),
    Permission(
        "secrets-store.csi.x-k8s.io",
        ("secretproviderclasses",),
        ("get", *_APPLIED),
        "which secrets of a vault pods are given",
    ),
    Permission(
        "secrets-store.csi.x-k8s.io",
        ("secretproviderclasspodstatuses",),
        ("get",),
        "which versions of secrets a pod has, as its driver says",
    ),
    Permission("gateway.networking.k8s.io", ("gatewayclasses",), ("list",), "which gateways"),
    Permission(
        "gateway.networking.k8s.io", ("gateways",), ("get", *_APPLIED), "where requests come"
    ),
    Permission("gateway.networking.k8s.io", ("httproutes",), (*READ, *_KEPT), "weights"),
)
