"""What-if: the recorded load under a proposed policy, in replicas, objective and cost."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from time import process_time
from typing import Any

import pytest

from function_apps.scaling.model.replay import Recorded, replay
from function_apps.scaling.model.replay import recorded as replayable
from function_apps.scaling.model.sample import Load, Sample, loads_of, sample_of
from function_apps.scaling.model.signal_values import Total
from shared.contracts.scaling import ScalingDefaults, ScalingReason
from shared.contracts.scaling_what_if import WHAT_IF_STEPS_MAX, WhatIfResult
from shared.contracts.values import Resources
from shared.kernel.clock import isoformat
from tests.kit.virtual_time import EPOCH, run_virtual
from tests.scaling.policies import LATENCY, REQUESTS, policy
from tests.scaling.scaled import ONE, RULE, policy_of, serving, shown

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
AT_ONCE = {"stabilisation": "PT0S", "cooldown": "PT0S", "rateLimits": {"up": [], "down": []}}


def recorded(
    *each: tuple[int, float], signal: str = "requests", shared: bool = True
) -> list[Recorded]:
    """Return one evaluation a minute: how many there were, and the load."""
    return [
        Recorded(NOON + timedelta(minutes=place), current, {signal: Load(value, shared)})
        for place, (current, value) in enumerate(each)
    ]


def played(load: list[Recorded], content: Any, resources: Resources | None = None) -> WhatIfResult:
    return replay(content, load, resources or Resources(), ScalingDefaults(), may_be_none=False)


def test_a_shared_load_is_spread_over_as_many_as_there_would_have_been() -> None:
    result = played(recorded((4, 40), (4, 80), (4, 80), (4, 20)), policy(REQUESTS, **AT_ONCE))

    assert [step.desired for step in result.steps] == [4, 8, 8, 2]
    assert [step.recorded for step in result.steps] == [4, 4, 4, 4]
    # Of each step with as many as were wanted before it: 10, 20, 10 and 2.5 of 10 each.
    assert [step.load for step in result.steps] == [1.0, 2.0, 1.0, 0.25]
    assert result.objective_met == 0.75
    assert (result.replicas_max, result.changes) == (8, 2)


@pytest.mark.parametrize(
    ("away", "said"),
    [
        pytest.param([], "", id="none"),
        pytest.param([25], "a gap of 25 min", id="one"),
        pytest.param([25, 95], "2 gaps of 120 min", id="two"),
    ],
)
def test_it_says_that_nothing_was_recorded_for_a_while(away: list[int], said: str) -> None:
    load, at = recorded((4, 40), (4, 40)), NOON + timedelta(minutes=1)
    for minutes in away:
        at += timedelta(minutes=minutes)
        load.append(replace(load[0], at=at))

    assumed = [each for each in played(load, policy(REQUESTS)).assumptions if "recorded" in each]

    assert len(assumed) == bool(away)
    assert said in "".join(assumed)


def test_a_latency_changes_with_the_number() -> None:
    load = recorded((4, 400), (4, 400), signal="latency", shared=False)

    result = played(load, policy(LATENCY, **AT_ONCE))

    assert [step.desired for step in result.steps] == [8, 8]
    assert [step.load for step in result.steps] == [2.0, 1.0]


def test_cost_is_that_of_both_by_the_price_list() -> None:
    content = policy(
        REQUESTS, **AT_ONCE,
        costCeiling={"amount": 9, "per": "hour", "prices": {"instance": 1, "cpu": 2}},
    )  # fmt: skip
    load = recorded(*[(4, 20.0)] * 61)

    result = played(load, content, Resources(cpu=1.0))

    assert result.recorded_cost == pytest.approx(12.0)
    assert result.cost == pytest.approx(6.0)
    assert result.currency == "EUR"


def test_a_ceiling_is_seen_before_it_is_applied() -> None:
    ceiling = {"amount": 2, "per": "hour", "prices": {"instance": 1}}
    result = played(recorded((2, 90), (2, 90)), policy(REQUESTS, **AT_ONCE, costCeiling=ceiling))

    assert [step.desired for step in result.steps] == [2, 2]
    assert result.objective_met == 0.0


def test_a_signal_that_was_not_recorded_lowers_nothing() -> None:
    result = played(recorded((4, 1), (4, 1)), policy(LATENCY, **AT_ONCE))

    assert [step.desired for step in result.steps] == [4, 4]
    assert result.objective_met is None


def queue(query: str, target: float = 5) -> dict[str, Any]:
    return {"signal": "queueLength", "target": target, "settings": {"query": query}}


def test_two_rules_of_one_signal_are_replayed_each_with_its_own_load() -> None:
    jobs, mails = queue("sum(jobs)"), queue("sum(mails)")
    content = policy(jobs, mails, max=50, **AT_ONCE)
    loads = loads_of(content, {0: Total(100.0), 1: Total(1.0)}, 1)
    load = [Recorded(NOON + timedelta(minutes=place), 1, loads) for place in range(3)]

    assert [step.desired for step in played(load, content).steps] == [20, 20, 20]
    other_target = policy(queue("sum(mails)", 0.5), max=50, **AT_ONCE)
    assert [step.desired for step in played(load, other_target).steps] == [2, 2, 2]


def test_a_rule_by_another_query_than_was_recorded_lowers_nothing() -> None:
    loads = loads_of(policy(queue("sum(jobs)")), {0: Total(1.0)}, 4)
    load = [Recorded(NOON + timedelta(minutes=place), 4, loads) for place in range(2)]

    result = played(load, policy(queue("sum(mails)"), **AT_ONCE))

    assert [step.desired for step in result.steps] == [4, 4]
    assert result.objective_met is None


def test_a_load_that_an_earlier_version_recorded_counts_for_a_rule_without_settings() -> None:
    row = Sample(isoformat(NOON), 1, ScalingReason.RULE, "", 4).row("key")
    stored = replace(row, values={**row.values, "loads": '{"requests":[80,true]}'})

    result = played([*replayable([sample_of(stored)])], policy(REQUESTS, **AT_ONCE))

    assert [step.desired for step in result.steps] == [8]


def test_stabilisation_and_rates_are_those_of_the_proposed_policy() -> None:
    up = [{"unit": "instances", "value": 2, "period": "PT1M"}]
    content = policy(REQUESTS, stabilisation="PT2M", cooldown="PT0S", rateLimits={"up": up})

    result = played(recorded((2, 20), (2, 90), (2, 90), (2, 20), (2, 20), (2, 20)), content)

    assert [step.desired for step in result.steps] == [2, 4, 6, 6, 2, 2]


def test_a_schedule_opens_by_the_time_of_the_recording() -> None:
    times = {"start": "2 12 * * *", "end": "4 12 * * *"}
    rule = {"signal": "schedule", "target": 5, "settings": times}

    result = played(recorded(*[(1, 0.0)] * 6), policy(rule, **AT_ONCE))

    assert [step.desired for step in result.steps] == [1, 1, 5, 5, 1, 1]


def test_a_replay_has_a_bound_and_says_so() -> None:
    result = played(recorded(*[(1, 1.0)] * (WHAT_IF_STEPS_MAX + 1)), policy(REQUESTS))

    assert len(result.steps) == WHAT_IF_STEPS_MAX
    assert not result.is_whole


def test_nothing_recorded_is_an_empty_answer() -> None:
    result = played([], policy(REQUESTS))

    assert (result.steps, result.replica_hours, result.objective_met) == ((), 0.0, None)


def test_the_load_of_a_policy_in_force_is_replayed_and_nothing_changes() -> None:
    async def main() -> None:
        made = await serving()
        await made.apply()
        made.world.requests_per_s = 40
        await made.evaluate(3)
        before = await made.policy()
        await made.app.service.clock.sleep(1)
        asked = {
            "policy": {"min": 1, "max": 10, "rules": [RULE | {"target": 5}], **AT_ONCE},
            "fromAt": isoformat(EPOCH),
            "untilAt": isoformat(made.app.service.clock.now()),
        }
        replayed = shown(await made.call("POST", f"{ONE}/what-if", asked, policyId=policy_of()))

        assert [step["recorded"] for step in replayed["steps"]] == [2, 2, 4]
        assert replayed["steps"][-1]["desired"] == 8
        assert (await made.policy(), made.replicas()) == (before, 4)

    run_virtual(main())


NEVER = {"start": "0 0 30 feb *", "end": "0 0 31 apr,jun *"}


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param({"signal": "schedule", "target": 5, "settings": NEVER}, id="days-of-no-month"),
        pytest.param({"signal": "cpu", "target": 1}, id="a-thousand-instances"),
    ],
)
def test_the_largest_replay_does_not_hold_up_the_host(rule: dict[str, Any]) -> None:
    content = policy(*[rule] * 10, min=1000, max=1000)
    load = recorded(*[(5, 300.0)] * WHAT_IF_STEPS_MAX, signal="cpu")
    began_s = process_time()

    result = played(load, content, Resources(cpu=0.5))

    assert {step.desired for step in result.steps} == {1000}
    assert process_time() - began_s < 5


@pytest.mark.parametrize("signal", ["requests", "cpu"])
def test_a_tiny_target_asks_for_the_most_and_is_no_error(signal: str) -> None:
    content = policy({"signal": signal, "target": 5e-324}, **AT_ONCE)

    result = played(recorded((4, 1e9), (4, 1e9), signal=signal), content, Resources(cpu=0.5))

    assert [step.desired for step in result.steps] == [10, 10]


def test_a_tiny_price_pays_for_the_most_and_is_no_error() -> None:
    ceiling = {"amount": 1e9, "per": "hour", "prices": {"instance": 5e-324}}

    result = played(recorded((4, 1000)), policy(REQUESTS, **AT_ONCE, costCeiling=ceiling))

    assert [step.desired for step in result.steps] == [10]
