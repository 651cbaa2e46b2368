"""What a deployment keeps of each event, and what the next one takes away again."""

from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest

from function_apps.deployments.model.deployment import Deployment, admitted, evolve
from function_apps.deployments.model.lifecycle import (
    AnalysisRequested,
    EnvironmentReady,
    Paused,
    PromotionBegan,
    ReleaseName,
    Retried,
    RollbackBegan,
    RolloutTerms,
    StepBegan,
    StepJudged,
    UnitPinned,
)
from function_apps.deployments.model.rollout_steps import RolloutStep
from shared.contracts.deployments import DeploymentStatus, EndReason
from shared.contracts.gates import Gate, Verdict
from shared.contracts.releases import Proof, ReleaseUnit
from shared.contracts.strategies import Strategy
from shared.contracts.values import OperationId, ProjectId, Reason, Stage
from shared.kernel.ids import DeploymentId, ModuleId
from tests.deployments.driven import CART, SHOP, WEB
from tests.deployments.test_what_an_undo_asks_for import completed, component, released
from tests.kit.virtual_time import EPOCH

NOW: Final = EPOCH + timedelta(minutes=5)
STEPS: Final = (RolloutStep(0, "weight 10 %", 10), RolloutStep(1, "weight 100 %", 100))
WHY: Final = EndReason(code="GateFailed", message="too slow")


def deployment(status: DeploymentStatus, **changes: object) -> Deployment:
    made = replace(completed(component()), status=status, steps=STEPS)
    return replace(made, **changes)  # type: ignore[arg-type]


def gating(**changes: object) -> Deployment:
    return deployment(DeploymentStatus.HEALTH_GATING, **changes)


def test_each_event_is_one_revision_later() -> None:
    before = deployment(DeploymentStatus.REQUESTED, revision=4)

    after = evolve(before, EnvironmentReady(ProjectId("proj-web"), Stage.PROD), NOW)

    assert (after.revision, after.updated_at, after.ended_at) == (5, NOW, None)
    assert (after.project_id, after.stage) == ("proj-web", Stage.PROD)


def test_the_fixed_unit_comes_with_all_that_a_rollback_needs() -> None:
    pinned = UnitPinned(
        unit=ReleaseUnit(components=(released(SHOP, 2),)),
        missing=(Reason(code="SecretVersionsAbsent", message="none is bound"),),
        previous=(released(SHOP, 1),),
        previous_deployment_id=DeploymentId("dep-one"),
        earlier=(released(CART, 3),),
        earlier_releases={ModuleId(SHOP): ReleaseName(DeploymentId("dep-zero"), "zero")},
        terms={ModuleId(SHOP): RolloutTerms(Strategy(), Gate(min_samples=7))},
        live_replicas={ModuleId(SHOP): 4},
        steps=STEPS,
    )

    after = evolve(deployment(DeploymentStatus.PROVISIONING, steps=()), pinned, NOW)

    assert (after.unit, after.absent, after.steps) == (pinned.unit, pinned.missing, STEPS)
    assert (after.previous, after.previous_deployment_id) == (pinned.previous, "dep-one")
    assert (after.earlier, after.earlier_releases) == (pinned.earlier, pinned.earlier_releases)
    assert (after.live_replicas, after.terms) == ({SHOP: 4}, pinned.terms)


def test_a_step_is_replaced_by_what_it_has_become_and_the_others_stay() -> None:
    begun = replace(STEPS[1], started_at=NOW)

    after = evolve(deployment(DeploymentStatus.ROLLING_OUT), StepBegan(begun), NOW)

    assert after.steps == (STEPS[0], begun)


def test_it_waits_for_the_evidence_until_its_step_is_judged() -> None:
    rolling = deployment(DeploymentStatus.ROLLING_OUT)
    judged = replace(STEPS[0], verdict=Verdict.PASS)

    waiting = evolve(rolling, AnalysisRequested(STEPS[0], "evidence-1"), NOW)

    assert waiting.wait_name == "evidence-1"
    assert evolve(waiting, StepJudged(judged), NOW).wait_name == ""
    assert evolve(waiting, PromotionBegan(), NOW).wait_name == ""


def test_a_paused_one_waits_for_somebody_to_decide() -> None:
    after = evolve(gating(wait_name="evidence-1"), Paused("decision-1"), NOW)

    assert (after.paused_at, after.wait_name) == (NOW, "decision-1")


def test_on_its_way_back_it_waits_for_nothing_and_belongs_to_the_new_operation() -> None:
    back = RollbackBegan(WHY, OperationId("op-back"), 9, (released(SHOP, 3),), {ModuleId(SHOP): ()})

    after = evolve(gating(wait_name="evidence-1", paused_at=EPOCH, token=4), back, NOW)

    assert (after.wait_name, after.paused_at, after.ended_at) == ("", None, None)
    assert (after.operation_id, after.token, after.reason) == ("op-back", 9, WHY)
    assert (after.previous, after.replaced_secrets) == ((released(SHOP, 3),), {SHOP: ()})


def test_one_that_begins_anew_keeps_what_was_asked_for_and_nothing_that_it_did() -> None:
    asked = deployment(DeploymentStatus.REQUESTED, steps=())
    failed = replace(
        asked,
        status=DeploymentStatus.FAILED,
        opened_at=EPOCH,
        unit=ReleaseUnit(components=(released(SHOP, 2),)),
        absent=(Reason(code="SecretVersionsAbsent", message="none is bound"),),
        previous=(released(SHOP, 1),),
        previous_deployment_id=DeploymentId("dep-one"),
        earlier=(released(CART, 3),),
        earlier_releases={ModuleId(SHOP): ReleaseName(DeploymentId("dep-zero"), "zero")},
        replaced_secrets={ModuleId(SHOP): ()},
        live_replicas={ModuleId(SHOP): 4},
        steps=STEPS,
        reason=WHY,
        restored=ReleaseUnit(components=(released(SHOP, 1),)),
        proof=Proof(whole=False, total=0, instances=()),
        remaining=("shop does not answer",),
        ended_at=EPOCH,
        wait_name="evidence-1",
    )

    after = evolve(failed, Retried(OperationId("op-again")), NOW)

    assert after == replace(
        asked,
        operation_id=OperationId("op-again"),
        attempt=2,
        revision=asked.revision + 1,
        updated_at=NOW,
    )


def test_at_the_head_of_its_queues_it_is_opened_once_and_its_token_only_grows() -> None:
    waiting = deployment(DeploymentStatus.REQUESTED, steps=())

    first = admitted(waiting, 5, EPOCH)
    again = admitted(first, 7, NOW)
    late = admitted(again, 6, NOW)

    assert (first.opened_at, first.token) == (EPOCH, 5)
    assert (again.opened_at, again.token) == (EPOCH, 7)
    assert late == again


@pytest.mark.parametrize(
    ("module", "revision", "is_own"),
    [
        pytest.param(SHOP, 2, True, id="the-revision-that-it-brought"),
        pytest.param(SHOP, 1, False, id="the-revision-before"),
        pytest.param(WEB, 2, False, id="another-module"),
    ],
)
def test_a_component_is_its_own_by_module_and_revision(
    module: str, revision: int, *, is_own: bool
) -> None:
    made = gating(unit=ReleaseUnit(components=(released(SHOP, 2),)))

    assert made.releases(released(module, revision)) is is_own
