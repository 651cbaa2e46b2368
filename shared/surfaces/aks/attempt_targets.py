"""What a pod of a tenant must not reach, and what of the tenant nobody else must."""

from collections.abc import Iterable, Sequence
from ipaddress import ip_address, ip_network
from typing import Final

from shared.kernel.dataclass import dataclass
from shared.surfaces.aks.cluster_api import Object
from shared.surfaces.aks.instances import condition
from shared.surfaces.aks.kinds import Kind

SLICES: Final = Kind("discovery.k8s.io/v1", "EndpointSlice", "endpointslices")
METADATA: Final = "169.254.169.254"
_KUBELET: Final = 10250
_OF_A_KIND_MAX: Final = 3


@dataclass(frozen=True)
class Target:
    """A port that the tenant must not reach."""

    name: str
    host: str
    port: int
    isNode: bool = False  # noqa: N815  as the program reads it
    isApiServer: bool = False  # noqa: N815
    isMetadata: bool = False  # noqa: N815


@dataclass(frozen=True)
class OtherPod:
    """A pod of the environment: where it is, and the port that it has, if it has one."""

    namespace: str
    host: str
    node: str
    port: int | None
    is_ready: bool


def targets(
    pods: Sequence[OtherPod], api_server: Object | None, own: str, may_reach: Sequence[str]
) -> list[Target]:
    """Return what the tenant of the namespace *own* must not reach, but what it *may_reach*.

    *api_server* is the EndpointSlice of the API server. The way to the platform excuses nothing:
    one that leads to any of these is too wide.
    """
    tried = _listening(each for each in pods if each.namespace != own)
    for host in sorted({each.node for each in pods if each.node})[:_OF_A_KIND_MAX]:
        tried.append(Target("the kubelet of a node", host, _KUBELET, isNode=True))
    for host, port in _addresses(api_server)[:_OF_A_KIND_MAX]:
        tried.append(Target("the API server", host, port, isApiServer=True))
    tried.append(Target("the metadata of its node", METADATA, 80, isMetadata=True))
    return [each for each in tried if not _is_in(each.host, may_reach)]


def own_targets(pods: Sequence[OtherPod], listener: Object, own: str, port: int) -> list[Target]:
    """Return what nobody of elsewhere must reach in the namespace *own*: *listener*, and its pods.

    A policy that opens some of its pods only would not be seen by the listener alone.
    """
    others = _listening(each for each in pods if each.namespace == own)
    return [Target(f"a pod of {own}", listener["status"]["podIP"], port), *others]


def _listening(pods: Iterable[OtherPod]) -> list[Target]:
    """Return the first few of *pods* that take connections."""
    return [
        Target(f"a pod of {each.namespace}", each.host, each.port)
        for each in sorted(pods, key=lambda each: each.host)
        if each.is_ready and each.port is not None
    ][:_OF_A_KIND_MAX]


def _is_in(host: str, networks: Iterable[str]) -> bool:
    address = ip_address(host)
    return any(address in ip_network(each, strict=False) for each in networks)


def _addresses(api: Object | None) -> list[tuple[str, int]]:
    slice_ = api or {}
    ports = [int(each["port"]) for each in slice_.get("ports") or () if each.get("port")]
    hosts = [host for each in slice_.get("endpoints") or () for host in each.get("addresses") or ()]
    return [(host, port) for host in hosts for port in ports]


def other_pod(pod: Object) -> OtherPod:
    """Return what is to be known of *pod* for an attempt."""
    status = pod.get("status") or {}
    containers = pod["spec"].get("containers") or ()
    ports = [int(port["containerPort"]) for each in containers for port in each.get("ports") or ()]
    return OtherPod(
        pod["metadata"]["namespace"],
        status.get("podIP") or "",
        status.get("hostIP") or "",
        next(iter(ports), None),
        condition(pod, "Ready").get("status") == "True" and bool(status.get("podIP")),
    )
