"""What separates one tenant's pods in one environment from all others, as objects of its namespace.

The namespace holds its pods to `restricted` pod security. A policy of the network closes it, but
for its own pods, the gateway and the API server's way to it; it reaches itself, names, and networks
that are allowed. A quota and limits are there where the boundary has some.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from shared.kernel.dataclass import dataclass
from shared.kernel.ids import EnvironmentId, TenantId
from shared.surfaces.aks.cluster_api import Object
from shared.surfaces.aks.kinds import NAMESPACES, Kind
from shared.surfaces.aks.names import ENVIRONMENT_ID, MANAGER, TENANT, Installation
from shared.surfaces.aks.platform_access import PlatformAccess, PlatformWay
from shared.surfaces.aks.quantities import MIB, amount
from shared.surfaces.aks.records import Openings
from shared.surfaces.boundaries import (
    BoundarySpec,
    CountedCapacity,
    Quota,
    boundary_properties,
)
from shared.surfaces.spec import Resources, SiteSpec

QUOTAS: Final = Kind("v1", "ResourceQuota", "resourcequotas")
LIMITS: Final = Kind("v1", "LimitRange", "limitranges")
ACCOUNTS: Final = Kind("v1", "ServiceAccount", "serviceaccounts")
POLICIES: Final = Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies")
NAME: Final = "tenant"
"""Of each object of a boundary in its namespace."""
CAPACITY: Final = "capacity"
"""Of the quota and the limits that an environment's capacity is. A cluster holds a namespace to all
of its quotas, so neither this one nor that of a binding undoes the other."""
INSTANCE: Final = Resources(memory_mb=512, cpu=0.5)
"""Of an instance whose component names no limits, where the environment has a capacity: without
limits a quota refuses it."""
GATEWAY_LABEL: Final = f"{MANAGER}/gateway"
"""`true` on a namespace whose pods are a gateway's."""
CLIENT_ID: Final = "azure.workload.identity/client-id"
SECURITY: Final = "pod-security.kubernetes.io/enforce"
_SYSTEM: Final = {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}
_RESOLVERS_OF_NODES: Final = "169.254.0.0/16"
"""Where a node has a resolver of its own, it is at a link-local address."""
_DNS: Final = [{"protocol": each, "port": 53} for each in ("UDP", "TCP")]
_USED: Final = {"cpu": "limits.cpu", "memory": "limits.memory", "instances": "pods"}


@dataclass(frozen=True)
class BoundaryObjects:
    """A boundary as it was read; None for each object that is not there."""

    namespace: Object
    quota: Object | None
    limits: Object | None
    policy: Object | None
    account: Object | None

    def properties(self) -> Mapping[str, str]:
        """Return its live values, by the paths of `boundary_properties`."""
        hard = ((self.quota or {}).get("spec") or {}).get("hard") or {}
        read = BoundarySpec(
            EnvironmentId(""), TenantId(""), _quota(hard),
            _default(self.limits),
            acts_as(self.account), self.may_reach(),
        )  # fmt: skip
        return boundary_properties(read)

    def used(self) -> Quota:
        return _quota(((self.quota or {}).get("status") or {}).get("used") or {})

    def may_reach(self) -> tuple[str, ...]:
        rules = ((self.policy or {}).get("spec") or {}).get("egress") or []
        return tuple(
            place["ipBlock"]["cidr"]
            for rule in rules
            if not rule.get("ports")
            for place in rule.get("to") or ()
            if "ipBlock" in place
        )

    def is_in_force(
        self,
        gateway_networks: tuple[str, ...],
        access: PlatformAccess | None = None,
        written: Sequence[Openings] = (),
    ) -> bool:
        """Return whether nothing of it is missing, opened, or not taken in yet.

        The way to the platform is that of *access*, one that the platform has *written*, or none:
        who names another one has opened nothing, and a boundary without it is closed. So it is
        with *gateway_networks*.
        """
        metadata = self.namespace["metadata"]
        if "deletionTimestamp" in metadata or self.account is None or self.policy is None:
            return False
        if (metadata.get("labels") or {}).get(SECURITY) != "restricted":
            return False
        ways = (None, access.way if access else None, *(each.way for each in written))
        networks = ((), gateway_networks, *(each.gateways for each in written))
        closed = [
            _policy_spec(self.may_reach(), gateways, way) for way in ways for gateways in networks
        ]
        if _in_order(self.policy["spec"]) not in map(_in_order, closed):
            return False
        if self.quota is None:
            return True
        return is_counted(self.quota)

    def lacks_way(self, access: PlatformAccess | None) -> bool:
        """Return whether pods do not get out to the platform, as *access* says where it is."""
        if access is None or access.way is None:
            return False
        rules = ((self.policy or {}).get("spec") or {}).get("egress") or []
        return _in_order(_out_to(access.way)) not in map(_in_order, rules)

    def has_gateways(self, networks: tuple[str, ...]) -> bool:
        """Return whether requests come in from *networks* outside of the cluster and no others."""
        rules = ((self.policy or {}).get("spec") or {}).get("ingress") or []
        places = [place for rule in rules for place in rule.get("from") or () if "ipBlock" in place]
        return bool(_in_order(places) == _in_order([_network(each) for each in networks]))


