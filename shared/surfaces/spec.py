"""The specs of a surface: a site, and the release revisions of components on it.

A spec is complete: an adapter needs nothing else to run the workload, and two equal specs are the
same workload.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import field, replace
from functools import cached_property
from itertools import chain
from typing import Final, TypeAlias

from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Invalid
from shared.kernel.ids import (
    EnvironmentId,
    ModuleId,
    ServiceId,
    TenantId,
    module_key,
    parse_id,
    service_id,
)
from shared.surfaces.configuration import Configuration
from shared.surfaces.data_servers import ServerSpec
from shared.surfaces.secret_references import SecretReference, given_twice, variables_of

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
"""One label of a host name; these names are used in hosts, folders and metrics."""
CONFIGURATION_HASH: Final = "configurationHash"
SECRET_PREFIX: Final = "secret."  # noqa: S105  of names
"""Of the facts in the unit of a revision: the hash, and before the name of a secret its version."""


@dataclass(frozen=True, order=True)
class SurfaceComponent:
    """One module of one tenant in one environment; it has weights and a fence of its own."""

    environment: EnvironmentId
    tenant: TenantId
    module: ModuleId

    def __post_init__(self) -> None:
        """Refuse names that are invalid in a host name or a path."""
        for field_name, value in (("tenantId", self.tenant), ("moduleId", self.module)):
            if not _NAME.fullmatch(value):
                raise Invalid(
                    f"{field_name} must be 1 to 63 of a-z, 0-9 and -, got {value[:90]!r}",
                    target=f"/{field_name}",
                )

    @cached_property
    def service(self) -> ServiceId:
        """Its service id, as in catalog and health; unique on a surface."""
        return service_id(
            parse_id(self.environment, "env").environment, module_key(self.tenant, self.module)
        )


@dataclass(frozen=True, kw_only=True)
class _Probe:
    """When an instance is asked, and how many answers count, as in Kubernetes.

    `failure_threshold` failures in a row make the probe failing, `success_threshold` passes in a
    row make it passing.
    """

    period_s: float = 1.0
    timeout_s: float = 5.0
    initial_delay_s: float = 0.0
    failure_threshold: int = 3
    success_threshold: int = 1


@dataclass(frozen=True)
class HttpProbe(_Probe):
    """A GET of `path`; 200-399 within `timeout_s` passes, redirects are not followed."""

    path: str


@dataclass(frozen=True)
class CommandProbe(_Probe):
    """A program that is run in the instance; exit status 0 within `timeout_s` passes."""

    command: tuple[str, ...]


@dataclass(frozen=True)
class TcpProbe(_Probe):
    """A connection to the component's port."""


Probe: TypeAlias = HttpProbe | CommandProbe | TcpProbe
Fault: TypeAlias = tuple[str, str, str]
"""A field of a spec that no surface can run, what is expected there, and what came."""


@dataclass(frozen=True)
class Resources:
    """Upper limits, of each instance where nothing else is said; None for no limit.

    A surface enforces a limit or refuses it. `processes` counts threads too, as Linux does.
    """

    memory_mb: int | None = None
    cpu: float | None = None
    open_files: int | None = None
    processes: int | None = None


@dataclass(frozen=True)
class ReleaseQuestion:
    """The path at which a workload reports its release, and the field of its JSON answer.

    `field` is a dot-separated path, for example `datasette.version`.
    """

    path: str
    field: str


@dataclass(frozen=True)
class RunOnce:
    """A workload that runs to its end, once for a revision.

    A try that fails is followed by at most `retries` others; `time_limit_s` is that of all.
    """

    time_limit_s: float
    retries: int = 0


@dataclass(frozen=True)
class Schedule:
    """A workload that runs at the times of `cron` (five fields, UTC), never twice at once.

    A run that could not begin within some seconds is left out.
    """

    cron: str
    time_limit_s: float
    """Of one run, which is not tried again."""


