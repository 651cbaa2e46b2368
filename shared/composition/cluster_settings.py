"""The settings that name the cluster of workloads, as a part of the app settings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, Field

from shared.composition.image_settings import Networks
from shared.contracts import patterns
from shared.kernel.errors import Violation

AKS_CLUSTER: Final = "RUNTIME_AKS_CLUSTER_ID"
KUBECONFIG: Final = "RUNTIME_KUBECONFIG"
GATEWAY_COUNTERS: Final = "RUNTIME_GATEWAY_COUNTERS_URL"
_CONTEXT: Final = "RUNTIME_KUBECONFIG_CONTEXT"
GATEWAY_CLASS: Final = "RUNTIME_GATEWAY_CLASS"
INSTALLATION: Final = "RUNTIME_CLUSTER_INSTALLATION"
_GATEWAYS: Final = "RUNTIME_GATEWAY_NETWORKS"
ISOLATION_IMAGE: Final = "RUNTIME_ISOLATION_IMAGE"
VAULT_DIRECTORY: Final = "RUNTIME_VAULT_DIRECTORY_ID"
CLUSTER_ISSUER: Final = "RUNTIME_CLUSTER_ISSUER"

GatewayClass = Annotated[str, Field(pattern=patterns.GATEWAY_CLASS)]
InstallationName = Annotated[str, Field(pattern=patterns.INSTALLATION_NAME)]
ClusterId = Annotated[str, Field(pattern=patterns.AKS_CLUSTER_ID)]
DirectoryId = Annotated[str, Field(pattern=patterns.DIRECTORY_ID)]
PinnedImage = Annotated[str, Field(pattern=r"^[^\s@/]+(/[^\s@/]+)+@sha256:[0-9a-f]{64}$")]
CountersUrl = Annotated[str, Field(pattern=r"^https?://[^/?#@\s]+/stats/prometheus$")]


class ClusterSettings(BaseModel, defer_build=True):
    """Which cluster the workloads of an installation run on, where any do."""

    aks_cluster: ClusterId | None = Field(None, alias=AKS_CLUSTER)
    """The AKS cluster on which workloads run, by its resource id, reached by identity."""
    kubeconfig: Path | None = Field(None, alias=KUBECONFIG)
    """Instead: a kubeconfig file, for a cluster of this machine or of another cloud."""
    kubeconfig_context: str | None = Field(None, alias=_CONTEXT, min_length=1)
    """Of that file, another context than the current one."""
    gateway_class: GatewayClass | None = Field(None, alias=GATEWAY_CLASS)
    """The GatewayClass of environments, where controllers accept several; else the only one."""
    cluster_installation: InstallationName = Field("factory-runtime", alias=INSTALLATION)
    """The name by which two installations on one cluster keep apart, at most 30 characters: the
    namespace of the platform, and the beginning of those of environments."""
    gateway_counters: CountersUrl | None = Field(None, alias=GATEWAY_COUNTERS)
    """deployments, health: where the cluster's gateway counts the requests of each release, the
    `counters` of `runtimectl cluster status`; without it gates need `metrics`."""
    instance_networks: Networks = Field((), alias="RUNTIME_INSTANCE_NETWORKS")
    """health: the networks of the cluster's pods, such as `10.244.0.0/16`, where it can reach them;
    of other private addresses the cluster's own probe counts."""

    gateway_networks: Networks = Field((), alias=_GATEWAYS)
    """The networks outside of the cluster from which pods are asked, such as `10.2.0.0/16`: of a
    gateway that does not run in it, and of health. The same in all apps."""

    vault_directory: DirectoryId | None = Field(None, alias=VAULT_DIRECTORY)
    """deployments: the directory of Entra (tenant id) of the vaults whose secrets pods are given;
    without it releases with secrets are refused on the cluster."""
    isolation_image: PinnedImage | None = Field(None, alias=ISOLATION_IMAGE)
    """environments, tenants: an image with `python3`, by its digest, which nodes can pull: by it
    the isolation of each tenant is tried from inside; without it that is read only."""

    cluster_issuer: str | None = Field(None, alias=CLUSTER_ISSUER, min_length=1)
    """The issuer of the cluster's ServiceAccounts, of AKS `oidcIssuerProfile.issuerUrl`: pods of
    `live` modules get its tokens, and ask `RUNTIME_GATEWAY_URL`. The same in all apps."""

    platform_networks: Networks = Field((), alias="RUNTIME_PLATFORM_NETWORKS")
    """The networks of `RUNTIME_GATEWAY_URL`, such as `203.0.113.7/32`, to which pods get a way out
    of their closed namespaces, where `RUNTIME_CLUSTER_ISSUER` is set. The same in all apps."""

    @property
    def has_cluster(self) -> bool:
        """Whether workloads run on a cluster."""
        return self.aks_cluster is not None or self.kubeconfig is not None

    def without_cluster(self, issuers: Sequence[str]) -> tuple[str, ...]:
        return tuple(each for each in issuers if each != self.cluster_issuer)

    def with_cluster(self, issuers: Sequence[str]) -> tuple[str, ...]:
        own = () if self.cluster_issuer is None else (self.cluster_issuer,)
        return (*self.without_cluster(issuers), *own)


CLUSTER_NAMES: Final = tuple(str(field.alias) for field in ClusterSettings.model_fields.values())
_OF_PODS: Final = ("RUNTIME_GATEWAY_URL", "RUNTIME_AUDIENCE")
"""What pods that follow their configuration are given of the settings of all apps."""


def cluster_of(environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return the settings of *environ* of which the surface on the cluster is made.

    Its file is named by its whole path.
    """
    given = {name: environ[name] for name in (*CLUSTER_NAMES, *_OF_PODS) if name in environ}
    if KUBECONFIG in environ:
        given[KUBECONFIG] = str(Path(environ[KUBECONFIG]).resolve())
    return given


def contradictions(given: Mapping[str, str], *, api: str) -> Sequence[Violation]:
    """Return what contradicts in the settings *given*; *api* names where all apps answer."""
    wrong = []
    if AKS_CLUSTER in given and KUBECONFIG in given:
        message = f"{AKS_CLUSTER} and {KUBECONFIG} are both set: remove one, {KUBECONFIG} in Azure"
        wrong.append(Violation("Contradiction", KUBECONFIG, message))
    if _CONTEXT in given and KUBECONFIG not in given:
        message = f"{_CONTEXT} is of a file that {KUBECONFIG} names: set it, or remove it"
        wrong.append(Violation("Contradiction", _CONTEXT, message))
    if CLUSTER_ISSUER in given and api not in given:
        message = f"{CLUSTER_ISSUER} needs {api}: where pods ask for their configuration"
        wrong.append(Violation("Required", api, message))
    if GATEWAY_COUNTERS in given and not {AKS_CLUSTER, KUBECONFIG} & given.keys():
        message = f"{GATEWAY_COUNTERS} is of a cluster that {AKS_CLUSTER} or {KUBECONFIG} names"
        wrong.append(Violation("Contradiction", GATEWAY_COUNTERS, message))
    return wrong
