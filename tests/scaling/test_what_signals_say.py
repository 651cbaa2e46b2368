"""The value that a signal shows, the load that is recorded of it, and what a replay makes of it."""

import pytest

from function_apps.scaling.model.replay import Recorded, replay
from function_apps.scaling.model.replica_ratio import InstanceUse
from function_apps.scaling.model.sample import Load, loads_of
from function_apps.scaling.model.signal_values import (
    Instances,
    Level,
    Lost,
    Total,
    Uses,
    apply_rule,
)
from shared.contracts.scaling import ScalingDefaults, ScalingReason
from shared.contracts.values import Resources
from tests.scaling.policies import LATENCY, NOW, REQUESTS, decide, policy

CPU = {"signal": "cpu", "target": 50}
HALF = Uses((InstanceUse(40), InstanceUse(60), InstanceUse(90, is_ready=False), InstanceUse(None)))


def test_the_use_is_the_average_of_those_that_are_ready_and_known() -> None:
    assert HALF.value == 50
    assert Uses((InstanceUse(None), InstanceUse(5, is_ready=False))).value is None


def test_a_use_keeps_the_number_of_instances_that_there_are() -> None:
    [rule] = policy(CPU).rules
    near = Uses((InstanceUse(51), InstanceUse(51)))

    asked = apply_rule(rule, near, Instances(7, 2), 0.1)
    unknown = apply_rule(rule, Uses((InstanceUse(None),)), Instances(1, 1), 0.1)

    assert (asked.value, asked.wanted, asked.reason) == (51, 7, "")
    assert (unknown.wanted, unknown.reason) == (None, "no instance that is ready has a value")


def test_a_load_is_recorded_of_what_is_known_and_whether_it_is_shared() -> None:
    content = policy(CPU, REQUESTS, LATENCY)

    loads = loads_of(content, {0: HALF, 1: Total(30), 2: Level(200)}, 4)

    assert loads == {
        "cpu": Load(200, is_shared=True),
        "requests": Load(30, is_shared=True),
        "latency": Load(200, is_shared=False),
    }
    unknown = {0: Uses(()), 1: Lost("away"), 2: Level(float("inf"))}
    assert loads_of(content, unknown, 4) == {}


def test_without_rules_the_policy_is_the_reason() -> None:
    content = policy().model_copy(update={"rules": ()})

    assert decide(content, current=4).reason is ScalingReason.POLICY


def test_a_use_is_unknown_where_a_replay_has_no_instance() -> None:
    content = policy(CPU, {"signal": "queueLength", "target": 5}, min=0)
    load = [Recorded(NOW, 0, {"cpu": Load(80, is_shared=True)})]

    result = replay(content, load, Resources(), ScalingDefaults(), may_be_none=True)

    assert result.steps[0].load is None


def test_hours_and_costs_of_a_replay_have_four_digits() -> None:
    ceiling = {"amount": 9, "per": "hour", "prices": {"instance": 1}}
    times = [NOW, NOW.replace(second=7)]
    load = [Recorded(at, 1, {"requests": Load(10, is_shared=True)}) for at in times]

    result = replay(
        policy(REQUESTS, costCeiling=ceiling), load, Resources(), ScalingDefaults(),
        may_be_none=False,
    )  # fmt: skip

    assert result.replica_hours == result.recorded_replica_hours == pytest.approx(0.0019)
    assert result.cost == result.recorded_cost == 0.0019
