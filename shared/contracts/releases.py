"""A release unit: everything that runs together and is restored together; and its live proof."""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Final

from pydantic import AfterValidator, Field, StringConstraints, ValidationInfo

from shared.contracts.cron import Cron
from shared.contracts.patterns import pattern
from shared.contracts.shape import Value
from shared.contracts.values import (
    COMPONENTS_MAX,
    NO_NUL,
    ComponentType,
    ComputeTargetKind,
    ConfigurationDelivery,
    ConfigurationMode,
    DeploymentId,
    Digest,
    EnvironmentId,
    Image,
    Instant,
    Label,
    ModuleId,
    Percent,
    Port,
    Probes,
    Reason,
    Replicas,
    RequestPath,
    Requires,
    Resources,
    Revision,
    SecretBindingId,
    SecretDelivery,
    ServiceId,
    Slug,
    Url,
    Version,
)

ModuleIds = Annotated[tuple[ModuleId, ...], Field(max_length=COMPONENTS_MAX)]


class ReleasedSecret(Value):
    """One version of a secret that a component is given, and where it finds it; never a value."""

    name: Label
    version: Label
    vault_uri: Url
    delivery: SecretDelivery
    target: Label
    """The name of the variable, or of the file; of a reference, what its owner wrote."""
    binding_id: SecretBindingId


ReleasedSecrets = Annotated[
    tuple[ReleasedSecret, ...], Field(max_length=50, exclude_if=lambda secrets: not secrets)
]
"""Left out where there are none: what is hashed and stored stays as it was."""
SecretVersions = Annotated[Mapping[Label, Label], Field(max_length=50)]
"""Secret name to the version in force; never a value."""
ReleaseRef = Label
"""The caller's name of the release: a tag, a commit, a build number."""
Argument = Annotated[str, StringConstraints(pattern=NO_NUL, max_length=2048)]
"""What a process can be given: no system takes a NUL there."""
Argv = Annotated[tuple[Argument, ...], Field(max_length=64)]
"""Program and arguments; no shell."""


Environ = Annotated[
    Mapping[
        Annotated[
            str,
            StringConstraints(
                pattern=pattern(
                    r"^[A-Za-z_]\w{0,127}$",
                    "the name of an environment variable: letters, digits and _, no digit first",
                )
            ),
        ],
        Annotated[str, StringConstraints(pattern=NO_NUL, max_length=1024)],
    ],
    Field(max_length=50),
]
"""Environment variables that belong to a release; what changes without one is configuration, and
a secret is a secret binding."""
StoredPathPrefix = Annotated[
    str,
    StringConstraints(
        pattern=pattern(r"^/[\w./~-]*$", "/ or a path such as /shop"), max_length=256
    ),
]
"""As units have it that were recorded before `//a` and `/a/` were refused."""


def _one_spelling(prefix: str, info: ValidationInfo) -> str:
    # What comes over HTTP is JSON; documents, decoded before, keep what they were stored with.
    if info.mode != "json":
        return prefix
    if prefix != "/" and {"", ".", ".."} & {*prefix.split("/")[1:]}:
        raise ValueError("/, or a path such as /shop: one slash before each name, none at the end")
    return prefix


PathPrefix = Annotated[StoredPathPrefix, AfterValidator(_one_spelling)]
"""Paths that the proxy takes for the same have one spelling, so that two modules cannot share."""


class ReleaseQuestion(Value):
    """Where a workload answers which release it is: a path, and a field of its JSON answer."""

    path: RequestPath
    field: Annotated[
        str,
        StringConstraints(
            pattern=pattern(
                r"^[\w-]+(?:\.[\w-]+)*$", "names with dots between, such as datasette.version"
            ),
            max_length=256,
        ),
    ]
    """Dot-separated, for example `datasette.version`."""


class RunOnce(Value):
    """How a job runs: once for each release revision, to its end."""

    time_limit: Annotated[timedelta, Field(ge=timedelta(seconds=1), le=timedelta(hours=2))] = (
        timedelta(minutes=10)
    )
    """Of all its tries together; a job that takes longer has failed."""
    retries: Annotated[int, Field(ge=0, le=10)] = 0
    """How often it is tried again, after 10 s, 20 s, 40 s and so on, before it has failed."""


class Schedule(Value):
    """When a component runs, each time to its end, and never twice at once."""

    cron: Cron
    """Minute, hour, day of the month, month and day of the week, in UTC."""
    time_limit: Annotated[timedelta, Field(ge=timedelta(seconds=1), le=timedelta(days=1))] = (
        timedelta(hours=1)
    )
    """Of one run; a run that takes longer has failed. None is tried again before its next time."""


def _is_none(value: object) -> bool:
    return value is None


Once = Annotated[RunOnce | None, Field(exclude_if=_is_none)]
"""Left out where there is none: what is hashed and what earlier releases read stays as it was."""
Scheduled = Annotated[Schedule | None, Field(exclude_if=_is_none)]


DEFAULT_DELIVERY: Final = (ConfigurationDelivery.JSON,)
ConfigurationDeliveries = Annotated[
    tuple[ConfigurationDelivery, ...],
    Field(max_length=3, exclude_if=lambda deliveries: deliveries == DEFAULT_DELIVERY),
]
"""Left out where it is the default, as `Once`."""


