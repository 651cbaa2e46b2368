"""Commands, events and resources of drift: where live state differs from recorded state."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field, StringConstraints

from shared.contracts.catalog import ReleaseOfComponent
from shared.contracts.patterns import pattern
from shared.contracts.shape import Command, Event, Resource, Value
from shared.contracts.values import (
    Count,
    Digest,
    DriftFindingId,
    Duration,
    EnvironmentId,
    Instant,
    Json,
    Label,
    ModuleId,
    OperationId,
    Reason,
    Revision,
    Service,
    ServiceId,
    TenantId,
    Text,
)
from shared.kernel.dataclass import dataclass

SOURCE_REASONS_MAX: Final = 3
"""Of each environment of a Git source; the report of the environment has more."""


class Plane(StrEnum):
    """The kinds of state that are compared, each with one owner."""

    INFRASTRUCTURE = "infrastructure"
    WORKLOAD = "workload"
    REPLICAS = "replicas"
    CONFIGURATION = "configuration"
    SECRETS = "secrets"
    TENANCY = "tenancy"
    ROUTING = "routing"


class DriftKind(StrEnum):
    CHANGED = "Changed"
    MISSING = "Missing"
    UNMANAGED = "Unmanaged"


class FindingStatus(StrEnum):
    OPEN = "Open"
    ACKNOWLEDGED = "Acknowledged"
    REMEDIATING = "Remediating"
    SUPPRESSED = "Suppressed"
    RESOLVED = "Resolved"
    ADOPTED = "Adopted"
    ESCALATED = "Escalated"


class DriftSeverity(StrEnum):
    LOW = "Low"
    MEDIUM = "Medium"
    HIGH = "High"
    CRITICAL = "Critical"


class RepairRisk(StrEnum):
    """What a repair may cost: nothing, a restart, or data."""

    SAFE = "Safe"
    DISRUPTIVE = "Disruptive"
    DESTRUCTIVE = "Destructive"


class RemediationPolicy(StrEnum):
    AUTO = "auto"
    ASK = "ask"
    NEVER = "never"


class Remediation(Value):
    """The command that would repair it, and its owner."""

    policy: RemediationPolicy
    command: Label
    owner: Service


class FindingFacts(Event):
    """The fields of every event about a finding; `aggregate_id` is the finding's id.

    A value that may be secret appears as its digest.
    """

    finding_id: DriftFindingId
    environment_id: EnvironmentId
    service_id: ServiceId | None = None
    module_id: ModuleId | None = None
    plane: Plane
    kind: DriftKind
    path: Text
    desired: Json = None
    actual: Json = None
    severity: DriftSeverity
    risk: RepairRisk
    cause: Text | None = None
    actor: Label | None = None
    remediation: Remediation
    occurrences: Annotated[int, Field(ge=1)] = 1
    attempts: Count = 0
    status: FindingStatus
    baseline_revision: Revision = 0
    """The recorded revision it was compared with."""


class RuntimeDriftDetected(FindingFacts):
    detected_at: Instant


class RuntimeDriftResolved(FindingFacts):
    resolved_at: Instant
    reason: Reason | None = None


class FindingReason(Command):
    """POST /drift-findings/{findingId}/remediate, /acknowledge and /adopt."""

    reason: Text = ""


class Suppression(Command):
    """POST /drift-findings/{findingId}/suppress: this path is not written until then."""

    length: Duration
    reason: Text


class ScanOrder(Command):
    """POST /drift/{environmentId}/scan."""

    planes: Annotated[tuple[Plane, ...], Field(max_length=7)] = ()
    """All when empty."""
    confirm_absent: bool = False
    """More than a tenth newly absent at once is believed only with this."""


class CompareRelease(ReleaseOfComponent):
    """drift to itself: take what a deployment left of one service as the baseline, and scan."""


class PlaneCoverage(Value):
    """How much of a plane a scan saw: clean and not scanned are different answers."""

    plane: Plane
    complete: bool
    seen: Count
    unknown: Count
    reason: Reason | None = None


class DriftFinding(Resource):
    """GET /drift-findings/{findingId}."""

    finding_id: DriftFindingId
    tenant_id: TenantId
    environment_id: EnvironmentId
    service_id: ServiceId | None
    module_id: ModuleId | None
    plane: Plane
    kind: DriftKind
    path: Text
    desired: Json
    actual: Json
    severity: DriftSeverity
    risk: RepairRisk
    cause: Text | None
    actor: Label | None
    remediation: Remediation
    attempts: Count
    occurrences: Count
    status: FindingStatus
    reason: Text = ""
    """The words of who acknowledged, suppressed, adopted, or asked for a repair."""
    suppressed_until: Instant | None
    next_attempt_at: Instant | None
    operation_id: OperationId | None
    revision: Revision
    detected_at: Instant
    resolved_at: Instant | None


GitSecret = Annotated[
    str,
    StringConstraints(
        pattern=pattern(r"^git-[0-9A-Za-z-]{1,123}$", "git- and then letters, digits and dashes")
    ),
]
"""A secret in the vault of the first environment. The name says that it is for Git: no caller may
have another secret sent to a repository."""


class FollowGitSource(Command):
    """POST /git-sources: desired state from a repository of environment manifests.

    A folder for each environment, below `path`, has files as `runtimectl deploy -f` takes them.
    """

    repository: Annotated[
        str,
        StringConstraints(
            pattern=pattern(
                r"^(?:https?|ssh)://[^\s@?#]+$",
                "a URL such as https://host/name.git, without a user",
            ),
            max_length=1024,
        ),
    ]
    branch: Annotated[
        str,
        StringConstraints(
            pattern=pattern(r"^[\w.-]+(?:/[\w.-]+)*$", "the name of a branch"), max_length=128
        ),
    ] = "main"
    path: Annotated[
        str,
        StringConstraints(
            pattern=pattern(r"^(?:[\w.-]+(?:/[\w.-]+)*)?$", "a folder, such as environments"),
            max_length=512,
        ),
    ] = ""
    environment_ids: Annotated[tuple[EnvironmentId, ...], Field(min_length=1, max_length=50)]
    credential_ref: GitSecret | None = None
    """Names the credential in the vault: `https://user:password@host`, or `https://token@host`, of
    the repository's host."""
    webhook_secret_ref: GitSecret | None = None
    """Names the key in the vault that signs webhooks; without it none is taken."""
    every: Annotated[timedelta, Field(ge=timedelta(seconds=10), le=timedelta(days=1))] = timedelta(
        minutes=5
    )


