"""A service as scaling remembers it: its release in force, its rollouts, its burn rate.

Releases are ordered by their revision, removals by their time, and what is said of one deployment
by its time; so late and repeated messages change nothing.
"""

from collections.abc import Collection, Mapping
from dataclasses import field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from shared.contracts.catalog import RuntimeInventoryUpdated, ServiceStatus
from shared.contracts.health import HealthCheckCompleted
from shared.contracts.scaling import HoldScaling, ScaleRelease
from shared.contracts.values import ComputeTargetKind, Resources, Stage
from shared.kernel.clock import isoformat, parse_instant
from shared.kernel.dataclass import dataclass

DEPLOYMENTS_KEPT: Final = 16
"""Of a service that are remembered as begun or ended; one is under way at a time."""


@dataclass(frozen=True)
class ScaledService:
    """A service. Without a component it is a tombstone: its removal came before its release.

    `begun` and `ended` have the last deployments of it, with the time of what was said last.
    `burn` is the burn rate by the name of its objective.
    """

    service_id: str
    tenant_id: str
    environment_id: str
    module_id: str
    release_revision: int = 0
    released_at: str = ""
    component: Mapping[str, Any] = field(default_factory=dict)
    """The released component, as JSON."""
    retired_at: str | None = None
    begun: Mapping[str, str] = field(default_factory=dict)
    ended: Mapping[str, str] = field(default_factory=dict)
    burn: Mapping[str, float] = field(default_factory=dict)
    burn_at: str | None = None
    health_revision: int = 0
    stage: str | None = None
    """Of its environment, as the last deployment said."""

    @property
    def is_released(self) -> bool:
        """Return whether a release is in force, so a number of instances to decide on."""
        return bool(self.component) and not self.is_retired

    @property
    def is_retired(self) -> bool:
        return self.retired_at is not None and self.retired_at >= self.released_at

    @property
    def resources(self) -> Resources:
        return Resources.model_validate(self.component.get("resources", {}), extra="ignore")

    @property
    def compute_target(self) -> ComputeTargetKind:
        return ComputeTargetKind(self.component["computeTarget"])

    @property
    def serves_requests(self) -> bool:
        return self.component.get("port") is not None

    @property
    def ends(self) -> bool:
        """Return whether its instances run to their end, so that they have no number."""
        return any(self.component.get(name) is not None for name in ("runsOnce", "schedule"))

    def is_rolling_out(self, now: datetime, at_most: timedelta) -> bool:
        """Return whether a deployment changes it, that began no longer than *at_most* ago."""
        since = isoformat(now - at_most)
        return any(
            at > max(since, self.ended.get(deployment, "")) for deployment, at in self.begun.items()
        )

    def burn_rate(self, sli: str | None, now: datetime, kept: timedelta) -> float | None:
        """Return the burn rate of *sli*, or the highest; None when none was said lately."""
        if self.burn_at is None or parse_instant(self.burn_at) < now - kept:
            return None
        rates = [rate for name, rate in self.burn.items() if sli in {None, name}]
        return max(rates, default=None)


def new_service(
    service_id: str, tenant_id: str, environment_id: str, module_id: str
) -> ScaledService:
    """Return a service of which nothing is known but its name."""
    return ScaledService(service_id, tenant_id, environment_id, module_id)


def record_release(service: ScaledService, release: ScaleRelease) -> ScaledService:
    """Return *service* after a deployment of it ended; its release only if that is newer."""
    at, component = isoformat(release.ended_at), release.component
    ended = _with_end(service, release.deployment_id, at)
    after = replace(service, ended=ended, stage=_stage(service, release.stage, at))
    if component is None:
        return _retire(after, at)
    if component.release_revision <= service.release_revision:
        return after
    return replace(
        after,
        release_revision=component.release_revision,
        released_at=at,
        component=component.model_dump(mode="json", by_alias=True),
    )


def record_rollout(service: ScaledService, said: HoldScaling) -> ScaledService:
    """Return *service* after a deployment began to change it, or ended without a release."""
    at = isoformat(said.at)
    service = replace(service, stage=_stage(service, said.stage, at))
    if said.is_over:
        return replace(service, ended=_with_end(service, said.deployment_id, at))
    return replace(service, begun=_with(service.begun, said.deployment_id, at))


def record_inventory(service: ScaledService, event: RuntimeInventoryUpdated) -> ScaledService:
    """Return *service* as retired where the inventory retired it; the rest comes from releases."""
    if event.status is not ServiceStatus.RETIRED:
        return service
    return _retire(service, isoformat(event.valid_from))


def record_burn(
    service: ScaledService, event: HealthCheckCompleted, said_at: datetime
) -> ScaledService:
    """Return *service* with its newer burn rates: of two windows the lower one counts.

    As in the SRE workbook: the long window shows that it matters, the short one that it goes on.
    """
    if event.revision <= service.health_revision:
        return service
    rates: dict[str, float] = {}
    for burn in event.slo_burn:
        rates[burn.sli] = max(rates.get(burn.sli, 0.0), min(burn.long, burn.short))
    return replace(service, burn=rates, burn_at=isoformat(said_at), health_revision=event.revision)


def _stage(service: ScaledService, said: Stage | None, at: str) -> str | None:
    """Return the stage as *said* at that time, unless a deployment said something later.

    An environment that is created again may have another stage than before.
    """
    is_late = at < max([*service.begun.values(), *service.ended.values()], default="")
    return service.stage if said is None or is_late else said.value


def _retire(service: ScaledService, at: str) -> ScaledService:
    if service.retired_at is not None and at <= service.retired_at:
        return service
    return replace(service, retired_at=at)


def _with_end(service: ScaledService, deployment: str, at: str) -> Mapping[str, str]:
    """Return the ends with that of *deployment*; those of deployments that are begun are kept."""
    return _with(service.ended, deployment, at, kept=service.begun)


def _with(
    known: Mapping[str, str], deployment: str, at: str, *, kept: Collection[str] = ()
) -> Mapping[str, str]:
    """Return *known* with the newest time of *deployment*, *kept* ones and the newest others."""
    after = {**known, deployment: max(at, known.get(deployment, ""))}
    others = sorted(after.keys() - kept, key=lambda each: (after[each], each))[-DEPLOYMENTS_KEPT:]
    return {each: at for each, at in after.items() if each in kept or each in others}
