"""The steps that a strategy makes, who goes first, and what a step remembers."""

from dataclasses import replace
from datetime import timedelta

import pytest

from function_apps.deployments.model.rollout_steps import (
    RolloutStep,
    order_of,
    steps_of,
    with_share,
    without_analysis,
)
from shared.contracts.components import Component
from shared.contracts.deployments import StepShare
from shared.contracts.gates import Verdict
from shared.contracts.strategies import RolloutDefaults, Strategy, StrategyKind, TrafficStep
from shared.contracts.values import ModuleId
from tests.kit.releases import a_component
from tests.kit.told import DIGEST

SHOP, CART, WEB = (ModuleId(f"module-{each}") for each in ("shop", "cart", "web"))

CANARY = Strategy(
    steps=(TrafficStep(weight=10, pause=timedelta(minutes=2)), TrafficStep(weight=100))
)
RULES = RolloutDefaults()


def of(module: ModuleId, *needs: ModuleId) -> Component:
    made = Component.model_validate(a_component(DIGEST, "1.0", module))
    return made.model_copy(update={"depends_on": needs})


def weights(strategy: Strategy, *, baseline: bool = True, components: bool = True) -> list[int]:
    made = steps_of(strategy, RULES, has_baseline=baseline, has_components=components)
    return [each.weight for each in made]


def test_each_step_has_its_weight_and_its_pause() -> None:
    first, last = steps_of(CANARY, RULES, has_baseline=True, has_components=True)

    assert (first.index, first.name, first.weight, first.pause_s) == (0, "weight 10 %", 10, 120.0)
    assert (last.index, last.name, last.weight, last.pause_s) == (1, "weight 100 %", 100, 0.0)


def test_all_at_once_where_there_is_nothing_to_compare_with() -> None:
    assert weights(CANARY, baseline=False) == [100]
    assert weights(CANARY.model_copy(update={"kind": StrategyKind.RECREATE})) == [100]
    assert weights(CANARY, components=False) == []
    assert weights(Strategy()) == [each.weight for each in RULES.steps()]


def test_dependencies_go_first_and_the_others_as_they_are_given() -> None:
    assert order_of([of(WEB), of(SHOP), of(CART)]) == ((WEB, SHOP, CART), ())
    assert order_of([of(WEB, CART), of(SHOP), of(CART)]) == ((SHOP, CART, WEB), ())
    assert order_of([of(WEB, ModuleId("module-there")), of(SHOP)]) == ((WEB, SHOP), ())


def test_a_cycle_orders_nothing_and_is_named() -> None:
    order, cycle = order_of([of(WEB, CART), of(CART, WEB)])

    assert order == ()
    assert cycle[0] == cycle[-1]
    assert {*cycle} == {WEB, CART}


def test_a_module_has_its_own_share_else_that_of_the_step() -> None:
    step = with_share(RolloutStep(0, "s", 10), StepShare(module_id=WEB, weight=40, reason="r"))

    assert (step.share_of(WEB), step.share_of(SHOP), step.share) == (40, 10, 40)
    again = with_share(step, StepShare(module_id=WEB, weight=5, reason="r"))
    assert (again.share_of(WEB), again.share, len(again.shares)) == (5, 10, 1)
    both = with_share(step, StepShare(module_id=SHOP, weight=20, reason="r"))
    assert (both.share_of(WEB), both.share_of(SHOP)) == (40, 20)


@pytest.mark.parametrize("verdict", [None, Verdict.FAIL, Verdict.INCONCLUSIVE])
def test_a_step_is_judged_again_as_if_it_never_was_unless_it_passed(
    verdict: Verdict | None,
) -> None:
    begun = RolloutStep(0, "s", 10, started_at="then")  # type: ignore[arg-type]
    judged = replace(
        begun, asked_at="t", deadline_at="t", gates=("g",), verdict=verdict, marked=True,
        ended_at="t", looked_at="t", away_s=3.0,
    )  # type: ignore[arg-type]  # fmt: skip

    assert without_analysis(judged) == begun
    passed = replace(judged, verdict=Verdict.PASS)
    assert without_analysis(passed) is passed