def wanted(
    spec: BoundarySpec,
    installation: Installation,
    gateway_networks: tuple[str, ...],
    access: PlatformAccess | None = None,
) -> Mapping[Kind, Object | None]:
    """Return the objects of *spec* by kind, in their order; None for one that is not to be."""
    identity = {} if spec.identity is None else {CLIENT_ID: spec.identity}
    policy = _policy_spec(spec.may_reach, gateway_networks, access.way if access else None)
    bodies: dict[Kind, Object | None] = {
        NAMESPACES: {},
        POLICIES: {"spec": policy},
        **_counted(spec.quota, spec.limits),
        ACCOUNTS: {"automountServiceAccountToken": False},
    }
    heads = {kind: _head(kind, spec, installation) for kind in bodies}
    heads[ACCOUNTS]["metadata"]["annotations"] |= identity
    return {
        kind: None if body is None else {**heads[kind], **body} for kind, body in bodies.items()
    }


def wanted_capacity(spec: SiteSpec, installation: Installation) -> Mapping[Kind, Object | None]:
    """Return the objects of the capacity of a site by kind; None for one that is not to be."""
    capacity = spec.capacity
    limits = Resources(
        memory_mb=None if capacity.memory_mb is None else INSTANCE.memory_mb,
        cpu=None if capacity.cpu is None else INSTANCE.cpu,
    )
    bodies = _counted(Quota(capacity.cpu, capacity.memory_mb), limits)
    heads = {
        kind: _head(kind, BoundarySpec(spec.environment, spec.tenant), installation, CAPACITY)
        for kind in bodies
    }
    return {
        kind: None if body is None else {**heads[kind], **body} for kind, body in bodies.items()
    }


def capacity_of(quota: Object | None) -> Resources:
    """Return the capacity that the ResourceQuota *quota* is; no limits without one."""
    hard = ((quota or {}).get("spec") or {}).get("hard") or {}
    read = _quota(hard)
    return Resources(memory_mb=read.memory_mb, cpu=read.cpu)


def counted_capacity(quota: Object | None, limits: Object | None) -> CountedCapacity | None:
    """Return the capacity of a namespace by its ResourceQuota and LimitRange; None without one."""
    if quota is None:
        return None
    used = _quota((quota.get("status") or {}).get("used") or {})
    return CountedCapacity(_quota(quota["spec"].get("hard") or {}), used, _default(limits))


def _default(limits: Object | None) -> Resources:
    """Return what the LimitRange *limits* gives an instance that has no limits."""
    ranges = ((limits or {}).get("spec") or {}).get("limits") or []
    default = next((each.get("default") or {} for each in ranges), {})
    return Resources(memory_mb=_mib(default.get("memory")), cpu=_number(default.get("cpu")))


def is_counted(quota: Object) -> bool:
    """Return whether the cluster counts by *quota* as it is now."""
    return bool((quota.get("status") or {}).get("hard") == quota["spec"]["hard"])