class GitSourceEnvironment(Value):
    """What a source says of one of its environments, as it was read last."""

    environment_id: EnvironmentId
    modules: Count
    reasons: Annotated[tuple[Reason, ...], Field(max_length=SOURCE_REASONS_MAX)] = ()
    """The first of what could not be read of it; the report of the environment has more."""


class GitSource(Resource):
    """GET /git-sources/{sourceId}."""

    source_id: Label
    tenant_id: TenantId
    repository: Annotated[str, Field(max_length=2048)]
    branch: Label
    path: Text
    environment_ids: Annotated[tuple[EnvironmentId, ...], Field(max_length=50)]
    environments: Annotated[tuple[GitSourceEnvironment, ...], Field(max_length=50)] = ()
    """Those that were read."""
    every: Duration
    commit: Label | None
    """The commit whose manifests are compared: the last that could be read."""
    synced_at: Instant | None
    """When the repository last answered."""
    stale_since: Instant | None
    """The first failure since then; what was read before it is compared still."""
    reason: Reason | None
    """Why it could not be read."""
    webhook: Text
    """Where signed webhooks are sent, below the address of the platform."""
    revision: Revision


class DesiredFromGit(Value):
    """What Git says of an environment."""

    source_id: Label
    commit: Label | None
    synced_at: Instant | None
    stale_since: Instant | None
    modules: Count
    reasons: Annotated[tuple[Reason, ...], Field(max_length=20)] = ()
    """What could not be read of the source, or of the environment's folder; what was read of a file
    before it was damaged is compared still."""


class DriftReport(Resource):
    """GET /drift/{environmentId}."""

    environment_id: EnvironmentId
    coverage: Annotated[tuple[PlaneCoverage, ...], Field(max_length=7)]
    """Of the last scan; a plane that it did not look at is not clean."""
    scanned_at: Instant | None
    """The last scan that could read the environment."""
    git: DesiredFromGit | None = None
    """Absent where no source names the environment."""
    absent_held: bool = False
    """So many services were absent at once that it is believed only with `confirmAbsent`."""
    value: Annotated[tuple[DriftFinding, ...], Field(max_length=200)]
    next_link: Annotated[str | None, Field(max_length=4096)]


class DriftSnapshot(Resource):
    """One row of GET /drift/{environmentId}/snapshots; kept 30 days.

    There is one whenever a scan found a service otherwise than the scan before.
    """

    snapshot_id: Label
    environment_id: EnvironmentId
    service_id: ServiceId
    taken_at: Instant
    digest: Digest
    open: Count
    """Differences from what was desired then."""


class SnapshotChange(Value):
    """What is otherwise in a snapshot than in an earlier one."""

    path: Text
    kind: DriftKind
    before: Json = None
    after: Json = None


class SnapshotContent(Resource):
    """GET /drift/{environmentId}/snapshots/{snapshotId}, with what changed since `since`."""

    snapshot: DriftSnapshot
    content: Json
    """The release in force, its live properties by plane, and other revisions that are there."""
    changes: Annotated[tuple[SnapshotChange, ...], Field(max_length=1000)] = ()


@dataclass(frozen=True)
class DriftDefaults:
    """The numbers of drift detection."""

    scan: timedelta = timedelta(minutes=5)
    own_work: timedelta = timedelta(minutes=2)
    """A fencing tag newer than the baseline counts as the platform's own work this long."""
    work_at_most: timedelta = timedelta(hours=24)
    """A deployment whose request was not heard is at work so long after it last said so."""
    scans_to_believe_absent: int = 2
    absent_ratio_max: float = 0.1
    absent_min: int = 3
    attempts_max: int = 5
    undone_max: int = 3
    undone_within: timedelta = timedelta(hours=24)
    snapshots_kept: timedelta = timedelta(days=30)
