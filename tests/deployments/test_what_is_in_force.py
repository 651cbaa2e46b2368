"""What an environment keeps of each module: the release in force, and the revisions given out."""

from dataclasses import replace
from typing import Final

import pytest

from function_apps.deployments.model import predecessors
from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.model.deployment_target import (
    DeploymentTarget,
    ModuleState,
    emptied,
    with_in_force,
    without_in_force,
)
from function_apps.deployments.model.holds import HoldRef
from function_apps.deployments.model.unknown_releases import (
    TOKENS_SKIPPED,
    caught_up,
    unknown_revisions,
)
from shared.contracts.releases import ReleaseUnit
from shared.contracts.values import ComputeTargetKind
from shared.kernel.ids import DeploymentId, ModuleId
from shared.surfaces.observed_state import LiveComponent, LiveRevision, Phase
from shared.surfaces.spec import SurfaceComponent
from tests.deployments.driven import CART, SHOP, TENANT, TEST, WEB
from tests.deployments.test_one_change_per_module import claim
from tests.deployments.test_what_an_undo_asks_for import completed, component, released
from tests.kit.virtual_time import EPOCH

BY: Final = DeploymentId("dep-by")
DEAD: Final = ModuleState(revision=3, last=5, by=DeploymentId("dep-old"), alerted_at=EPOCH)


def target(**modules: ModuleState) -> DeploymentTarget:
    """Return the environment with these states of `module-…`."""
    by_module = {ModuleId(f"module-{name}"): state for name, state in modules.items()}
    return DeploymentTarget(TEST, modules=by_module)


def test_what_is_in_force_keeps_what_later_deployments_are_judged_by() -> None:
    new = released(SHOP, 6, pathPrefix="/shop", dependsOn=[CART], configurationMode="floating")

    after = with_in_force(target(shop=DEAD, web=DEAD), [new], BY, "key")

    assert after.module(ModuleId(SHOP)) == ModuleState(
        revision=6,
        last=6,
        by=BY,
        key="key",
        path_prefix="/shop",
        depends_on=(ModuleId(CART),),
        compute_target=ComputeTargetKind.LOCAL_PROCESS,
        is_floating=new.takes_roll_outs,
    )
    assert new.takes_roll_outs
    assert after.module(ModuleId(WEB)) == DEAD


def test_a_revision_that_was_given_out_is_never_given_again() -> None:
    known = target(shop=DEAD, web=DEAD)
    again = released(SHOP, 4)

    brought = with_in_force(known, [again], BY, "key")
    removed = without_in_force(known, [ModuleId(SHOP)])

    assert brought.module(ModuleId(SHOP)).last == DEAD.last
    assert removed.modules == {SHOP: ModuleState(last=DEAD.last), WEB: DEAD}


def test_of_an_environment_that_is_gone_only_the_revisions_given_out_stay() -> None:
    held = {ModuleId(SHOP): (HoldRef("0123456789abcdef", BY),)}
    known = replace(target(shop=DEAD), holds=held, queue=(claim("a", SHOP),), fence=7)

    after = emptied(known)

    assert after == replace(target(shop=ModuleState(last=DEAD.last)), fence=7)


# What is in force, from the deployments that say so.


def by_renewal() -> tuple[DeploymentTarget, Deployment, Deployment]:
    """Return a target whose release a rollback brought back with other versions of secrets."""
    holder = replace(
        completed(component()), deployment_id=BY, unit=ReleaseUnit(components=(released(SHOP, 2),))
    )
    renewal = replace(
        completed(component()),
        deployment_id=DeploymentId("dep-renewal"),
        restored=ReleaseUnit(components=(released(SHOP, 4, version="2.0"),)),
    )
    state = ModuleState(revision=4, last=4, by=BY, renewed=renewal.deployment_id)
    return target(shop=state), holder, renewal


def test_what_a_rollback_renewed_is_in_force_as_it_was_renewed() -> None:
    known, holder, renewal = by_renewal()

    found = predecessors.in_force(
        known, [ModuleId(SHOP)], {BY: holder, renewal.deployment_id: renewal}
    )

    assert [each.release_revision for each in found.components] == [4]
    assert {module: name.deployment_id for module, name in found.releases.items()} == {SHOP: BY}


def test_a_component_that_nobody_says_is_in_force_is_not_known() -> None:
    known, holder, _ = by_renewal()

    found = predecessors.in_force(known, [ModuleId(SHOP)], {BY: holder})

    assert found.components == ()


# What runs and that no record explains, as after an older copy of the store was put back.


def live(module: str, *revisions: int) -> LiveComponent:
    shown = tuple(LiveRevision(each, "1", "sha256:1", 1, Phase.READY, ()) for each in revisions)
    return LiveComponent(SurfaceComponent(TEST, TENANT, ModuleId(module)), shown, {}, None)


@pytest.mark.parametrize(
    ("revisions", "unknown"),
    [
        pytest.param((), {}, id="none-runs"),
        pytest.param((4, 5), {}, id="as-new-as-what-was-given-out"),
        pytest.param((7, 6), {SHOP: 7}, id="newer"),
    ],
)
def test_a_revision_that_was_never_given_out_is_not_explained(
    revisions: tuple[int, ...], unknown: dict[str, int]
) -> None:
    found = unknown_revisions(target(shop=DEAD), {ModuleId(SHOP): live(SHOP, *revisions)})

    assert found == unknown


def test_a_module_without_a_record_is_not_explained_by_any_other() -> None:
    assert unknown_revisions(target(shop=DEAD), {ModuleId(WEB): live(WEB, 1)}) == {WEB: 1}
    assert unknown_revisions(DeploymentTarget(TEST), {ModuleId(WEB): live(WEB)}) == {}


def test_after_unknown_releases_revisions_and_tokens_are_given_out_above_theirs() -> None:
    known = replace(target(shop=DEAD, cart=DEAD), fence=7)

    after = caught_up(known, {ModuleId(SHOP): 9, ModuleId(WEB): 1})

    assert after.modules == {SHOP: replace(DEAD, last=9), CART: DEAD, WEB: ModuleState(last=1)}
    assert after.fence == 7 + TOKENS_SKIPPED
