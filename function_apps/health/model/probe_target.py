"""What is probed: a service, the release of it that is in force, and how its health stands.

Releases are ordered by their revision and removals by their time, each where it belongs, so late
and repeated events change nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from shared.contracts.catalog import ReleaseOfComponent, RuntimeInventoryUpdated, ServiceStatus
from shared.contracts.health import HealthDefaults, HealthStatus
from shared.contracts.values import Probe, ProbeKind
from shared.kernel.clock import isoformat

DOCUMENT_ID: Final = "target"


@dataclass(frozen=True)
class Target:
    """`streak` looks in a row said `pending`; `checks` and `reason` are of the last look kept.

    A target without a component is a tombstone: a removal that came before its release.
    """

    service_id: str
    tenant_id: str
    environment_id: str
    module_id: str
    stage: str
    since: str
    told_at: str
    status: HealthStatus = HealthStatus.UNKNOWN
    deployment_id: str | None = None
    release_revision: int = 0
    released_at: str = ""
    component: Mapping[str, Any] = field(default_factory=dict)
    """The released component, as JSON."""
    retired_at: str | None = None
    reason: str = "not probed yet"
    previous: HealthStatus | None = None
    pending: HealthStatus | None = None
    streak: int = 0
    revision: int = 1
    checks: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    looked_at: str | None = None

    @property
    def is_retired(self) -> bool:
        return self.retired_at is not None and self.retired_at >= self.released_at

    @property
    def replicas(self) -> int:
        return int(self.component.get("replicas", 0))

    @property
    def readiness(self) -> Probe | None:
        """Return the component's own HTTP question; other kinds are asked by its surface."""
        given = self.component.get("probes", {}).get("readiness")
        probe = None if given is None else Probe.model_validate(given)
        return probe if probe is not None and probe.kind is ProbeKind.HTTP else None

    def failures_to_worsen(self, rules: HealthDefaults) -> int:
        """Return how many failing looks in a row worsen it: the component's own number."""
        probe = self.readiness
        return rules.failures_to_worsen if probe is None else probe.failure_threshold

    def passes_to_improve(self, rules: HealthDefaults) -> int:
        """Return how many passing looks in a row improve it: the greater of both numbers.

        A surface may send traffic after one pass, Kubernetes' default; a word to others needs more.
        """
        probe = self.readiness
        own = 1 if probe is None else probe.success_threshold
        return max(rules.passes_to_improve, own)


def watch(
    known: Target | None,
    release: ReleaseOfComponent,
    *,
    service_id: str,
    tenant_id: str,
    now: datetime,
) -> Target | None:
    """Return what to probe after a deployment ended; None when it says nothing new.

    A new release does not make a healthy service unhealthy: its status stays until looks at the new
    instances say otherwise. One that comes back after a removal begins Unknown.
    """
    component, ended_at, at = release.component, isoformat(release.ended_at), isoformat(now)
    target = known or Target(
        service_id=service_id,
        tenant_id=tenant_id,
        environment_id=release.environment_id,
        module_id=release.module_id,
        stage=release.stage,
        since=at,
        told_at=at,
        revision=0,
    )
    if component is None:
        return _retire(target, ended_at)
    if component.release_revision <= target.release_revision:
        return None
    after = replace(
        target,
        deployment_id=release.deployment_id,
        release_revision=component.release_revision,
        released_at=ended_at,
        component=component.model_dump(mode="json", by_alias=True),
        revision=target.revision + 1,
    )
    if target.is_retired and not after.is_retired:
        return replace(
            after, status=HealthStatus.UNKNOWN, since=at, previous=None, pending=None, streak=0,
            reason="not probed yet", checks=(),
        )  # fmt: skip
    return after


def follow(known: Target | None, event: RuntimeInventoryUpdated) -> Target | None:
    """Return *known* as the inventory has it now; None when that says nothing new.

    Only what retires a service is news here: releases come from their deployments themselves.
    """
    if known is None or event.status is not ServiceStatus.RETIRED:
        return None
    return _retire(known, isoformat(event.valid_from))


def _retire(target: Target, at: str) -> Target | None:
    if target.retired_at is not None and at <= target.retired_at:
        return None
    return replace(target, retired_at=at, revision=target.revision + 1)


def to_body(target: Target) -> dict[str, Any]:
    """Return the document body; `dueAt` stands in every target that is looked at by each sweep."""
    body = asdict(target) | {"type": "target", "checks": [dict(each) for each in target.checks]}
    return body if target.is_retired else body | {"dueAt": target.released_at}


def from_body(body: Mapping[str, Any]) -> Target:
    fields = {name: body[name] for name in Target.__dataclass_fields__}
    for name in ("status", "previous", "pending"):
        fields[name] = HealthStatus(fields[name]) if fields[name] else None
    fields["checks"] = tuple(fields["checks"])
    return Target(**fields)
