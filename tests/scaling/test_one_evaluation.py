"""One evaluation: the most demanding rule, and what limits it; each with its reason."""

import pytest

from function_apps.scaling.model.signal_values import Level, Lost, Total
from shared.contracts.scaling import Direction, ScalingReason
from tests.scaling.policies import LATENCY, REQUESTS, changed, decide, policy

GONE = Lost("the provider is away")


def test_the_most_demanding_rule_decides() -> None:
    decision = decide(policy(REQUESTS, LATENCY), Total(50), Level(400), current=4)

    assert (decision.desired, decision.reason) == (8, ScalingReason.RULE)
    assert decision.message == "latency is 400, its target is 200"
    assert [each.wanted for each in decision.inputs] == [5, 8]


def test_without_rules_the_number_stays_within_the_bounds() -> None:
    content = policy(min=3, max=5).model_copy(update={"rules": ()})

    assert [decide(content, current=number).desired for number in (1, 4, 9)] == [3, 4, 5]


@pytest.mark.parametrize(
    ("loss", "desired"),
    [
        pytest.param({"onSignalLoss": "hold"}, 4, id="hold"),
        pytest.param({"onSignalLoss": "scaleTo", "scaleTo": 6}, 6, id="scale-to-more"),
        pytest.param({"onSignalLoss": "scaleTo", "scaleTo": 2}, 4, id="never-to-fewer"),
        pytest.param({"onSignalLoss": "max"}, 10, id="max"),
    ],
)
def test_without_its_signals_a_policy_does_what_it_says_and_never_less(
    loss: dict[str, object], desired: int
) -> None:
    decision = decide(policy(**loss, rateLimits={"up": []}), GONE, current=4)

    assert (decision.desired, decision.reason) == (desired, ScalingReason.SIGNAL_LOST)
    assert "the provider is away" in decision.message


def test_with_one_signal_lost_the_number_is_not_lowered() -> None:
    content = policy(REQUESTS, LATENCY)

    assert decide(content, Total(1), GONE, current=4).desired == 4
    assert decide(content, Total(1), GONE, current=4).reason is ScalingReason.SIGNAL_LOST


def test_with_one_signal_lost_the_number_may_still_grow() -> None:
    decision = decide(policy(REQUESTS, LATENCY), Total(60), GONE, current=4)

    assert (decision.desired, decision.reason) == (6, ScalingReason.RULE)


def test_without_data_a_lower_max_stops_nobody() -> None:
    assert decide(policy(max=3), GONE, current=4).desired == 4
    assert decide(policy(max=3), Total(100), current=4).desired == 3


@pytest.mark.parametrize(
    ("limits", "seen"),
    [
        pytest.param({"onSignalLoss": "max"}, [GONE], id="of-what-it-says-to-do"),
        pytest.param({"onSignalLoss": "scaleTo", "scaleTo": 20, "max": 3}, [GONE], id="of-more"),
        pytest.param({}, [Total(200), GONE], id="of-another-rule"),
    ],
)
@pytest.mark.parametrize("rates", [{"up": []}, {}], ids=["at-once", "by-rates"])
def test_without_data_no_limit_lowers_the_number(
    limits: dict[str, object], seen: list[Total | Lost], rates: dict[str, object]
) -> None:
    ceiling = {"amount": 3, "per": "hour", "prices": {"instance": 1}}
    rules = (REQUESTS, LATENCY)[: len(seen)]
    content = policy(*rules, **{"costCeiling": ceiling, "rateLimits": rates, **limits})

    decision = decide(content, *seen, current=8, affordable=3)

    assert (decision.desired, decision.reason) == (8, ScalingReason.LIMITED)


@pytest.mark.parametrize(
    ("load", "desired"), [pytest.param(900, 10, id="max"), pytest.param(0, 1, id="min")]
)
def test_the_number_stays_within_min_and_max(load: float, desired: int) -> None:
    decision = decide(policy(rateLimits={"up": [], "down": []}), Total(load))

    assert (decision.desired, decision.reason) == (desired, ScalingReason.LIMITED)


def test_a_cost_ceiling_limits_the_number() -> None:
    decision = decide(policy(), Total(80), affordable=5)

    assert (decision.desired, decision.reason) == (5, ScalingReason.LIMITED)
    assert decision.message == "8 are wanted, and its cost ceiling pays 5"


def test_a_cost_ceiling_never_takes_what_min_guarantees() -> None:
    assert decide(policy(min=3), Total(80), affordable=1).desired == 3


def test_a_worker_goes_to_none_where_that_is_possible() -> None:
    content = policy({"signal": "queueLength", "target": 5}, min=0)

    assert decide(content, Total(0), may_be_none=True).desired == 0
    assert decide(content, Total(0), may_be_none=False).desired == 1
    assert decide(content, Total(12), current=0, may_be_none=True).desired == 3


def test_a_rule_that_cannot_see_at_none_keeps_it_at_none() -> None:
    decision = decide(policy(min=0), GONE, current=0, may_be_none=True)

    assert (decision.desired, decision.reason) == (0, ScalingReason.SIGNAL_LOST)


def test_down_only_to_what_was_wanted_lately() -> None:
    decision = decide(policy(), Total(10), current=8, recommended=[6, 2])

    assert decision.desired == 6
    assert decision.recommended == 1


def test_after_a_change_the_number_is_not_lowered_for_the_cooldown() -> None:
    content = policy(cooldown="PT1M", stabilisation="PT0S")
    soon = decide(content, Total(10), current=4, changes=(changed(59, 2),))
    late = decide(content, Total(10), current=4, changes=(changed(61, 2),))

    assert (soon.desired, soon.reason) == (4, ScalingReason.COOLDOWN)
    assert late.desired == 1


def test_a_cooldown_does_not_keep_the_number_from_growing() -> None:
    assert decide(policy(), Total(60), changes=(changed(30, -2),)).desired == 6


def test_while_a_rollout_is_under_way_none_is_stopped() -> None:
    down = decide(policy(), Total(10), is_rolling_out=True)
    up = decide(policy(), Total(60), is_rolling_out=True)

    assert (down.desired, down.reason) == (4, ScalingReason.ROLLOUT)
    assert (up.desired, up.reason) == (6, ScalingReason.RULE)


@pytest.mark.parametrize(
    ("held", "load", "desired"),
    [
        pytest.param(Direction.DOWN, 10, 4, id="down-is-held"),
        pytest.param(Direction.DOWN, 60, 6, id="up-goes-on"),
        pytest.param(Direction.UP, 60, 4, id="up-is-held"),
        pytest.param(Direction.UP, 10, 1, id="down-goes-on"),
        pytest.param(Direction.BOTH, 60, 4, id="both-are-held"),
    ],
)
def test_a_pause_holds_its_direction(held: Direction, load: float, desired: int) -> None:
    decision = decide(policy(), Total(load), held=held)

    assert decision.desired == desired
    assert (decision.reason is ScalingReason.PAUSED) is (desired == 4)


def test_a_number_moves_no_faster_than_its_rate() -> None:
    up = policy(max=100, rateLimits={"up": [{"unit": "instances", "value": 2, "period": "PT1M"}]})

    assert decide(up, Total(900)).desired == 6
    assert decide(up, Total(900), current=6, changes=(changed(30, 2),)).desired == 6
