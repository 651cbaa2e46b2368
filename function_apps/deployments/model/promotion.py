"""Promotion: the same digests, once they were Completed and Healthy for the soak time."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from math import ceil
from typing import Final

from function_apps.deployments.errors import EvidenceRequired, NotPromotable
from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.model.deployment_target import DeploymentTarget
from function_apps.deployments.model.release_unit import requested_component
from shared.contracts.deployments import Deploy, DeploymentStatus
from shared.contracts.gates import Gate
from shared.contracts.health import HealthStatus, ServiceHealth
from shared.contracts.promotions import PromoteDeployment, SoakDefaults, SoakEvidence
from shared.contracts.releases import ConfigurationPin, ReleasedComponent, ReleaseUnit
from shared.contracts.strategies import Strategy
from shared.contracts.values import (
    ComputeTargetKind,
    DeploymentId,
    Instant,
    ModuleId,
    Reason,
    Stage,
)
from shared.kernel.dataclass import dataclass

_NAMED_MAX: Final = 10
"""Of what a module lacks; a warning has 2,048 characters, and a module up to 50 secrets."""


@dataclass(frozen=True)
class Source:
    """A release in force that may go on to the next environment."""

    deployment_id: DeploymentId
    environment_id: str
    stage: Stage
    release_ref: str
    unit: ReleaseUnit
    completed_at: Instant

    @classmethod
    def of(cls, deployment: Deployment) -> "Source":
        """Return *deployment* as a source.

        Raises:
            NotPromotable: it is not Completed, or has no components.
        """
        if deployment.status is not DeploymentStatus.COMPLETED:
            raise NotPromotable(
                f"{deployment.deployment_id} is {deployment.status}; only Completed is promoted"
            )
        assert deployment.unit is not None
        assert deployment.stage is not None
        assert deployment.ended_at is not None
        if not deployment.unit.components:
            raise NotPromotable(f"{deployment.deployment_id} only removed modules")
        return cls(
            deployment.deployment_id,
            deployment.environment_id,
            deployment.stage,
            deployment.release_ref,
            deployment.unit,
            deployment.ended_at,
        )


def require_source_in_force(source: Source, target: DeploymentTarget) -> None:
    """Refuse the promotion of what something else has replaced.

    Raises:
        NotPromotable: a module of *source* is no longer in force.
    """
    for component in source.unit.components:
        by = target.module(component.module_id).by
        if by != source.deployment_id:
            raise NotPromotable(
                f"{component.module_id} of {source.deployment_id} is no longer in force: "
                f"{by or 'nothing'} is"
            )


def soak_evidence(
    source: Source, verdicts: Sequence[ServiceHealth], required: timedelta, now: datetime
) -> SoakEvidence:
    """Return the health of all services of *source* as one: healthy since the last of them.

    Raises:
        NotPromotable: one of them is not Healthy, or health watches another release of it.
    """
    for component, health in zip(source.unit.components, verdicts, strict=True):
        if health.status is not HealthStatus.HEALTHY:
            raise NotPromotable(
                f"{component.module_id} is {health.status} at {source.stage} ({health.reason}); "
                "promotion needs Healthy"
            )
        if health.release_revision != component.release_revision:
            raise NotPromotable(
                f"health probes release revision {health.release_revision} of "
                f"{component.module_id}, {source.deployment_id} has "
                f"{component.release_revision}; ask again in a moment"
            )
    return SoakEvidence(
        deployment_id=source.deployment_id,
        stage=source.stage,
        healthy_since=max([source.completed_at, *(health.since for health in verdicts)]),
        checked_at=now,
        required=required,
    )


def require_soak_time(
    source: Source, evidence: SoakEvidence | None, soak: SoakDefaults, now: datetime
) -> None:
    """Refuse a promotion before its time, or on evidence that is too old.

    Raises:
        EvidenceRequired: there is no evidence, or it is about another deployment or stage.
        NotPromotable: not Healthy for long enough, and how long is left; or that was long ago.
    """
    required = soak.of(source.stage)
    about = evidence and (evidence.deployment_id, evidence.stage)
    if evidence is None or about != (source.deployment_id, source.stage):
        raise EvidenceRequired(
            "PromoteDeployment carries `evidence` about its deployment: POST …/promote asks "
            "health for it",
            target="/evidence",
        )
    require_fresh_evidence(evidence, soak, now)
    healthy_for = min(now, evidence.checked_at) - max(evidence.healthy_since, source.completed_at)
    if healthy_for < required:
        left_s = (required - healthy_for).total_seconds()
        raise NotPromotable(
            f"{source.deployment_id} has been Healthy at {source.stage} for "
            f"{healthy_for.total_seconds():.0f} s of {required.total_seconds():.0f} s: "
            f"{left_s:.0f} s are left",
            code="SoakTimeLeft",
            headers={"Retry-After": str(max(1, ceil(left_s)))},
        )


def require_fresh_evidence(evidence: SoakEvidence, soak: SoakDefaults, now: datetime) -> None:
    """Refuse evidence that is too old to rely on.

    Raises:
        NotPromotable: it is to be asked for again.
    """
    age = now - evidence.checked_at
    if age > soak.evidence_age_max:
        raise NotPromotable(
            f"health said {age.total_seconds():.0f} s ago that {evidence.deployment_id} is "
            f"Healthy; at most {soak.evidence_age_max.total_seconds():.0f} s count: promote again",
            code="SoakVerdictStale",
        )


def scaled_modules(source: Source) -> tuple[ModuleId, ...]:
    """Return the modules of *source* whose number a policy has where they are promoted from."""
    return tuple(
        component.module_id
        for component in source.unit.components
        if component.scaling_policy_revision
    )


def left_policies(
    scaled: Collection[ModuleId], components: Iterable[ReleasedComponent]
) -> tuple[Reason, ...]:
    """Return that the policies of *scaled* stay behind, where *components* have none of their own.

    A policy is of the load of one environment; what is promoted has as many instances as the
    release asked for.
    """
    without = [
        f"{each.module_id} gets {each.replicas} instances here, until {each.service_id} has a"
        " policy"
        for each in components
        if each.module_id in scaled and not each.scaling_policy_revision
    ]
    if not without:
        return ()
    message = f"a scaling policy is of its environment and not promoted: {'; '.join(without)}"
    return (Reason(code="ScalingPolicyNotPromoted", message=message[:2048]),)


def left_settings(source: Source, components: Iterable[ReleasedComponent]) -> tuple[str, ...]:
    """Return which configuration and secrets the modules of *source* have, and *components* lack.

    Both are of one environment: a promotion takes neither along.
    """
    before = {each.module_id: each for each in source.unit.components}
    warnings = []
    for each in components:
        had = before.get(each.module_id)
        if had is None:
            continue
        bound = {secret.name for secret in each.secrets}
        lacks = [
            *_lacked_layers(had.configuration, each.configuration),
            *sorted(f"secret {secret.name}" for secret in had.secrets if secret.name not in bound),
        ]
        if lacks:
            named = ", no ".join(lacks[:_NAMED_MAX]) + (", …" if lacks[_NAMED_MAX:] else "")
            warnings.append(
                f"{each.module_id} has no {named} in this environment, as it has in"
                f" {source.environment_id}: a promotion takes none along; publish and bind first"
            )
    return tuple(warnings)


def _lacked_layers(had: ConfigurationPin, has: ConfigurationPin) -> Sequence[str]:
    """Return which layers of the source have something, and have nothing here, in words.

    The tenant's is the same in both; where nothing at all is left it need not be said of each.
    """
    if had.hash and not has.hash:
        return ["configuration"]
    layers = [
        ("environment", had.environment, has.environment),
        ("module", had.module, has.module),
    ]
    return [f"configuration of the {layer}" for layer, was, now in layers if was and not now]


def promotion_command(
    source: Source, promotion: PromoteDeployment, offered: Collection[ComputeTargetKind]
) -> Deploy:
    """Return the deployment of the same digests to the environment that is asked for.

    A component stays on its kind of surface where that is *offered* there; else it is placed anew.

    Raises:
        NotPromotable: that is where they are.
    """
    if promotion.to_environment_id == source.environment_id:
        raise NotPromotable(
            f"{source.deployment_id} is in {source.environment_id} already",
            target="/toEnvironmentId",
        )
    return Deploy(
        environment_id=promotion.to_environment_id,
        release_ref=source.release_ref,
        components=tuple(
            requested_component(component)
            if component.compute_target in offered
            else requested_component(component).model_copy(update={"compute_target": None})
            for component in source.unit.components
        ),
        strategy=promotion.strategy or Strategy(),
        gate=promotion.gate or Gate(),
        on_conflict=promotion.on_conflict,
        dry_run=promotion.dry_run,
    )
