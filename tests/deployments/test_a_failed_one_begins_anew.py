"""Which Failed deployment can be retried, and which one is asked for again instead."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest

from function_apps.deployments.errors import NotPromotable, NotRetryable
from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.model.deployment_target import DeploymentTarget
from function_apps.deployments.model.retry import begin_anew
from shared.contracts.deployments import DeploymentStatus
from shared.contracts.promotions import SoakDefaults, SoakEvidence
from shared.contracts.values import OperationId, Stage
from tests.deployments.driven import SHOP, TEST
from tests.deployments.test_one_change_per_module import claim
from tests.deployments.test_what_an_undo_asks_for import completed, component
from tests.kit.virtual_time import EPOCH

SOAK: Final = SoakDefaults()
NOTHING: Final = DeploymentTarget(TEST)
OTHERS: Final = replace(NOTHING, queue=(claim("another-key", SHOP),))


def failed(**changes: Any) -> Deployment:
    return replace(completed(component()), status=DeploymentStatus.FAILED, **changes)


def again(deployment: Deployment, target: DeploymentTarget = OTHERS) -> Deployment:
    return begin_anew(deployment, target, OperationId("op-again"), SOAK, EPOCH)


def soaked(checked_at_age: timedelta) -> SoakEvidence:
    return SoakEvidence(
        deployment_id=completed(component()).deployment_id,
        stage=Stage.TEST,
        healthy_since=EPOCH - timedelta(days=1),
        checked_at=EPOCH - checked_at_age,
        required=timedelta(minutes=5),
    )


def test_a_failed_one_is_requested_again_as_the_next_attempt_beside_what_is_on_its_way() -> None:
    after = again(failed())

    assert (after.status, after.attempt) == (DeploymentStatus.REQUESTED, 2)
    assert after.operation_id == "op-again"


@pytest.mark.parametrize(
    "status", [each for each in DeploymentStatus if each is not DeploymentStatus.FAILED]
)
def test_one_in_any_other_state_is_not_retried(status: DeploymentStatus) -> None:
    deployment = replace(failed(), status=status)

    with pytest.raises(NotRetryable, match=f"^{deployment.deployment_id} is {status}; "):
        again(deployment)


def test_the_same_versions_are_on_their_way_only_once() -> None:
    deployment = failed(key="another-key")

    with pytest.raises(NotRetryable, match=f"same versions as in {deployment.deployment_id} are"):
        again(deployment)


def test_one_that_never_had_anything_to_release_is_asked_for_again_by_its_sender() -> None:
    with pytest.raises(NotRetryable, match="who asked for it asks again"):
        again(failed(components=(), remove=()))


def test_a_removal_that_failed_is_retried() -> None:
    removal = replace(completed(remove=[SHOP]), status=DeploymentStatus.FAILED)

    assert again(removal).status is DeploymentStatus.REQUESTED


def test_a_promotion_is_retried_while_its_evidence_counts() -> None:
    age = SOAK.evidence_age_max

    assert again(failed(evidence=soaked(age))).evidence is not None
    with pytest.raises(NotPromotable, match="promote again") as refused:
        again(failed(evidence=soaked(age + timedelta(seconds=1))))

    assert refused.value.code == "SoakVerdictStale"
