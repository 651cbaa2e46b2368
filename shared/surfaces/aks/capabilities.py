"""What a Kubernetes cluster can do for a workload, and why it cannot do the rest."""

from typing import Final

from shared.surfaces.aks.traffic_layer import TrafficLayer
from shared.surfaces.capabilities import Capabilities, Feature

SURFACE: Final = "AKS"
REPLICAS_MAX: Final = 1000
"""Per component; a cluster of AKS has at most 5,000 nodes, and its quota is asked first."""


def capabilities(traffic: TrafficLayer, *, counts: bool) -> Capabilities:
    """Return what the cluster can do with the *traffic* layer that it has.

    *counts*: it was said where the counters of its gateway are.
    """
    lacks = {
        Feature.ARTIFACTS: "a pod runs an image: build one with `runtimectl image build`",
        Feature.DATA_FOLDERS: "a pod may start on any node, and has the files of its image",
        Feature.CONFIGURATION_IN_PLACE: "a pod gets its environ once, at its start",
        Feature.SECRET_REFERENCES: "the adapter writes no secret provider class yet",
        Feature.NAMESPACES: "the adapter gives other tenants than the owner no boundary yet",
        Feature.QUOTAS: "the adapter writes no resource quota yet",
        Feature.NETWORK_POLICY: "the adapter writes no network policy yet",
        Feature.WORKLOAD_IDENTITY: "the adapter writes no service account yet",
        Feature.EVENT_SCALING: "the adapter writes no ScaledObject yet",
        Feature.OPEN_FILES_LIMIT: "the limit is that of the node's container runtime",
        Feature.PROCESSES_LIMIT: "the kubelet has one limit for all pods of a node",
        Feature.OWN_USER: "a pod runs as the user of its image, never as root",
    }
    if not counts:
        lacks[Feature.REQUEST_COUNTERS] = (
            "no RUNTIME_GATEWAY_COUNTERS_URL names the counters of its gateway"
        )
    if not traffic.is_there:
        lacks[Feature.REQUEST_COUNTERS] = traffic.lacks
        lacks[Feature.TRAFFIC_SPLIT] = traffic.lacks
        lacks[Feature.PATH_ROUTING] = traffic.lacks
    return Capabilities(
        SURFACE,
        lacks,
        replicas_max=REPLICAS_MAX,
        probe_step_s=1.0,
        passes_at_once=frozenset({"liveness", "startup"}),
    )
