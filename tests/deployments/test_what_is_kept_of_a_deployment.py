"""What a deployment needs of what is stored, and when nobody can come back to it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest

from function_apps.deployments.model.artifact_retention import (
    ArtifactUse,
    in_force,
    named,
    needed,
    needed_contents,
    past_uses,
)
from function_apps.deployments.model.deployment_target import DeploymentTarget, ModuleState
from function_apps.deployments.model.holds import HoldRef
from function_apps.deployments.model.lifecycle import ReleaseName
from shared.contracts.deployments import DeploymentKind, DeploymentStatus
from shared.contracts.environments import EnvironmentStatus
from shared.contracts.releases import ConfigurationPin, ReleasedComponent, ReleaseUnit
from shared.kernel.ids import DeploymentId, ModuleId
from tests.deployments.driven import CART, SHOP, TENANT, TEST, WEB
from tests.deployments.test_one_change_per_module import claim
from tests.deployments.test_what_an_undo_asks_for import completed, component, released
from tests.deployments.test_what_an_undo_asks_for import in_force as target_of
from tests.kit.virtual_time import EPOCH

PLACE: Final = (TENANT, TEST)
ONE, TWO, THREE, FOUR = map(DeploymentId, ("dep-1", "dep-2", "dep-3", "dep-4"))


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def stored(number: int, module: str = SHOP) -> ReleasedComponent:
    """Return a component whose artifact and configuration have this number."""
    pin = ConfigurationPin(environment=1, hash=digest(100 + number))
    return released(module, number, digest=digest(number)).model_copy(update={"configuration": pin})


def use(identity: DeploymentId = ONE, **changes: Any) -> ArtifactUse:
    made = ArtifactUse(
        identity, PLACE, (ModuleId(SHOP),), is_release=True, created_at=EPOCH, ended_at=EPOCH,
        digests=frozenset({digest(1)}), contents=frozenset({digest(101)}),
    )  # fmt: skip
    return replace(made, **changes)


def test_a_deployment_needs_what_it_brought_and_all_that_it_can_go_back_to() -> None:
    made = replace(
        completed(component(artifactDigest=digest(9)), previous=[stored(3)]),
        unit=ReleaseUnit(components=(stored(1),)),
        restored=ReleaseUnit(components=(stored(2),)),
        earlier=(stored(4),),
        pins={ModuleId(SHOP): ConfigurationPin(environment=1, hash=digest(109))},
    )

    found = ArtifactUse.of(made)

    assert (found.place, found.modules) == (PLACE, (SHOP,))
    assert found.digests == {digest(number) for number in (1, 2, 3, 4, 9)}
    assert found.contents == {digest(100 + number) for number in (1, 2, 3, 4, 9)}


def test_it_names_each_deployment_whose_release_it_or_its_undo_brings_back() -> None:
    made = replace(
        completed(component()),
        previous_deployment_id=ONE,
        restores={ModuleId(SHOP): TWO},
        earlier_releases={ModuleId(WEB): ReleaseName(THREE, "three")},
    )

    assert ArtifactUse.of(made).goes_back_to == {ONE, TWO, THREE}
    assert ArtifactUse.of(completed(component())).goes_back_to == frozenset()


@pytest.mark.parametrize(
    ("kind", "status", "is_release"),
    [
        pytest.param(DeploymentKind.RELEASE, DeploymentStatus.COMPLETED, True, id="a-release"),
        pytest.param(DeploymentKind.REPAIR, DeploymentStatus.COMPLETED, True, id="a-repair"),
        pytest.param(DeploymentKind.ROLLBACK, DeploymentStatus.COMPLETED, False, id="a-rollback"),
        pytest.param(DeploymentKind.RELEASE, DeploymentStatus.FAILED, False, id="a-failure"),
    ],
)
def test_what_completed_and_was_no_rollback_is_one_of_the_newest_releases(
    kind: DeploymentKind, status: DeploymentStatus, *, is_release: bool
) -> None:
    made = replace(completed(component()), kind=kind, status=status)

    assert ArtifactUse.of(made).is_release is is_release


def test_in_force_is_what_the_modules_of_the_environment_were_released_by() -> None:
    target = target_of(replace(completed(component()), deployment_id=ONE))
    removed = replace(target, modules={**target.modules, ModuleId(CART): ModuleState(last=3)})

    assert in_force(removed) == {ONE}


@pytest.mark.parametrize("is_known", [True, False])
def test_where_there_is_no_environment_nothing_can_be_in_force(*, is_known: bool) -> None:
    target = target_of(completed(component()))
    assert target.environment is not None
    gone = replace(target.environment, status=EnvironmentStatus.DECOMMISSIONED)

    assert in_force(replace(target, environment=gone if is_known else None)) is None


def test_an_environment_names_what_is_in_force_in_its_queue_or_held() -> None:
    target = replace(
        DeploymentTarget(TEST),
        modules={ModuleId(SHOP): ModuleState(1, 1, by=ONE, renewed=TWO)},
        queue=(claim(THREE, WEB),),
        holds={ModuleId(CART): (HoldRef("0123456789abcdef", FOUR),)},
    )

    assert named(target) == {ONE, TWO, THREE, FOUR}


@pytest.mark.parametrize(
    ("changes", "is_past"),
    [
        pytest.param({}, True, id="nobody-names-it"),
        pytest.param({"ended_at": None}, False, id="on-its-way"),
        pytest.param({"ended_at": EPOCH + timedelta(seconds=1)}, False, id="ended-lately"),
        pytest.param({"deployment_id": TWO}, False, id="kept"),
        pytest.param({"deployment_id": THREE}, False, id="what-one-that-is-kept-goes-back-to"),
        pytest.param({"deployment_id": FOUR}, False, id="named-by-its-environment"),
        pytest.param(
            {"deployment_id": FOUR, "place": (TENANT, "env-other")}, True, id="named-elsewhere"
        ),
    ],
)
def test_past_is_what_ended_long_ago_and_nobody_can_come_back_to(
    changes: dict[str, Any], *, is_past: bool
) -> None:
    asked = use(**changes)
    kept = [use(TWO, goes_back_to=frozenset({THREE}))]

    found = past_uses([asked], kept, {PLACE: {FOUR}}, EPOCH)

    assert found == ([asked] if is_past else [])


def test_what_is_stored_is_needed_by_the_tenant_who_stored_it() -> None:
    assert needed([use()]) == {(TENANT, digest(1))}
    assert needed_contents([use()]) == {(TENANT, digest(101))}
