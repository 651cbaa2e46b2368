"""The parts of a release: modules by image or artifact, their configuration, their hooks."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from shared.contracts.gates import Wait
from shared.contracts.patterns import GIVEN_VARIABLES
from shared.contracts.releases import (
    DEFAULT_DELIVERY,
    Argv,
    ConfigurationDeliveries,
    Environ,
    ModuleIds,
    Once,
    PathPrefix,
    ReleaseQuestion,
    Scheduled,
)
from shared.contracts.shape import Value
from shared.contracts.values import (
    ComponentType,
    ComputeTargetKind,
    ConfigurationId,
    ConfigurationMode,
    Digest,
    Image,
    Label,
    ModuleId,
    Port,
    Probes,
    Replicas,
    Requires,
    Resources,
    Revision,
    Slug,
    Text,
    Version,
)

NO_DIGEST: Final = "sha256:" + "0" * 64


class Component(Value):
    """One module of a release, by image or by artifact, never both."""

    module_id: ModuleId
    """Its name: the same module is one service, whatever its version."""
    component_type: ComponentType
    """The place where it runs follows from it, unless `computeTarget` says otherwise."""
    version: Version
    """Your text for it; `status` and the proof show it."""
    image: Image | None = None
    """`registry/repository:tag`; its digest is asked for once, and recorded. Which ones are taken
    the operator says: [images.md](images.md). Not on one machine."""
    artifact_digest: Digest | None = None
    """One of image and artifact is needed."""
    compute_target: ComputeTargetKind | None = None
    """Where it runs; the placement default when not given. A promotion keeps it where it can."""
    replicas: Replicas | None = None
    """How many instances; 1 when not given. A plan refuses 0: no scaling starts one."""
    command: Argv = ()
    """The start command; that of the artifact or image when empty."""
    port: Port | None = None
    """The port it listens on; none for a worker."""
    path_prefix: PathPrefix | None = None
    """Where the environment's public port sends to it; reachable by its name only when absent."""
    environ: Environ = Field(default_factory=dict)
    """Environment variables, at most 50; no secrets."""
    release: ReleaseQuestion | None = None
    """Where an instance says over HTTP which `version` it is. New ones are asked before they get
    traffic, all of them for the proof; another answer rolls back (`ProofFailed`)."""
    probes: Probes = Field(default_factory=Probes)
    """How it is asked whether it is up."""
    resources: Resources = Field(default_factory=Resources)
    """Limits of one instance."""
    requires: Requires = ()
    """What it must be held to: see [process.md](process.md). The plan refuses what is not there."""
    depends_on: ModuleIds = ()
    """Modules that are rolled out before it; an order, not a check that they answer."""
    configuration_mode: ConfigurationMode = ConfigurationMode.PINNED
    """How it takes changes of its configuration: `pinned` with a deployment, `floating` by a
    roll-out, `live` while it runs."""
    configuration_delivery: ConfigurationDeliveries = DEFAULT_DELIVERY
    """How an instance finds its configuration, any of: `json`, the file `configuration.json` in the
    folder that `RUNTIME_CONFIGURATION` names; `dotenv`, the file `configuration.env` there;
    `variables`, each key as a variable, with `.`, `:` and `-` written `_`."""
    scheduled: bool = False
    """A scheduled or bursty job, for the placement default; with `schedule` it always is."""
    runs_once: Once = None
    """A job, such as a database migration: it runs once for each release, to its end, before any
    request goes to the new release. When it fails, all of the release is rolled back."""
    schedule: Scheduled = None
    """It runs at these times, from when the release is promoted until another one is."""
    owner: Label | None = None
    compatible_with: Annotated[tuple[Version, ...], Field(max_length=20)] = ()
    """Versions whose irreversible changes it can live with. Not looked at yet."""

    @model_validator(mode="after")
    def _exactly_one_source(self) -> Self:
        if (self.image is None) == (self.artifact_digest is None):
            raise ValueError("exactly one of image and artifactDigest is given")
        return self

    @model_validator(mode="after")
    def _one_way_to_run(self) -> Self:
        if self.runs_once is not None and self.schedule is not None:
            raise ValueError("runsOnce and schedule exclude each other")
        return self

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is allowed and probably not meant."""
        return (*self._unreachable(), *self._overridden(), *self._unread())

    def _unread(self) -> tuple[str, ...]:
        if not self.compatible_with:
            return ()
        return (f"{self.module_id}: compatibleWith is not looked at yet: it holds nothing up",)

    def _overridden(self) -> tuple[str, ...]:
        own = sorted(name for name in self.environ if GIVEN_VARIABLES.fullmatch(name))
        if not own:
            return ()
        names = ", ".join(own)
        return (f"{self.module_id}: the platform sets {names}: what environ says is not used",)

    def _unreachable(self) -> tuple[str, ...]:
        reached = (self.path_prefix, self.probes.readiness, self.probes.liveness, self.release)
        if self.port is not None:
            return ()
        if any(part is not None for part in reached):
            return (
                f"{self.module_id} has no port: nothing can ask it over HTTP; probes are refused",
            )
        if self.component_type is ComponentType.WORKER or self.ends:
            return ()
        return (f"{self.module_id} has no port: it gets no traffic; only a worker needs none",)

    @property
    def ends(self) -> bool:
        """Return whether it runs to its end: once, or at times."""
        return self.runs_once is not None or self.schedule is not None

    @property
    def digest(self) -> str:
        """The digest of what it runs; of an image by tag, none."""
        return self.artifact_digest or (self.image or "").partition("@")[2] or NO_DIGEST


class ConfigurationChoice(Value):
    """Versions to pin instead of the newest; 0 is none of that layer."""

    configuration_id: ConfigurationId | None = None
    """Of the configuration that the deployment is about; shown with it."""
    tenant: Revision | None = None
    environment: Revision | None = None
    module: Revision | None = None
    """Of each component's own layer."""

    @property
    def names_versions(self) -> bool:
        return (self.tenant, self.environment, self.module) != (None, None, None)


class HookPoint(StrEnum):
    PRE_DEPLOY = "preDeploy"
    PRE_TRAFFIC = "preTraffic"
    POST_TRAFFIC = "postTraffic"
    ON_ROLLBACK = "onRollback"


class Hook(Value):
    """A program that runs once per attempt, fenced."""

    point: HookPoint
    name: Slug
    module_id: ModuleId
    command: Annotated[tuple[Text, ...], Field(min_length=1, max_length=64)]
    timeout: Wait = timedelta(minutes=5)
    irreversible: bool = False
    """After it succeeded, rollback only to a unit that declares itself compatible."""
