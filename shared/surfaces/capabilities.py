"""The capability matrix of a surface: what it supports, and why not the rest."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

from shared.kernel.dataclass import dataclass


class Feature(StrEnum):
    """A feature that a plan may need. A limit counts only if the surface enforces it."""

    ARTIFACTS = "artifacts"
    IMAGES = "images"
    TRAFFIC_SPLIT = "trafficSplit"
    INSTANT_ROLLBACK = "instantRollback"
    SCALE_TO_ZERO = "scaleToZero"
    CONFIGURATION_VARIABLES = "configurationVariables"
    CONFIGURATION_FILES = "configurationFiles"
    CONFIGURATION_IN_PLACE = "configurationInPlace"
    SECRET_REFERENCES = "secretReferences"  # noqa: S105  the name of a feature
    NAMESPACES = "namespaces"
    QUOTAS = "quotas"
    NETWORK_POLICY = "networkPolicy"
    WORKLOAD_IDENTITY = "workloadIdentity"
    TENANT_DATA = "tenantData"
    TENANT_SECRETS = "tenantSecrets"
    TENANT_IDENTITY = "tenantIdentity"
    ISOLATION_ATTEMPTS = "isolationAttempts"
    NATIVE_SCALING = "nativeScaling"
    EVENT_SCALING = "eventScaling"
    RESTART = "restart"
    DATA_FOLDERS = "dataFolders"
    POSTGRES_SERVERS = "postgresServers"
    VALKEY_SERVERS = "valkeyServers"
    HTTP_PROBES = "httpProbes"
    TCP_PROBES = "tcpProbes"
    COMMAND_PROBES = "commandProbes"
    STARTUP_PROBES = "startupProbes"
    WORKERS = "workers"
    JOBS = "jobs"
    SCHEDULES = "schedules"
    PATH_ROUTING = "pathRouting"
    REQUEST_COUNTERS = "requestCounters"
    SELF_PROOF = "selfProof"
    MEMORY_LIMIT = "memoryLimit"
    CPU_LIMIT = "cpuLimit"
    OPEN_FILES_LIMIT = "openFilesLimit"
    PROCESSES_LIMIT = "processesLimit"
    OWN_USER = "ownUser"
    OWN_PROCESSES = "ownProcesses"
    PRIVATE_FILES = "privateFiles"
    OWN_PORTS = "ownPorts"
    READ_ONLY_PROGRAM = "readOnlyProgram"

    @property
    def meaning(self) -> str:
        """What a workload can count on, in one sentence for operators."""
        return _MEANINGS[self]


_MEANINGS: Final[Mapping[Feature, str]] = {
    Feature.ARTIFACTS: "a workload is an uploaded archive and the command that starts it",
    Feature.IMAGES: "a workload is a container image, by its digest",
    Feature.TRAFFIC_SPLIT: "two releases share the requests by percent",
    Feature.INSTANT_ROLLBACK: "the old release takes all requests again at once",
    Feature.SCALE_TO_ZERO: "a workload may have no instance",
    Feature.CONFIGURATION_VARIABLES: "an instance gets its configuration in variables",
    Feature.CONFIGURATION_FILES: "an instance gets its configuration in files that it can read",
    Feature.CONFIGURATION_IN_PLACE: "a running instance takes a new configuration",
    Feature.SECRET_REFERENCES: "a secret is given by its name and resolved at the start",
    Feature.NAMESPACES: "each tenant has a namespace of its own",
    Feature.QUOTAS: "what a tenant runs in an environment shares a total",
    Feature.NETWORK_POLICY: "a tenant's instances are reached only from where its policy allows",
    Feature.WORKLOAD_IDENTITY: "a tenant's instances act in Azure as an identity of its own",
    Feature.TENANT_DATA: "an instance reaches no folder of another tenant's",
    Feature.TENANT_SECRETS: "an instance reaches no secret that another tenant's was given",
    Feature.TENANT_IDENTITY: "an instance cannot act as another tenant's",
    Feature.ISOLATION_ATTEMPTS: "a process, confined as an instance, tries to reach others'",
    Feature.NATIVE_SCALING: "the surface changes the number of instances by their load",
    Feature.EVENT_SCALING: "the surface changes the number of instances by the length of a queue",
    Feature.RESTART: "the instances of a release are replaced one by one",
    Feature.DATA_FOLDERS: "the data folders of an environment are in its instances",
    Feature.POSTGRES_SERVERS: "an environment has PostgreSQL servers (`LocalPostgres`)",
    Feature.VALKEY_SERVERS: "an environment has Valkey servers (`LocalValkey`)",
    Feature.HTTP_PROBES: "instances are asked over HTTP whether they are up",
    Feature.TCP_PROBES: "an instance is up when its port takes a connection",
    Feature.COMMAND_PROBES: "a program in the instance says whether it is up",
    Feature.STARTUP_PROBES: "an instance may take its time to start before it is judged",
    Feature.WORKERS: "a workload may run without a port",
    Feature.JOBS: "a workload may run once for a release, to its end",
    Feature.SCHEDULES: "a workload may run at times, each time to its end",
    Feature.PATH_ROUTING: "one public port sends each path prefix to its component",
    Feature.REQUEST_COUNTERS: "requests, errors and latency are counted for each release",
    Feature.SELF_PROOF: "an instance is asked which release it is",
    Feature.MEMORY_LIMIT: "an instance takes no more than `memoryMib`",
    Feature.CPU_LIMIT: "an instance takes no more than `cpu`",
    Feature.OPEN_FILES_LIMIT: "an instance opens no more than `openFiles`",
    Feature.PROCESSES_LIMIT: "an instance has no more than `processes`",
    Feature.OWN_USER: "each instance runs as a user (uid) of its own",
    Feature.OWN_PROCESSES: "it sees and signals its own processes only; they all end with it",
    Feature.PRIVATE_FILES: "it sees the system's programs and its own folders, no other file",
    Feature.OWN_PORTS: "it can bind its own TCP port, and those that the kernel chooses",
    Feature.READ_ONLY_PROGRAM: "it cannot change the files of its release",
}


MINIMUM: Final = frozenset(
    {
        Feature.TRAFFIC_SPLIT,
        Feature.INSTANT_ROLLBACK,
        Feature.HTTP_PROBES,
        Feature.WORKERS,
        Feature.PATH_ROUTING,
        Feature.SELF_PROOF,
    }
)
"""What every surface can have, or it is none: a release could not be judged, split and taken back.
A cluster without a gateway lacks what `OF_A_GATEWAY` has, and says so; plans that need it are
refused there."""
OF_A_GATEWAY: Final = frozenset({Feature.TRAFFIC_SPLIT, Feature.PATH_ROUTING})


@dataclass(frozen=True)
class Capabilities:
    """`lacks` has every feature that is not supported, with the reason for operators."""

    surface: str
    lacks: Mapping[Feature, str]
    replicas_max: int
    weight_step_percent: int = 1
    """Weights must be multiples of it."""
    probe_step_s: float = 0.0
    """Times of a probe must be multiples of it, and at least it; 0: any."""
    passes_at_once: frozenset[str] = frozenset()
    """The probes, by their names in a release, that one success makes passing."""

    def supports(self, feature: Feature) -> bool:
        return feature not in self.lacks

    @property
    def features(self) -> Sequence[Feature]:
        """All that it supports."""
        return [each for each in Feature if self.supports(each)]
