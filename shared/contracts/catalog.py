"""Events and resources of catalog: the live inventory, with history in two times."""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field, StringConstraints

from shared.contracts.patterns import pattern
from shared.contracts.releases import ChangeCause, ModuleIds, ReleasedComponent
from shared.contracts.shape import Command, Event, Resource, Value
from shared.contracts.values import (
    ComponentType,
    ComputeTargetKind,
    Count,
    DeploymentId,
    Digest,
    EnvironmentId,
    Image,
    Instant,
    Label,
    ModuleId,
    Port,
    Probes,
    ProjectId,
    Replicas,
    Revision,
    ServiceId,
    Stage,
    TenantId,
    Text,
    Url,
    Version,
)
from shared.kernel.dataclass import dataclass


class ServiceStatus(StrEnum):
    DEPLOYING = "Deploying"
    RUNNING = "Running"
    """At least one healthy instance."""
    DEGRADED = "Degraded"
    UNAVAILABLE = "Unavailable"
    UNKNOWN = "Unknown"
    """Not observed."""
    RETIRED = "Retired"


class InstanceStatus(StrEnum):
    STARTING = "Starting"
    READY = "Ready"
    NOT_READY = "NotReady"
    STOPPED = "Stopped"
    UNKNOWN = "Unknown"


class Instance(Value):
    """One live copy of a service, as its surface lists it."""

    name: Label
    release_revision: Revision
    status: InstanceStatus
    endpoint: Url | None = None
    started_at: Instant | None = None
    """Of the current process."""
    restarts: Count = 0
    """Starts after it ended by itself or was killed; planned stops are not counted."""
    last_exit: Text = ""
    """How the process before this one ended: `exit status 1`, `memory limit exceeded`."""
    restarted_at: Instant | None = None
    """When it was started again last after such an end; planned stops do not move it."""
    reason: Text = ""
    """Why it is not ready: `Starting: GET /health answered 404`."""


Instances = Annotated[tuple[Instance, ...], Field(max_length=200)]


class ServiceLink(Value):
    """Where people find more: dashboard, repository, runbook."""

    rel: Label
    href: Url


class RuntimeInventoryUpdated(Event):
    """A service has changed; `aggregate_id` is the service's id."""

    service_id: ServiceId
    environment_id: EnvironmentId
    stage: Stage
    module_id: ModuleId
    component_type: ComponentType
    version: Version
    digest: Digest
    compute_target: ComputeTargetKind
    replicas: Replicas
    instances: Instances = ()
    instances_total: Annotated[int, Field(ge=0)] = 0
    """More than `instances` when the list was cut at its bound."""
    endpoint_url: Url | None = None
    port: Port | None = None
    probes: Probes = Field(default_factory=Probes)
    depends_on: ModuleIds = ()
    owner: Label | None = None
    status: ServiceStatus
    configuration_version: Revision = 0
    release_revision: Annotated[int, Field(ge=1)]
    deployment_id: DeploymentId | None = None
    cause: ChangeCause
    valid_from: Instant


class ReleaseOutcome(StrEnum):
    """The event that a unit was split from."""

    COMPLETED = "Completed"
    ROLLED_BACK = "RolledBack"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


class ReleaseOfComponent(Command):
    """One unit of an event about many, which its consumer sends to itself."""

    environment_id: EnvironmentId
    project_id: ProjectId
    stage: Stage
    deployment_id: DeploymentId
    outcome: ReleaseOutcome
    module_id: ModuleId
    component: ReleasedComponent | None = None
    """What is in force; absent when the module was removed or has nothing to go back to."""
    cause: ChangeCause
    ended_at: Instant


class RecordRelease(ReleaseOfComponent):
    """catalog to itself: write what a deployment left of one service into the inventory."""


class RetireService(Command):
    """catalog to itself: the environment of a service is gone, and with it the service."""

    environment_id: EnvironmentId
    service_id: ServiceId
    cause: ChangeCause
    ended_at: Instant


class RuntimeService(Resource):
    """GET /services/{serviceId}, at `asOf` (when it was so) as known at `knownAt`."""

    service_id: ServiceId
    tenant_id: TenantId
    project_id: ProjectId
    environment_id: EnvironmentId
    stage: Stage
    module_id: ModuleId
    component_type: ComponentType
    image: Image | None
    digest: Digest
    version: Version
    compute_target: ComputeTargetKind
    replicas: Replicas
    instances: Instances
    endpoint_url: Url | None
    port: Port | None
    depends_on: ModuleIds
    status: ServiceStatus
    release_revision: Revision
    configuration_version: Revision
    deployment_id: DeploymentId | None
    revision: Revision
    owner: Label | None
    tier: Label | None
    links: Annotated[tuple[ServiceLink, ...], Field(max_length=20)]
    cause: ChangeCause
    valid_from: Instant
    valid_until: Instant | None
    known_from: Instant
    last_observed_at: Instant | None
    retired_at: Instant | None


class Dependency(Value):
    module_id: ModuleId
    service_id: ServiceId | None
    """Absent when nothing of that module runs in the environment."""
    status: ServiceStatus


class ServiceDependencies(Resource):
    """GET /services/{serviceId}/dependencies, one step in both directions."""

    service_id: ServiceId
    depends_on: Annotated[tuple[Dependency, ...], Field(max_length=100)]
    needed_by: Annotated[tuple[Dependency, ...], Field(max_length=100)]


LIVE_TEXT_MAX: Final = 2048
LIVE_VALUES_MAX: Final = 500
LIVE_REVISIONS_MAX: Final = 50
LiveText = Annotated[str, StringConstraints(max_length=LIVE_TEXT_MAX)]


class LiveRevision(Value):
    """What one revision is on its surface, whoever changed it."""

    release_revision: Revision
    properties: Annotated[
        Mapping[Label, Annotated[Mapping[LiveText, LiveText], Field(max_length=LIVE_VALUES_MAX)]],
        Field(max_length=10),
    ]
    """By plane: path and value. What is longer than the bounds is cut."""
    is_whole: bool
    """Nothing was cut."""


class LiveProperties(Resource):
    """GET /services/{serviceId}/live, read from the surface by this request."""

    service_id: ServiceId
    release_revision: Revision
    """Of the release in force."""
    revisions: Annotated[tuple[LiveRevision, ...], Field(max_length=LIVE_REVISIONS_MAX)]
    """The newest that are wanted there; none where the surface has nothing of the service."""


class Subscribe(Command):
    """POST /subscriptions: signed webhooks for some event types."""

    url: Annotated[
        str, StringConstraints(pattern=pattern(r"^https://\S+$", "an https URL"), max_length=2048)
    ]
    event_types: Annotated[tuple[Label, ...], Field(min_length=1, max_length=40)]
    environment_id: EnvironmentId | None = None
    secret_ref: Label
    """Names the signing key in the vault."""
    description: Text = ""


class Subscription(Resource):
    subscription_id: Label
    tenant_id: TenantId
    url: Url
    event_types: Annotated[tuple[Label, ...], Field(max_length=40)]
    environment_id: EnvironmentId | None
    secret_ref: Label
    description: Text
    created_at: Instant
    last_delivered_at: Instant | None
    failing_since: Instant | None


@dataclass(frozen=True)
class CatalogDefaults:
    """The default numbers of the inventory."""

    sweep: timedelta = timedelta(seconds=60)
    stale_after: timedelta = timedelta(seconds=180)
    """Then Unknown: not observed."""
