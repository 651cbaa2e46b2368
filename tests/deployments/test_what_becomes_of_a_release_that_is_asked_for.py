"""A release that is asked for enters the queues of its modules, or is told all that refuses it."""

from dataclasses import replace
from typing import Any, Final

from function_apps.deployments.model.configuration import Configurations
from function_apps.deployments.model.deployment_target import DeploymentTarget
from function_apps.deployments.model.module_queue import keys_of
from function_apps.deployments.model.release_decision import ReleaseDecision, decide_release
from shared.contracts.deployments import Deploy, DeploymentKind
from shared.contracts.releases import ConfigurationPin
from shared.contracts.strategies import OnConflict
from shared.contracts.values import Stage
from shared.kernel.errors import Refused
from shared.kernel.ids import ModuleId
from tests.deployments.driven import CART, SHOP, TEST, WEB
from tests.deployments.test_a_refusal_says_what_was_expected import CONTEXT, TARGET
from tests.deployments.test_one_change_per_module import claim
from tests.deployments.test_what_an_undo_asks_for import CTX, IDS, component

PIN: Final = ConfigurationPin(environment=4, hash="sha256:" + "4" * 64)
PINNED: Final = replace(CONTEXT, configurations=Configurations(pins={ModuleId(SHOP): PIN}))
BUSY: Final = replace(TARGET, fence=5, queue=(replace(claim("a", SHOP), token=5),))


def decided(
    *components: Any, target: DeploymentTarget = TARGET, **more: Any
) -> tuple[ReleaseDecision, list[Refused]]:
    """Return what becomes of a release of *components*, and each refusal of it."""
    command = Deploy(environment_id=TEST, release_ref="two", components=components, **more)
    refusals: list[Refused] = []
    decision = decide_release(
        command, keys_of(command), PINNED, None, target, IDS, CTX, refusals.append
    )
    return decision, refusals


def test_it_is_a_release_in_the_project_and_stage_of_its_environment_with_its_configuration() -> (
    None
):
    decision, refusals = decided(component(dependsOn=[CART]), component(CART))

    assert refusals == []
    assert decision.entered is not None
    made = decision.entered.deployment
    assert (made.kind, made.order) == (DeploymentKind.RELEASE, (CART, SHOP))
    assert (made.project_id, made.stage) == ("proj-shop", Stage.TEST)
    assert made.pins == {SHOP: PIN}
    assert [each.module_id for each in decision.plan.components] == [SHOP, CART]


def test_where_nothing_is_ahead_it_starts_with_the_next_token() -> None:
    target = replace(TARGET, fence=5, queue=(replace(claim("a", CART), token=5),))

    decision, _ = decided(component(), target=target)

    assert decision.entered is not None
    made = decision.entered.deployment
    assert made.token == 6
    assert [each.deployment for each in decision.entered.admitted] == [made.deployment_id]


def test_behind_another_of_its_modules_it_waits_without_a_token() -> None:
    decision, _ = decided(component(), target=BUSY)

    assert decision.entered is not None
    assert (decision.entered.deployment.token, decision.entered.admitted) == (0, ())
    assert decision.entered.target.queue[0] == BUSY.queue[0]


def test_what_waits_says_what_it_takes_and_needs_and_which_command_it_is() -> None:
    asked = component(pathPrefix="/shop", dependsOn=[WEB, CART])
    command = Deploy(environment_id=TEST, release_ref="two", components=(asked,))
    keys = keys_of(command)

    decision, _ = decided(asked, target=BUSY)

    assert decision.entered is not None
    entry = decision.entered.target.queue[-1]
    assert (entry.path_prefixes, entry.depends_on) == (("/shop",), (CART, WEB))
    assert (entry.key, entry.content, entry.base) == (keys.natural, keys.content, keys.base)


def test_a_plan_is_made_behind_all_that_is_in_the_queue() -> None:
    ahead = replace(claim("a", WEB), path_prefixes=("/shop",))

    _, refusals = decided(component(pathPrefix="/shop"), target=replace(TARGET, queue=(ahead,)))

    assert [each.code for each in refusals[0].details] == ["RouteTaken"]


def test_what_is_refused_for_several_reasons_is_told_all_of_them_and_enters_nothing() -> None:
    assert TARGET.environment is not None
    unbound = replace(TARGET, environment=replace(TARGET.environment, stage=Stage.PROD))

    decision, refusals = decided(component(command=[]), target=unbound)

    assert [each.code for each in refusals] == ["PlanRefused", "TenantBindingRequired"]
    assert decision.entered is None
    assert decision.plan.refusals


def test_one_that_is_not_to_wait_is_refused_where_it_would() -> None:
    decision, refusals = decided(component(), target=BUSY, on_conflict=OnConflict.REJECT)

    assert [each.code for each in refusals] == ["QueueTaken"]
    assert decision.entered is None