def _counted(quota: Quota, limits: Resources) -> Mapping[Kind, Object | None]:
    """Return the body of the quota, and of what an instance without limits gets."""
    hard = {
        "limits.cpu": None if quota.cpu is None else _cpu(quota.cpu),
        "limits.memory": None if quota.memory_mb is None else f"{quota.memory_mb}Mi",
        "pods": None if quota.instances is None else str(quota.instances),
    }
    default = {
        "cpu": None if limits.cpu is None else _cpu(limits.cpu),
        "memory": None if limits.memory_mb is None else f"{limits.memory_mb}Mi",
    }
    hard = {name: value for name, value in hard.items() if value is not None}
    default = {name: value for name, value in default.items() if value is not None}
    each_pod = {"type": "Container", "default": default, "defaultRequest": default}
    return {
        QUOTAS: {"spec": {"hard": hard}} if hard else None,
        LIMITS: {"spec": {"limits": [each_pod]}} if default else None,
    }


def namespace_of(spec: BoundarySpec, installation: Installation) -> str:
    return installation.namespace(spec.environment, spec.tenant)


def acts_as(account: Object | None) -> str | None:
    """Return the client id of the identity of a ServiceAccount; None without one."""
    metadata = (account or {}).get("metadata") or {}
    identity: str | None = (metadata.get("annotations") or {}).get(CLIENT_ID)
    return identity


def _head(kind: Kind, spec: BoundarySpec, installation: Installation, name: str = NAME) -> Object:
    labels = {**installation.of_environment(spec.environment), TENANT: spec.tenant}
    metadata: Object = {
        "name": name,
        "labels": labels,
        "annotations": {ENVIRONMENT_ID: spec.environment},
    }
    if kind is NAMESPACES:
        metadata["name"] = namespace_of(spec, installation)
        metadata["labels"] = {**labels, SECURITY: "restricted"}
    else:
        metadata["namespace"] = namespace_of(spec, installation)
    return {"apiVersion": kind.version, "kind": kind.name, "metadata": metadata}


def _policy_spec(
    may_reach: tuple[str, ...], gateway_networks: tuple[str, ...], way: PlatformWay | None
) -> Object:
    own: Object = {"podSelector": {}}
    tunnel = {"podSelector": {"matchLabels": {"app": "konnectivity-agent"}}}
    outside = [_network(each) for each in may_reach]
    gateways = [_network(each) for each in gateway_networks]
    return {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [
            {"from": [own, {"namespaceSelector": {"matchLabels": {GATEWAY_LABEL: "true"}}}]},
            # AKS' API server comes to pods, of which it asks their release, through these.
            {"from": [{"namespaceSelector": _SYSTEM, **tunnel}]},
            *([{"from": gateways}] if gateways else []),
        ],
        "egress": [
            {"to": [own]},
            {
                "to": [{"namespaceSelector": _SYSTEM}, _network(_RESOLVERS_OF_NODES)],
                "ports": _DNS,
            },
            *([] if way is None else [_out_to(way)]),
            *([{"to": outside}] if outside else []),
        ],
    }


def _out_to(way: PlatformWay) -> Object:
    """Return the rule of *way*; its port tells it from what the boundary may reach."""
    ports = [{"protocol": "TCP", "port": way.port}]
    return {"to": [_network(each) for each in way.networks], "ports": ports}


def _in_order(value: Any) -> Any:
    """Return *value* of a network policy with its lists in one order, and each part once.

    There neither the order nor a part that is written twice means anything.
    """
    match value:
        case dict():
            return {name: _in_order(part) for name, part in value.items()}
        case list():
            parts = {json.dumps(each, sort_keys=True): each for each in map(_in_order, value)}
            return [parts[words] for words in sorted(parts)]
        case _:
            return value


def _network(cidr: str) -> Object:
    return {"ipBlock": {"cidr": cidr}}


def _quota(values: Mapping[str, Any]) -> Quota:
    pods = values.get(_USED["instances"])
    return Quota(
        cpu=_number(values.get(_USED["cpu"])),
        memory_mb=_mib(values.get(_USED["memory"])),
        instances=None if pods is None else int(amount(pods)),
    )


def _number(quantity: object) -> float | None:
    return None if quantity is None else float(amount(quantity))


def _mib(quantity: object) -> int | None:
    return None if quantity is None else math.ceil(amount(quantity) / MIB)


def _cpu(cores: float) -> str:
    return f"{max(1, round(cores * 1000))}m"