@dataclass(frozen=True)
class RevisionSpec:
    """One release revision of one component; only `replicas` may change.

    The variables of `variables.py` are expanded in `command` and in the values of `environ`,
    without a shell. A workload with a `port` listens on `$PORT` of 127.0.0.1 or all addresses; one
    without (a worker) gets no traffic. `unit` has the facts of the release unit that the surface
    does not interpret (configuration hash, secret versions, ...): it passes them to each instance
    as `RUNTIME_UNIT`, and proofs return them.
    """

    component: SurfaceComponent
    revision: int
    version: str
    artifact: str
    """`sha256:` digest of the uploaded archive, or of the image."""
    command: tuple[str, ...]
    """Program and arguments; only an image may leave them out, and has its own then."""
    image: str | None = None
    """Where the image is, without tag and digest: `registry.example/shop/web`. None: `artifact` is
    an archive."""
    environ: Mapping[str, str] = field(default_factory=dict)
    port: int | None = 8080
    """The port in a network of its own; where instances share one, the surface chooses `$PORT`."""
    path_prefix: str | None = None
    """The paths of the environment's public port that it serves; `/` serves all paths without a
    longer prefix. None: reachable by its service name only."""
    replicas: int = 1
    readiness: Probe | None = None
    """None: ready when the port accepts connections, a worker when it has run for one second."""
    liveness: Probe | None = None
    startup: Probe | None = None
    """Until it has passed once, the other two are not asked; when it fails, the instance restarts.
    """
    resources: Resources = Resources()
    requires: tuple[str, ...] = ()
    """What an instance must be held to, in the words of `Feature`."""
    release: ReleaseQuestion | None = None
    unit: Mapping[str, str] = field(default_factory=dict)
    data: tuple[str, ...] = ()
    """Data folders of the environment, by name: each instance gets them, and may write there."""
    configuration: Configuration | None = None
    """What each instance gets of it; its hash is also that of `unit`."""
    secrets: tuple[SecretReference, ...] = ()
    """What each instance gets of vaults; the versions are also those of `unit`."""
    follows_configuration: bool = field(default=False, compare=False)
    """It asks the API for its configuration while it runs; whether it can changes no workload."""
    drain_s: float = 30.0
    """How long instances stay after their weight became 0; then until no request is active."""
    grace_s: float = 10.0
    """From SIGTERM until SIGKILL."""
    runs_once: RunOnce | None = None
    schedule: Schedule | None = None

    @property
    def ends(self) -> bool:
        """Return whether its instances run to their end: it has no port, and no scale."""
        return self.runs_once is not None or self.schedule is not None

    def __post_init__(self) -> None:
        """Refuse a spec that no surface can run; `capabilities.check` refuses those of one."""
        for name, expected, received in chain(self._faults_of_what_is_given(), self._faults()):
            raise Invalid(
                f"{name} of {self.component.module} must be {expected}, got {received[:90]!r}",
                target=f"/{name}",
            )

    def _faults(self) -> Iterator[Fault]:
        unnamed = [name for name in self.data if not _NAME.fullmatch(name)]
        if unnamed:
            yield "data", "names of a-z, 0-9 and inner dashes", str(unnamed)
        if self.revision < 1:
            yield "revision", "a whole number from 1", str(self.revision)
        if not (self.command or self.image):
            yield "command", "at least the program", "nothing"
        if self.replicas < 0:
            yield "replicas", "0 or more", str(self.replicas)
        if self.ends and self.port is not None:
            yield "port", "none: it ends", str(self.port)
        if self.runs_once is not None and self.schedule is not None:
            yield "schedule", "none: it runs once", str(self.schedule)
        if not _DIGEST.fullmatch(self.artifact):
            yield "artifact", "sha256:<64 hex>", self.artifact
        if self.path_prefix is not None and not self.path_prefix.startswith("/"):
            yield "pathPrefix", "a path that begins with /", self.path_prefix

    def _faults_of_what_is_given(self) -> Iterator[Fault]:
        """Yield what is wrong of configuration and secrets: they are its unit's."""
        given = self.configuration
        configured, secret = given.variables.keys() if given else set(), variables_of(self.secrets)
        twice = [*self.environ.keys() & configured, *({*self.environ, *configured} & secret)]
        if twice:
            expected = "of other names than its configuration and its secrets, which share none"
            yield "environ", f"{expected} either", ", ".join(sorted(twice))
        unrecorded = [
            each.source
            for each in self.secrets
            if self.unit.get(f"{SECRET_PREFIX}{each.name}") != each.version
        ]
        if unrecorded:
            yield "secrets", "in the versions of its unit", str(unrecorded)
        if places := given_twice(self.secrets):
            yield "secrets", "given in a place of its own each", str(places)
        recorded = self.unit.get(CONFIGURATION_HASH, "")
        if given is not None and given.hash != recorded:
            yield "configuration", f"that of its unit, {recorded}", given.hash

    @property
    def probes(self) -> Mapping[str, Probe]:
        """Its probes by their names in a release."""
        named = {"startup": self.startup, "readiness": self.readiness, "liveness": self.liveness}
        return {name: probe for name, probe in named.items() if probe is not None}

    def same_workload(self, other: "RevisionSpec") -> bool:
        """Return whether both run the same workload, with any number of replicas."""
        return replace(self, replicas=0) == replace(other, replicas=0)


def artifact_blob(digest: str) -> str:
    """Return the name of the blob that stores the archive *digest*.

    Raises:
        Invalid: *digest* is not `sha256:` and 64 hex digits, and could be another path.
    """
    if not _DIGEST.fullmatch(digest):
        raise Invalid(f"a digest must be sha256:<64 hex>, got {digest[:90]!r}", target="/artifact")
    return digest.replace(":", "/")


@dataclass(frozen=True)
class SiteSpec:
    """The site of one environment. `facts` belong to the infrastructure and are stored as given."""

    environment: EnvironmentId
    tenant: TenantId
    name: str
    stage: str
    facts: Mapping[str, str] = field(default_factory=dict)
    servers: tuple[ServerSpec, ...] = ()
    """Those that keep its data. A surface that has none is given none."""
    capacity: Resources = Resources()
    """What all workloads of its owner take together. LocalProcess is given none."""
