"""What a Kubernetes cluster can do for a workload, and why it cannot do the rest."""

from collections.abc import Mapping
from typing import Final

from shared.surfaces.aks.cluster_offers import ClusterOffers
from shared.surfaces.aks.traffic_layer import TrafficLayer
from shared.surfaces.capabilities import OF_A_GATEWAY, Capabilities, Feature

SURFACE: Final = "AKS"
REPLICAS_MAX: Final = 1000
"""Per component; a cluster of AKS has at most 5,000 nodes, and its quota is asked first."""


NEVER: Final[Mapping[Feature, str]] = {
    Feature.ARTIFACTS: "a pod runs an image: build one with `runtimectl image build`",
    Feature.DATA_FOLDERS: "a pod may start on any node, and has the files of its image",
    Feature.POSTGRES_SERVERS: "a database of pods is nobody's to back up: take one of Azure",
    Feature.VALKEY_SERVERS: "a cache of pods is nobody's to back up: take one of Azure",
    Feature.TENANT_DATA: "its data is in Azure: give each tenant a database of its own",
    Feature.TENANT_SECRETS: "nothing tries it from inside: give each tenant a vault of its own",
    Feature.TENANT_IDENTITY: "nobody is tried to be taken for another tenant: see workloadIdentity",
    Feature.CONFIGURATION_IN_PLACE: "a pod gets its environ once, at its start",
    Feature.OPEN_FILES_LIMIT: "the limit is that of the node's container runtime",
    Feature.PROCESSES_LIMIT: "the kubelet has one limit for all pods of a node",
    Feature.OWN_USER: "a pod runs as the user of its image, never as root",
}
"""What no cluster does for a workload, and why."""
BY_CLUSTER: Final[Mapping[Feature, str]] = {
    Feature.TRAFFIC_SPLIT: "a GatewayClass that a controller accepts",
    Feature.PATH_ROUTING: "a GatewayClass that a controller accepts",
    Feature.REQUEST_COUNTERS: "the counters of its gateway",
    Feature.ISOLATION_ATTEMPTS: "`RUNTIME_ISOLATION_IMAGE`",
    Feature.NATIVE_SCALING: "the metrics API of pods (metrics-server)",
    Feature.EVENT_SCALING: "KEDA",
    Feature.SECRET_REFERENCES: "the Secrets Store CSI driver and Azure's provider",
}
"""What a cluster does if it has what is named."""


def capabilities(
    traffic: TrafficLayer, offers: ClusterOffers, *, counts: bool, tries: bool
) -> Capabilities:
    """Return what the cluster can do with the *traffic* layer and the *offers* that it has.

    *counts*: it was said where the counters of its gateway are; *tries*: by which image isolation
    is tried from inside.
    """
    lacks = dict(NEVER)
    if not counts:
        lacks[Feature.REQUEST_COUNTERS] = (
            "no RUNTIME_GATEWAY_COUNTERS_URL names the counters of its gateway"
        )
    if not tries:
        lacks[Feature.ISOLATION_ATTEMPTS] = (
            "isolation is read only: no RUNTIME_ISOLATION_IMAGE names the image of what tries it"
        )
    if not traffic.is_there:
        lacks |= dict.fromkeys((Feature.REQUEST_COUNTERS, *OF_A_GATEWAY), traffic.lacks)
    if not offers.has_measures:
        lacks[Feature.NATIVE_SCALING] = (
            "the cluster measures no pods: it serves no metrics.k8s.io, as metrics-server does"
        )
    if not offers.has_events:
        lacks[Feature.EVENT_SCALING] = "the cluster has no KEDA: az aks update --enable-keda"
    if offers.lacks_secrets:
        lacks[Feature.SECRET_REFERENCES] = offers.lacks_secrets
    return Capabilities(
        SURFACE,
        lacks,
        replicas_max=REPLICAS_MAX,
        probe_step_s=1.0,
        passes_at_once=frozenset({"liveness", "startup"}),
    )
