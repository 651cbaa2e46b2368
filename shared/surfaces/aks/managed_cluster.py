"""What Azure says of an AKS cluster, as a typed value; only Pulumi makes and changes one."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from shared.contracts.patterns import AKS_CLUSTER_ID
from shared.kernel.dataclass import dataclass
from shared.surfaces.aks.cluster_errors import ClusterRefused, ClusterStopped

_STOPPED: Final = "Stopped"
_NOT_THERE: Final = frozenset({"Creating", "Deleting", "Starting", "Stopping"})
"""States in which nobody may answer; while a cluster is updated or upgraded its API server does."""
_LATER_S: Final = 60.0
"""To start a cluster takes minutes."""


@dataclass(frozen=True)
class ClusterId:
    """The ARM resource id of a managed cluster, in its parts."""

    subscription: str
    group: str
    name: str

    @classmethod
    def parsed(cls, text: str) -> "ClusterId | None":
        """Return the parts of *text*; None where it is no id of a managed cluster."""
        match = re.fullmatch(AKS_CLUSTER_ID, text)
        return None if match is None else cls(match["subscription"], match["group"], match["name"])

    def __str__(self) -> str:
        return (
            f"/subscriptions/{self.subscription}/resourceGroups/{self.group}"
            f"/providers/Microsoft.ContainerService/managedClusters/{self.name}"
        )


@dataclass(frozen=True)
class NodePool:
    """Nodes of one kind. `count_min` and `count_max` bound its autoscaler, and are None without."""

    name: str
    mode: str
    """`System`, `User` or `Gateway`."""
    count: int
    count_min: int | None
    count_max: int | None
    zones: tuple[str, ...]
    vm_size: str
    os_type: str
    is_spot: bool
    labels: Mapping[str, str]
    taints: tuple[str, ...]
    """As `key=value:Effect`."""
    kubernetes_version: str
    provisioning_state: str
    is_running: bool


@dataclass(frozen=True)
class ManagedCluster:
    """An AKS cluster. What Azure leaves out is None, or off, as there."""

    cluster_id: ClusterId
    kubernetes_version: str
    provisioning_state: str
    is_running: bool
    host: str | None
    """Where its API server answers; of a private cluster inside its network only."""
    is_private: bool
    has_entra: bool
    """Whether its users are those of Entra ID, by AKS' own application."""
    has_local_accounts: bool
    has_azure_rbac: bool
    """Whether role assignments in Azure count inside it, besides its own role bindings."""
    oidc_issuer: str | None
    has_workload_identity: bool
    network_policy: str | None
    """`azure`, `calico` or `cilium`; None: nothing enforces network policies."""
    node_pools: tuple[NodePool, ...]

    def check_reachable(self) -> None:
        """Refuse what the platform cannot connect to.

        Raises:
            ClusterStopped: it does not run now.
            ClusterRefused: something about it must be changed first; the message says what.
        """
        name = self.cluster_id.name
        if not self.is_running:
            raise ClusterStopped(
                f"the AKS cluster {name} is stopped: az aks start -g {self.cluster_id.group}"
                f" -n {name}",
                retry_after_s=_LATER_S,
            )
        if self.provisioning_state in _NOT_THERE:
            raise ClusterStopped(
                f"the AKS cluster {name} is {self.provisioning_state}", retry_after_s=_LATER_S
            )
        if self.is_private:
            raise ClusterRefused(
                f"the AKS cluster {name} is private: its API server answers in its network only."
                " Use one with authorized IP ranges, or start the platform inside the network with"
                " a kubeconfig (RUNTIME_KUBECONFIG)"
            )
        if not self.has_entra:
            raise ClusterRefused(
                f"the AKS cluster {name} has no Entra integration, without which its users are"
                f" administrators: az aks update -g {self.cluster_id.group} -n {name} --enable-aad"
                " --disable-local-accounts"
            )


def managed_cluster(cluster_id: ClusterId, found: Any) -> ManagedCluster:
    """Return the value of *found*, a ManagedCluster of the SDK.

    The pools are those of the cluster itself, which have all that a list of pools has: the role
    Azure Kubernetes Service Cluster User may read the one and not the other.
    """
    entra, access = found.aad_profile, found.api_server_access_profile
    issuer, security = found.oidc_issuer_profile, found.security_profile
    workload_identity = None if security is None else security.workload_identity
    network = found.network_profile
    is_private = bool(access is not None and access.enable_private_cluster)
    return ManagedCluster(
        cluster_id,
        _text(found.current_kubernetes_version or found.kubernetes_version),
        _text(found.provisioning_state),
        _is_running(found),
        _text(found.private_fqdn if is_private else found.fqdn) or None,
        is_private,
        bool(entra is not None and entra.managed),
        not found.disable_local_accounts,
        bool(entra is not None and entra.enable_azure_rbac),
        (_text(issuer.issuer_url) or None) if issuer is not None and issuer.enabled else None,
        bool(workload_identity is not None and workload_identity.enabled),
        _network_policy(network),
        tuple(map(_node_pool, _all(found.agent_pool_profiles))),
    )


def _node_pool(found: Any) -> NodePool:
    is_scaled = bool(found.enable_auto_scaling)
    return NodePool(
        _text(found.name),
        _text(found.mode),
        int(found.count or 0),
        found.min_count if is_scaled else None,
        found.max_count if is_scaled else None,
        tuple(_all(found.availability_zones)),
        _text(found.vm_size),
        _text(found.os_type),
        found.scale_set_priority == "Spot",
        dict(found.node_labels or {}),
        tuple(_all(found.node_taints)),
        _text(found.current_orchestrator_version or found.orchestrator_version),
        _text(found.provisioning_state),
        _is_running(found),
    )


def _network_policy(network: Any) -> str | None:
    policy = None if network is None else network.network_policy
    return None if policy in (None, "none") else _text(policy)


def _is_running(found: Any) -> bool:
    return found.power_state is None or found.power_state.code != _STOPPED


def _text(value: Any) -> str:
    """Return the text of what may be absent, or a word of an enumeration of the SDK."""
    return "" if value is None else str(getattr(value, "value", value))


def _all(values: Iterable[Any] | None) -> Iterable[Any]:
    return values or ()
