"""What an environment keeps of each module: the release in force, and the revisions given out."""

from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest

from function_apps.deployments.model import predecessors
from function_apps.deployments.model.alerts import (
    EndedAlert,
    components_without_previous,
    ended_alerts,
    with_open_alerts,
)
from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.model.deployment_target import (
    ALERTS_ENDED_MAX,
    DeploymentTarget,
    EnvironmentProjection,
    ModuleState,
    emptied,
    with_in_force,
    without_alerts_left,
    without_in_force,
)
from function_apps.deployments.model.holds import HoldRef
from function_apps.deployments.model.unknown_releases import (
    TOKENS_SKIPPED,
    caught_up,
    unknown_revisions,
)
from shared.contracts.environments import EnvironmentStatus
from shared.contracts.releases import ReleaseUnit
from shared.contracts.values import ComputeTargetKind, Stage
from shared.kernel.ids import DeploymentId, ModuleId
from shared.surfaces.observed_state import LiveComponent, LiveRevision, Phase
from shared.surfaces.spec import SurfaceComponent
from tests.deployments.driven import CART, PROJECT, SHOP, TENANT, TEST, WEB
from tests.deployments.test_one_change_per_module import claim
from tests.deployments.test_what_an_undo_asks_for import completed, component, released
from tests.kit.virtual_time import EPOCH

BY: Final = DeploymentId("dep-by")
OLD: Final = ModuleState(revision=3, last=5, by=DeploymentId("dep-old"))


def target(**modules: ModuleState) -> DeploymentTarget:
    """Return the environment with these states of `module-…`."""
    by_module = {ModuleId(f"module-{name}"): state for name, state in modules.items()}
    return DeploymentTarget(TEST, modules=by_module)


def test_what_is_in_force_keeps_what_later_deployments_are_judged_by() -> None:
    new = released(SHOP, 6, pathPrefix="/shop", dependsOn=[CART], configurationMode="floating")

    after = with_in_force(target(shop=OLD, web=OLD), [new], BY, "key")

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
    assert after.module(ModuleId(WEB)) == OLD


def test_a_revision_that_was_given_out_is_never_given_again() -> None:
    known = target(shop=OLD, web=OLD)
    again = released(SHOP, 4)

    brought = with_in_force(known, [again], BY, "key")
    removed = without_in_force(known, [ModuleId(SHOP)])

    assert brought.module(ModuleId(SHOP)).last == OLD.last
    assert removed.modules == {SHOP: ModuleState(last=OLD.last), WEB: OLD}


def test_of_an_environment_that_is_gone_only_the_revisions_given_out_stay() -> None:
    held = {ModuleId(SHOP): (HoldRef("0123456789abcdef", BY),)}
    known = replace(target(shop=OLD), holds=held, queue=(claim("a", SHOP),), fence=7)

    after = emptied(known)

    assert after == replace(target(shop=ModuleState(last=OLD.last)), fence=7)


# Whether the environment takes deployments.

STATUS: Final = EnvironmentStatus
OFFERED: Final = (ComputeTargetKind.LOCAL_PROCESS,)


def projection(
    status: EnvironmentStatus, targets: tuple[ComputeTargetKind, ...] = OFFERED
) -> EnvironmentProjection:
    return EnvironmentProjection(1, status, PROJECT, Stage.TEST, TENANT, 1, targets)


@pytest.mark.parametrize("status", EnvironmentStatus)
def test_an_environment_takes_deployments_once_it_is_provisioned_and_while_it_is_updated(
    status: EnvironmentStatus,
) -> None:
    takes = status in {STATUS.PROVISIONED, STATUS.UPDATING}

    assert projection(status).is_usable is takes
    assert not projection(status, ()).is_usable


@pytest.mark.parametrize("status", EnvironmentStatus)
def test_an_environment_is_on_its_way_until_it_is_provisioned_for_the_first_time(
    status: EnvironmentStatus,
) -> None:
    first = {STATUS.REQUESTED, STATUS.PLANNING, STATUS.AWAITING_APPROVAL, STATUS.PROVISIONING}

    assert projection(status).is_on_its_way is (status in first)
    assert projection(status, ()).is_on_its_way is (status in {*first, STATUS.UPDATING})


@pytest.mark.parametrize("status", EnvironmentStatus)
def test_an_environment_is_gone_when_it_is_decommissioned(status: EnvironmentStatus) -> None:
    assert projection(status).is_gone is (status is STATUS.DECOMMISSIONED)


# Alerts that nothing can be gone back to.

OPEN: Final = replace(OLD, alerted_at=EPOCH)
LATER: Final = EPOCH + timedelta(hours=1)


def test_an_alert_is_open_since_it_was_raised_first() -> None:
    known = target(shop=OPEN, web=OLD, cart=OLD)

    after = with_open_alerts(known, [ModuleId(SHOP), ModuleId(WEB)], LATER)

    assert after == {SHOP: OPEN, WEB: replace(OLD, alerted_at=LATER), CART: OLD}


def test_only_of_what_has_no_open_alert_yet_one_is_raised() -> None:
    made = replace(
        completed(component(), component(WEB)),
        unit=ReleaseUnit(components=(released(SHOP, 6), released(WEB, 6))),
    )
    dead = [ModuleId(SHOP), ModuleId(WEB), ModuleId(CART)]

    found = components_without_previous(made, dead, target(shop=OPEN, web=OLD, cart=OLD))

    assert [each.module_id for each in found] == [WEB]


def test_a_release_ends_the_alert_of_its_module_by_its_own_revision() -> None:
    known = target(shop=OPEN, web=OPEN, cart=OLD)

    after = with_in_force(known, [released(SHOP, 6), released(CART, 6)], BY, "key")

    assert [*ended_alerts(known, after)] == [EndedAlert(ModuleId(SHOP), 6, EPOCH)]


def test_a_removal_ends_it_by_a_revision_that_no_release_has() -> None:
    known = target(shop=OPEN, web=OLD)

    after = without_in_force(known, known.modules)

    assert [*ended_alerts(known, after)] == [EndedAlert(ModuleId(SHOP), 6, EPOCH)]
    assert after.module(ModuleId(SHOP)).last == 6


def test_so_many_alerts_end_with_an_environment_as_a_batch_has_room_for() -> None:
    known = target(**{f"m{number}": OPEN for number in range(ALERTS_ENDED_MAX + 1)})

    after = emptied(known)

    assert len([*ended_alerts(known, after)]) == ALERTS_ENDED_MAX
    assert not any(state.revision for state in after.modules.values())
    (left,) = ended_alerts(after, without_alerts_left(after))
    assert left.revision > OPEN.last
    assert without_alerts_left(target(shop=OPEN)) == target(shop=OPEN)


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
    found = unknown_revisions(target(shop=OLD), {ModuleId(SHOP): live(SHOP, *revisions)})

    assert found == unknown


def test_a_module_without_a_record_is_not_explained_by_any_other() -> None:
    assert unknown_revisions(target(shop=OLD), {ModuleId(WEB): live(WEB, 1)}) == {WEB: 1}
    assert unknown_revisions(DeploymentTarget(TEST), {ModuleId(WEB): live(WEB)}) == {}


def test_after_unknown_releases_revisions_and_tokens_are_given_out_above_theirs() -> None:
    known = replace(target(shop=OLD, cart=OLD), fence=7)

    after = caught_up(known, {ModuleId(SHOP): 9, ModuleId(WEB): 1})

    assert after.modules == {SHOP: replace(OLD, last=9), CART: OLD, WEB: ModuleState(last=1)}
    assert after.fence == 7 + TOKENS_SKIPPED
