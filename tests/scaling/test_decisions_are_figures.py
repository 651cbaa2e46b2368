"""Decisions of scaling are counted by reason and direction; wanted and actual instances are summed.

They are read where an operator reads them, from an exporter.
"""

from collections.abc import Mapping
from dataclasses import replace

from shared.telemetry.names import (
    DIRECTION,
    KIND,
    REASON,
    SCALING_ACTIONS,
    SCALING_REPLICAS,
    Metric,
)
from shared.telemetry.work import Telemetry, Value
from tests.kit.virtual_time import run_virtual
from tests.scaling.scaled import ONE, Scaling, policy_of, serving


class Kept(Telemetry):
    """Keeps what is recorded: of a counter the sums, of a gauge the last value."""

    is_on = True

    def __init__(self) -> None:
        self.counted: dict[tuple[Value, Value], float] = {}
        self.gauged: dict[Value, float] = {}

    def add(self, metric: Metric, value: float, attributes: Mapping[str, Value]) -> None:
        if metric is SCALING_ACTIONS:
            key = attributes[REASON], attributes[DIRECTION]
            self.counted[key] = self.counted.get(key, 0) + value
        elif metric is SCALING_REPLICAS:
            self.gauged[attributes[KIND]] = value


async def observed(requests_per_s: float) -> tuple[Scaling, Kept]:
    """Return scaling of one service under load, and what it records."""
    made, kept = await serving(replicas=2), Kept()
    made.app = replace(made.app, service=replace(made.app.service, telemetry=kept))
    made.world.requests_per_s = requests_per_s
    return made, kept


def test_each_evaluation_is_counted_with_its_reason_and_direction() -> None:
    async def main() -> None:
        made, kept = await observed(60)
        await made.apply()

        await made.evaluate(3)

        decisions = await made.decisions()
        assert [each["reason"] for each in decisions] == ["Rule", "Rule", "SignalLost"]
        assert kept.counted == {("SignalLost", "none"): 1, ("Rule", "up"): 1, ("Rule", "none"): 1}

    run_virtual(main())


def test_limited_and_paused_decisions_are_told_apart() -> None:
    async def main() -> None:
        made, kept = await observed(60)
        await made.apply(max=3)
        await made.evaluate(2)
        body = {"direction": "both", "length": "PT1H"}
        await made.call("POST", f"{ONE}/pause", body, policyId=policy_of())
        made.world.requests_per_s = 0

        await made.evaluate(8)

        reasons = {reason for reason, _ in kept.counted}
        assert {"Limited", "Paused"} <= reasons
        assert ("Paused", "down") not in kept.counted

    run_virtual(main())


def test_wanted_and_actual_instances_are_those_of_the_last_run() -> None:
    async def main() -> None:
        made, kept = await observed(60)
        await made.apply()

        await made.evaluate(2)
        first = dict(kept.gauged)
        await made.evaluate(1)

        (newest, *_) = await made.decisions()
        assert kept.gauged == {"desired": newest["desired"], "actual": newest["actual"]}
        assert kept.gauged == {"desired": 6, "actual": 6}
        assert first["desired"] == 6

    run_virtual(main())


def test_what_could_not_be_read_is_counted_and_in_no_sum() -> None:
    async def main() -> None:
        made, kept = await observed(60)
        await made.apply()
        await made.evaluate()
        kept.counted.clear()
        made.world.unreadable = "the surface is away"

        await made.evaluate()

        assert kept.counted == {("SignalLost", "none"): 1}
        assert kept.gauged == {"desired": 0, "actual": 0}

    run_virtual(main())