class ConfigurationPin(Value):
    """The versions of the three layers that an instance is given, and the hash of their merge."""

    tenant: Revision = 0
    environment: Revision = 0
    module: Revision = 0
    hash: Digest | None = None
    """Absent while the module has no configuration."""


class Routing(Value):
    """How traffic reaches a service: per release revision the percentage, 100 in total."""

    weights: Annotated[
        Mapping[
            Annotated[str, Field(pattern=pattern(r"^\d{1,9}$", "a number of at most 9 digits"))],
            Percent,
        ],
        Field(max_length=4),
    ] = Field(default_factory=dict)
    """By release revision."""
    endpoint: Url | None = None


class ReleasedComponent(Value):
    """One service of a release unit: what runs under `release_revision`."""

    module_id: ModuleId
    service_id: ServiceId
    release_revision: Annotated[int, Field(ge=1)]
    """Grows per module with every change of what runs; orders the events about it."""
    component_type: ComponentType
    version: Version
    image: Image | None = None
    digest: Digest
    compute_target: ComputeTargetKind
    endpoint: Url | None = None
    port: Port | None = None
    path_prefix: StoredPathPrefix | None = None
    command: Argv = ()
    environ: Environ = Field(default_factory=dict)
    release: ReleaseQuestion | None = None
    probes: Probes = Field(default_factory=Probes)
    resources: Resources = Field(default_factory=Resources)
    requires: Requires = ()
    depends_on: ModuleIds = ()
    runs_once: Once = None
    schedule: Scheduled = None
    scheduled: Annotated[bool, Field(exclude_if=lambda scheduled: not scheduled)] = False
    """As the release asked, for where it is placed once it is promoted."""
    replicas: Replicas
    """The recorded minimum; live may be more where scaling owns the total."""
    asked_replicas: Annotated[Replicas | None, Field(exclude_if=_is_none)] = None
    """As many as the release asked for, where `replicas` is the minimum of a policy, or what a
    rollback found live."""
    configuration_mode: ConfigurationMode = ConfigurationMode.PINNED
    configuration_delivery: ConfigurationDeliveries = DEFAULT_DELIVERY
    configuration: ConfigurationPin = Field(default_factory=ConfigurationPin)
    secret_versions: SecretVersions = Field(default_factory=dict)
    secrets: ReleasedSecrets = ()
    """Where those versions are, and where an instance finds them."""
    scaling_policy_revision: Revision = 0
    tenant_binding_revision: Annotated[Revision | None, Field(exclude_if=_is_none)] = None
    """As its unit has it, wherever it is brought back; absent of one that was recorded before."""
    data: Annotated[tuple[Slug, ...], Field(max_length=20)] = ()
    """The data folders of the environment that its instances are given."""
    routing: Routing = Field(default_factory=Routing)
    owner: Label | None = None

    @property
    def takes_roll_outs(self) -> bool:
        """Return whether configuration is rolled out to it; to what runs once, none is."""
        is_floating = self.configuration_mode is ConfigurationMode.FLOATING
        return is_floating and self.runs_once is None

    @property
    def ends(self) -> bool:
        """Return whether its instances run to their end, so that none is asked for readiness."""
        return self.runs_once is not None or self.schedule is not None


class ReleaseUnit(Value):
    """All components of one deployment with everything they were given."""

    components: Annotated[tuple[ReleasedComponent, ...], Field(max_length=COMPONENTS_MAX)]
    tenant_binding_revision: Revision = 0
    removed: ModuleIds = ()
    """Modules that this deployment took away."""


class Departure(Value):
    """Where an instance differs from the recorded unit, and why that is so."""

    path: Label
    recorded: Label
    live: Label
    reason: Reason


class InstanceProof(Value):
    """The answer of one live instance about itself; never taken from a store."""

    module_id: ModuleId
    instance: Label
    release_revision: Revision
    digest: Digest
    configuration_hash: Digest | None = None
    secret_versions: SecretVersions = Field(default_factory=dict)
    departures: Annotated[tuple[Departure, ...], Field(max_length=10)] = ()
    checked_at: Instant


class Proof(Value):
    """The proofs of all instances: the first hundred here, all of them in a blob when more."""

    instances: Annotated[tuple[InstanceProof, ...], Field(max_length=100)]
    total: Annotated[int, Field(ge=0)]
    whole: bool
    """Every instance asked, each runs its recorded release revision."""
    blob: Digest | None = None


class Hold(Value):
    """A release unit that was rolled back is not deployed again until released."""

    environment_id: EnvironmentId
    module_id: ModuleId
    digest: Digest
    version: Version | None = None
    release_ref: ReleaseRef
    deployment_id: DeploymentId
    """The deployment that was rolled back."""
    reason: Reason
    held_at: Instant


class CauseKind(StrEnum):
    DEPLOYMENT = "deployment"
    CONFIGURATION = "configuration"
    SECRET = "secret"  # noqa: S105  a kind of cause
    SCALING = "scaling"
    OBSERVATION = "observation"
    REPAIR = "repair"
    ROLLBACK = "rollback"
    ENVIRONMENT = "environment"


class ChangeCause(Value):
    """The cause of a service's current state."""

    kind: CauseKind
    id: Label
