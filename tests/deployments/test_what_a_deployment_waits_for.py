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
    Held,
    IsolationBreached,
    NotInForce,
)
from function_apps.deployments.model.deployment import Deployment, new_deployment
from function_apps.deployments.model.deployment_target import (
    DeploymentTarget,
    EnvironmentProjection,
)
from function_apps.deployments.model.facts import BindingProjection, RecordedProof
from function_apps.deployments.model.holds import add_holds
from function_apps.deployments.model.preconditions import (
    WaitReason,
    blocking_reason,
    require_admission,
    require_place,
    wait_limit,
    waiting_for,
)
from function_apps.deployments.model.rollout_steps import steps_of
from shared.contracts.components import Component
from shared.contracts.deployments import Deploy, DeploymentKind, DeploymentStatus
from shared.contracts.environments import EnvironmentStatus
from shared.contracts.gates import Verdict
from shared.contracts.isolation import IsolationLayer
from shared.contracts.releases import ReleasedComponent
from shared.contracts.strategies import RolloutDefaults, Strategy
from shared.contracts.tenants import ProofVerdict, TenantBindingStatus
from shared.contracts.values import (
    ComputeTargetKind,
    DeploymentId,
    ModuleId,
    OperationId,
    ProjectId,
    Stage,
)
from shared.kernel.context import NewIds
from shared.kernel.ids import TenantId
from tests.deployments.driven import SHOP, TEST
from tests.deployments.test_one_change_per_module import claim
from tests.kit import told
from tests.kit.releases import a_component
from tests.kit.service import TENANT, bench

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


def asked_for(status: DeploymentStatus = DeploymentStatus.REQUESTED, **changes: Any) -> Deployment:
    command = Deploy(
        environment_id=TEST,
        release_ref="one",
        components=(Component.model_validate(a_component(told.DIGEST, "1.0", SHOP)),),
    )
    made = new_deployment(
        command,
        NewIds(NOW, OperationId("op")),
        bench("deployments").ctx(),
        kind=DeploymentKind.RELEASE,
        key="one",
        order=(ModuleId(SHOP),),
    )
    return replace(made, status=status, **changes)


def in_queue(of: DeploymentTarget, *before: str, deployment: Deployment) -> DeploymentTarget:
    own = claim(deployment.deployment_id, SHOP)
    first = [replace(claim(each, SHOP), token=1) for each in before]
    return replace(of, queue=(*first, own if before else replace(own, token=1)))


def test_in_its_queue_a_deployment_waits_for_who_is_before_it() -> None:
    deployment = asked_for()

    assert waiting_for(deployment, in_queue(target(), "dep-a", deployment=deployment)) == (
        WaitReason.QUEUE,
        "dep-a",
    )
    assert waiting_for(deployment, in_queue(target(), deployment=deployment)) == (None, None)


def test_at_its_start_a_deployment_waits_for_its_environment_and_not_for_a_refusal() -> None:
    deployment = asked_for()

    def waits_in(of: DeploymentTarget) -> WaitReason | None:
        reason, holder = waiting_for(deployment, in_queue(of, deployment=deployment))
        assert holder is None
        return reason

    assert waits_in(target(E.PLANNING)) is WaitReason.ENVIRONMENT
    assert waits_in(target(binding=bound(B.BOUND))) is WaitReason.BINDING
    assert waits_in(target(E.FAILED)) is None


def test_at_a_gate_it_waits_for_the_verdict_or_for_a_person() -> None:
    (step, *_) = steps_of(Strategy(), RolloutDefaults(), has_baseline=True, has_components=True)
    asked = replace(step, gates=("gate-1",))
    judged = replace(asked, verdict=Verdict.PASS)

    def waits_with(*steps: Any, **changes: Any) -> Any:
        at_gate = asked_for(DeploymentStatus.HEALTH_GATING, steps=steps, **changes)
        return waiting_for(at_gate, target())

    assert waits_with(asked) == (WaitReason.GATE, None)
    assert waits_with(judged, asked) == (WaitReason.GATE, None)
    assert waits_with(judged) == (None, None)
    assert waits_with(step) == (None, None)
    assert waits_with(judged, paused_at=NOW) == (WaitReason.APPROVAL, None)


@pytest.mark.parametrize(
    "status", [DeploymentStatus.ROLLING_OUT, DeploymentStatus.PROMOTING, DeploymentStatus.COMPLETED]
)
def test_while_it_works_and_afterwards_it_waits_for_nothing(status: DeploymentStatus) -> None:
    assert waiting_for(asked_for(status), target(E.PLANNING)) == (None, None)


def test_a_deployment_is_admitted_by_its_environment_holds_and_what_it_undoes() -> None:
    unit = ReleasedComponent.model_validate(told.released(SHOP))
    holding = DeploymentId("dep-holder")
    release = asked_for()
    rollback = replace(release, kind=DeploymentKind.ROLLBACK, replaces={ModuleId(SHOP): 3})
    held = replace(target(), holds=add_holds({}, [unit], holding))

    require_admission(release, [unit], target())
    require_admission(replace(release, replaces=rollback.replaces), [unit], target())
    with pytest.raises(EnvironmentNotUsable):
        require_admission(release, [unit], target(E.FAILED))
    with pytest.raises(Held) as refused:
        require_admission(release, [unit], held)
    assert refused.value.holder == holding
    with pytest.raises(NotInForce):
        require_admission(rollback, [unit], target())


def test_a_deployment_on_its_way_that_is_in_no_queue_goes_not_on() -> None:
    working = asked_for(DeploymentStatus.ROLLING_OUT)

    require_place(working, in_queue(target(), deployment=working))
    require_place(replace(working, status=DeploymentStatus.FAILED), target())
    with pytest.raises(EnvironmentNotUsable, match=f"{working.deployment_id} was asked for"):
        require_place(working, target())
