"""Whether an environment takes a deployment now, later or never, and for how long one waits."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from function_apps.deployments.errors import (
    BindingRequired,
    BindingSuspended,
    EnvironmentNotUsable,
    EnvironmentUnknown,
    IsolationBreached,
)
from function_apps.deployments.model.deployment_target import (
    DeploymentTarget,
    EnvironmentProjection,
)
from function_apps.deployments.model.facts import BindingProjection, RecordedProof
from function_apps.deployments.model.preconditions import WaitReason, blocking_reason, wait_limit
from shared.contracts.environments import EnvironmentStatus
from shared.contracts.strategies import RolloutDefaults
from shared.contracts.tenants import IsolationLayer, ProofVerdict, TenantBindingStatus
from shared.contracts.values import ComputeTargetKind, ProjectId, Stage
from shared.kernel.ids import TenantId
from tests.deployments.driven import TEST
from tests.kit.service import TENANT

E, B = EnvironmentStatus, TenantBindingStatus
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
OTHER = TenantId("globex")


def target(
    status: E = E.PROVISIONED, binding: BindingProjection | None = None, **changes: Any
) -> DeploymentTarget:
    environment = EnvironmentProjection(
        1, status, ProjectId("shop"), Stage.TEST, TenantId(TENANT), 1,
        (ComputeTargetKind.LOCAL_PROCESS,),
    )  # fmt: skip
    return DeploymentTarget(TEST, environment=replace(environment, **changes), binding=binding)


def bound(status: B = B.ENFORCED, **changes: Any) -> BindingProjection:
    return BindingProjection("tb", 1, status, **changes)


def waits(of: DeploymentTarget) -> WaitReason | None:
    return blocking_reason(of, TenantId(TENANT))


@pytest.mark.parametrize("status", [E.PROVISIONED, E.UPDATING])
def test_an_environment_that_is_there_takes_a_deployment(status: E) -> None:
    assert waits(target(status)) is None


@pytest.mark.parametrize("status", [E.REQUESTED, E.PLANNING, E.AWAITING_APPROVAL, E.PROVISIONING])
def test_one_that_is_on_its_way_is_waited_for(status: E) -> None:
    assert waits(target(status)) is WaitReason.ENVIRONMENT


def test_one_whose_surfaces_were_not_heard_of_is_waited_for_too() -> None:
    assert waits(target(E.UPDATING, targets=())) is WaitReason.ENVIRONMENT
    assert waits(DeploymentTarget(TEST)) is WaitReason.ENVIRONMENT


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (E.FAILED, "EnvironmentFailed"),
        (E.DECOMMISSIONING, "EnvironmentNotUsable"),
        (E.DECOMMISSIONED, "EnvironmentNotUsable"),
        (E.DECOMMISSION_FAILED, "EnvironmentNotUsable"),
    ],
)
def test_one_that_failed_or_goes_takes_none(status: E, code: str) -> None:
    with pytest.raises(EnvironmentNotUsable) as refused:
        waits(target(status))
    assert refused.value.code == code
    assert f"{TEST} is {status}" in refused.value.message


def test_prod_and_the_environment_of_another_tenant_need_a_binding() -> None:
    for alone in (target(stage=Stage.PROD), target(owner=OTHER)):
        with pytest.raises(BindingRequired) as refused:
            waits(alone)
        assert str(TEST) in refused.value.message
        assert waits(replace(alone, binding=bound())) is None
        with pytest.raises(BindingRequired):
            waits(replace(alone, binding=bound(B.UNBOUND)))


def test_a_binding_that_is_not_enforced_yet_is_waited_for() -> None:
    assert waits(target(binding=bound(B.BOUND))) is WaitReason.BINDING
    assert waits(target(binding=bound(B.MOVING))) is None
    assert waits(target(E.PLANNING, binding=bound(B.BOUND))) is WaitReason.ENVIRONMENT


def test_a_tenant_that_is_suspended_or_unbound_deploys_nothing() -> None:
    with pytest.raises(BindingSuspended) as refused:
        waits(target(binding=bound(B.SUSPENDED), owner=OTHER))
    assert str(TEST) in refused.value.message
    assert "globex" in refused.value.message
    with pytest.raises(BindingRequired):
        waits(target(binding=bound(B.UNBINDING)))


def test_a_breach_holds_deployments_and_another_verdict_none() -> None:
    def proved(verdict: ProofVerdict) -> DeploymentTarget:
        proof = RecordedProof(1, verdict)
        return target(binding=bound(proofs={IsolationLayer.NETWORK: proof}))

    assert waits(proved(ProofVerdict.PASS)) is None
    assert waits(proved(ProofVerdict.INDETERMINATE)) is None
    with pytest.raises(IsolationBreached, match="layer network was a breach"):
        waits(proved(ProofVerdict.BREACH))


def test_an_environment_that_nobody_heard_of_is_waited_for_shortly() -> None:
    rules = RolloutDefaults()

    known = wait_limit(target(E.PLANNING), NOW, rules)
    unknown = wait_limit(DeploymentTarget(TEST), NOW, rules)

    assert known.until == NOW + rules.environment_wait
    assert known.refusal.code == "EnvironmentLate"
    assert f"{TEST} was still Planning after 1 day" in known.refusal.message
    assert unknown.until == NOW + rules.unknown_environment_wait
    assert isinstance(unknown.refusal, EnvironmentUnknown)
    assert f"{TEST} came within 0:02:00" in unknown.refusal.message
