"""A policy decides the number of instances: under load, without data, beside a rollout."""

from datetime import timedelta
from typing import Any

import pytest

from function_apps.scaling.errors import PolicyInvalid, ServiceUnknown
from tests.kit.messages import envelope_of
from tests.kit.open_alerts import require_listed
from tests.kit.told import WEB, component_of, ended, released, run, service_of
from tests.kit.virtual_time import run_virtual
from tests.scaling.scaled import (
    ONE,
    QUEUED,
    RULE,
    Scaling,
    burning,
    cancelled,
    gave_up,
    policy_of,
    retired,
    scaling,
    serving,
    step,
    working,
)


async def loaded(requests_per_s: float, evaluations: int = 3, **changes: object) -> Scaling:
    made = await serving()
    await made.apply(**changes)
    made.world.requests_per_s = requests_per_s
    await made.evaluate(evaluations)
    return made


def test_load_raises_the_number_to_what_the_target_asks_for() -> None:
    async def main() -> None:
        made = await loaded(60)

        assert made.replicas() == 6
        policy = await made.policy()
        assert (policy["status"], policy["desired"]) == ("Enforced", 6)
        assert made.told()[-1] | {"revision": 0} == {
            "aggregateId": policy_of(),
            "revision": 0,
            "policyId": policy_of(),
            "serviceId": service_of(),
            "environmentId": policy["environmentId"],
            "moduleId": WEB,
            "min": 1,
            "max": 10,
            "desired": 6,
            "actual": 6,
            "actuator": "platform",
            "rules": [RULE | {"settings": {}}],
            "status": "Enforced",
            "reason": "Rule",
            "policyRevision": 1,
            "leftReplicas": None,
        }

    run_virtual(main())


def test_each_decision_has_its_inputs_and_its_reason() -> None:
    async def main() -> None:
        made = await loaded(60, evaluations=2)
        decision = (await made.decisions())[0]

        assert decision["desired"] == 6
        assert decision["actual"] == 2
        assert decision["reason"] == "Rule"
        assert decision["signal"] == "requests"
        assert decision["inputs"][0]["value"] == pytest.approx(30, rel=0.1)
        assert decision["inputs"][0]["wanted"] == 6
        assert "its target is 10" in decision["message"]

    run_virtual(main())


def test_the_number_falls_when_nothing_more_was_wanted_for_the_stabilisation() -> None:
    async def main() -> None:
        made = await loaded(60)
        made.world.requests_per_s = 10
        await made.evaluate(4)
        held = made.replicas()
        await made.evaluate(3)

        assert (held, made.replicas()) == (6, 1)

    run_virtual(main())


def test_a_surface_that_cannot_be_read_changes_nothing() -> None:
    async def main() -> None:
        made = await loaded(60)
        before = await made.policy()
        made.world.unreadable = "its API is away"
        await made.evaluate(10)
        decision = (await made.decisions())[0]
        made.world.unreadable = ""

        assert made.replicas() == 6
        assert await made.policy() == before
        assert (decision["desired"], decision["reason"]) == (None, "SignalLost")
        assert decision["message"] == "its API is away"

    run_virtual(main())


def test_without_a_signal_the_number_is_kept_and_a_person_is_told() -> None:
    async def main() -> None:
        made = await serving(replicas=3)
        await made.apply(QUEUED)
        made.gauge.value = None
        await made.evaluate(7)
        (raised,) = made.told("RuntimeAlertRaised")
        await require_listed(made.bench, "ScalingSignalLost")
        made.gauge.value = 15.0
        await made.evaluate(2)
        (cleared,) = made.told("RuntimeAlertCleared")
        await require_listed(made.bench)

        assert made.replicas() == 3
        assert raised["alert"] == cleared["alert"] == "ScalingSignalLost"
        assert raised["raisedAt"] == cleared["raisedAt"]
        assert cleared["revision"] > raised["revision"]

    run_virtual(main())


def test_deleting_a_policy_ends_the_alert_of_its_lost_signal() -> None:
    async def main() -> None:
        made = await serving(replicas=3)
        await made.apply(QUEUED)
        made.gauge.value = None
        await made.evaluate(7)
        await made.call("DELETE", ONE, policyId=policy_of())
        (raised,) = made.told("RuntimeAlertRaised")
        (cleared,) = made.told("RuntimeAlertCleared")

        assert (cleared["alert"], cleared["raisedAt"]) == (raised["alert"], raised["raisedAt"])

    run_virtual(main())


def test_a_signal_that_is_lost_is_told_whatever_limits_the_number() -> None:
    async def main() -> None:
        made = await serving(replicas=3)
        ceiling = {"amount": 3, "per": "hour", "prices": {"instance": 1}}
        await made.apply(QUEUED, onSignalLoss="max", costCeiling=ceiling)
        made.gauge.value = None
        await made.evaluate(7)

        assert (await made.decisions())[0]["reason"] == "Limited"
        assert [each["alert"] for each in made.told("RuntimeAlertRaised")] == ["ScalingSignalLost"]

    run_virtual(main())


def test_a_value_that_is_larger_than_any_number_is_a_signal_that_is_lost() -> None:
    async def main() -> None:
        made = await serving(replicas=3, resources={"cpu": 0.5})
        query = {"source": "prometheus", "query": "sum(cpu[{{window}}])"}
        await made.apply({"signal": "cpu", "target": 60, "settings": query})
        made.gauge.value = 1e308
        await made.evaluate(2)

        assert [each["reason"] for each in await made.decisions()] == ["SignalLost"] * 2
        assert made.replicas() == 3

    run_virtual(main())


def test_a_policy_with_a_tiny_target_is_evaluated() -> None:
    async def main() -> None:
        made = await serving()
        await made.apply({"signal": "requests", "target": 5e-324})
        made.world.requests_per_s = 50
        await made.evaluate(3)

        assert made.replicas() == 10

    run_virtual(main())


def test_a_quiet_policy_is_not_written() -> None:
    async def main() -> None:
        made = await loaded(20)
        before = (await made.policy())["revision"]
        told = len(made.told())
        await made.evaluate(10)

        assert (await made.policy())["revision"] == before
        assert len(made.told()) == told

    run_virtual(main())


def test_a_worker_goes_to_none_and_comes_back_for_a_message() -> None:
    async def main() -> None:
        made = await working(replicas=2)
        await made.apply(QUEUED, min=0, stabilisation="PT0S", cooldown="PT0S")
        made.gauge.value = 0.0
        await made.evaluate()
        asleep = made.replicas()
        made.gauge.value = 12.0
        await made.evaluate()

        assert (asleep, made.replicas()) == (0, 3)

    run_virtual(main())


def test_while_a_rollout_is_under_way_none_is_stopped() -> None:
    async def main() -> None:
        made = await loaded(60, stabilisation="PT0S", cooldown="PT0S")
        await made.hear(step(2))
        made.world.requests_per_s = 10
        await made.evaluate(3)
        held, reason = made.replicas(), (await made.decisions())[0]["reason"]
        await made.hear(ended(2, [released()], at=made.app.service.clock.now()))
        await made.evaluate(2)

        assert (held, reason) == (6, "Rollout")
        assert made.replicas() == 1

    run_virtual(main())


def test_a_rollout_that_shows_on_the_surface_holds_while_its_message_is_late() -> None:
    async def main() -> None:
        made = await loaded(60, stabilisation="PT0S", cooldown="PT0S")
        await run(made.world, revision=2, replicas=2, port=8080, path_prefix="/")
        made.world.requests_per_s = 10
        await made.evaluate(3)

        assert made.replicas() == 6
        assert (await made.decisions())[0]["reason"] == "Rollout"

    run_virtual(main())


@pytest.mark.parametrize("over", [gave_up, cancelled])
def test_a_rollout_that_ended_without_a_release_holds_no_longer(over: object) -> None:
    async def main() -> None:
        made = await loaded(60, stabilisation="PT0S", cooldown="PT0S")
        await made.hear(step(2))
        await made.hear(over(2, 10_000.0))  # type: ignore[operator]
        await made.hear(step(2))  # late
        made.world.requests_per_s = 10
        await made.evaluate(2)

        assert made.replicas() == 1

    run_virtual(main())


def test_a_rollout_that_ended_holds_no_longer_after_many_that_never_began() -> None:
    async def main() -> None:
        made = await loaded(60, stabilisation="PT0S", cooldown="PT0S")
        await made.hear(step(2), gave_up(2, 10_000.0))
        await made.hear(*(gave_up(number, 10_000.0 + number) for number in range(3, 30)))
        made.world.requests_per_s = 10
        await made.evaluate(2)

        assert made.replicas() == 1

    run_virtual(main())


def test_a_rollout_that_never_says_its_end_holds_for_a_day() -> None:
    async def main() -> None:
        made = await loaded(60, stabilisation="PT0S", cooldown="PT0S")
        await made.hear(step(2))
        made.world.requests_per_s = 10
        await made.app.service.clock.sleep(timedelta(hours=24).total_seconds())
        await made.evaluate(2)

        assert made.replicas() == 1

    run_virtual(main())


def test_a_newer_revision_that_nobody_manages_holds_for_a_day_from_when_it_is_seen() -> None:
    async def main() -> None:
        made = await loaded(60, stabilisation="PT0S", cooldown="PT0S")
        await run(made.world, revision=2, replicas=2, port=8080, path_prefix="/")
        made.world.requests_per_s = 10
        await made.evaluate()
        await made.app.service.clock.sleep(timedelta(hours=23).total_seconds())
        await made.evaluate(3)
        held, why = made.replicas(), (await made.decisions())[0]["reason"]
        await made.app.service.clock.sleep(timedelta(hours=1).total_seconds())
        await made.evaluate(3)
        let_go = made.replicas()
        await run(made.world, revision=3, replicas=2, port=8080, path_prefix="/")
        made.world.requests_per_s = 60
        await made.evaluate(2)
        made.world.requests_per_s = 10
        await made.evaluate(2)

        assert (held, why, let_go) == (6, "Rollout", 1)
        # Another one is another rollout, which is waited for anew.
        assert made.replicas() == 6

    run_virtual(main())


def test_during_a_rollout_each_version_with_traffic_gets_as_many() -> None:
    async def main() -> None:
        made = await loaded(20)
        await run(made.world, revision=2, replicas=2, port=8080, path_prefix="/")
        await made.app.service.clock.sleep(5)
        await made.serve(r1=90, r2=10)
        await made.hear(step(2))
        made.world.requests_per_s = 60
        await made.evaluate(2)

        assert (made.replicas(1), made.replicas(2)) == (6, 6)

    run_virtual(main())


def test_who_was_overtaken_by_a_deployment_writes_nothing() -> None:
    async def main() -> None:
        made = await loaded(20)
        made.world.component(component_of()).fence = 1
        overtaken = made.surface.observe

        async def observe(component: object) -> object:
            seen = await overtaken(component)  # type: ignore[arg-type]
            made.world.component(component_of()).fence += 1
            return seen

        made.surface.observe = observe  # type: ignore[method-assign,assignment]
        made.world.requests_per_s = 60
        await made.evaluate(2)
        made.surface.observe = overtaken  # type: ignore[method-assign]
        kept = made.replicas()
        await made.evaluate()

        assert (kept, made.replicas()) == (2, 6)

    run_virtual(main())


def test_an_error_budget_that_goes_too_fast_adds_instances() -> None:
    async def main() -> None:
        made = await serving()
        await made.apply({"signal": "burnRate", "target": 2, "settings": {}})
        await made.hear(burning(2, long=6.0, short=8.0))
        await made.evaluate()
        grown = made.replicas()
        await made.hear(burning(3, long=6.0, short=0.0))
        await made.evaluate()

        assert grown == 6
        # The short window is good again: it goes on no longer, so nothing more is added.
        assert made.replicas() == 6

    run_virtual(main())


def test_a_burn_rate_that_comes_later_than_a_newer_word_without_one_is_not_known() -> None:
    async def main() -> None:
        made = await serving()
        await made.apply({"signal": "burnRate", "target": 2, "settings": {}})
        without = burning(7, long=0.0, short=0.0).model_copy(update={"slo_burn": ()})
        await made.hear(without, burning(6, long=14.0, short=14.0))
        await made.evaluate()

        assert made.replicas() == 2
        assert (await made.decisions())[0]["reason"] == "SignalLost"

    run_virtual(main())


def test_a_burn_rate_that_nobody_said_lately_is_not_known() -> None:
    async def main() -> None:
        made = await serving(replicas=3)
        await made.apply({"signal": "burnRate", "target": 2, "settings": {}})
        await made.hear(burning(2, long=0.1, short=0.1))
        await made.app.service.clock.sleep(1000)
        await made.evaluate()

        assert (await made.decisions())[0]["reason"] == "SignalLost"
        assert made.replicas() == 3

    run_virtual(main())


def test_a_burn_rate_that_was_said_long_ago_and_comes_late_is_not_known() -> None:
    async def main() -> None:
        made = await serving(replicas=3)
        await made.apply({"signal": "burnRate", "target": 2, "settings": {}})
        said = envelope_of(burning(2, long=6.0, short=8.0), 99, made.app.service.clock.now())
        await made.app.service.clock.sleep(3600)
        await made.dispatcher.dispatch(said)
        await made.evaluate()

        assert (await made.decisions())[0]["reason"] == "SignalLost"
        assert made.replicas() == 3

    run_virtual(main())


def test_a_policy_ends_with_its_service() -> None:
    async def main() -> None:
        made = await loaded(20)
        await made.hear(retired())
        await made.evaluate()

        assert made.told()[-1]["status"] == "Superseded"
        assert await made.evaluate() == 0

    run_virtual(main())


def test_a_release_that_cannot_be_scaled_so_rejects_the_policy_until_the_next_one() -> None:
    async def main() -> None:
        made = await serving(resources={"cpu": 0.5})
        await made.apply({"signal": "cpu", "target": 60})
        statuses = []
        for number, changes in ((2, {}), (3, {}), (4, {"resources": {"cpu": 0.5}})):
            await run(made.world, revision=number, replicas=2, port=8080, path_prefix="/")
            now = made.app.service.clock.now()
            await made.hear(ended(number, [released(WEB, number, **changes)], at=now))
            await made.evaluate(2)
            statuses.append((await made.policy())["status"])

        assert statuses[:2] == ["Rejected", "Rejected"]
        assert statuses[2] in {"Applied", "Enforced"}
        (raised,), (cleared,) = (made.told(f"RuntimeAlert{each}") for each in ("Raised", "Cleared"))
        assert raised["alert"] == cleared["alert"] == "ScalingPolicyRejected"
        assert "resources.cpu" in raised["evidence"][0]

    run_virtual(main())


def test_a_cost_ceiling_does_not_end_with_the_limit_that_has_a_price() -> None:
    async def main() -> None:
        ceiling = {"amount": 3, "per": "hour", "prices": {"cpu": 1}}
        made = await serving(resources={"cpu": 1.0})
        await made.apply(costCeiling=ceiling)
        await run(made.world, revision=2, replicas=2, port=8080, path_prefix="/")
        await made.app.service.clock.sleep(5)
        await made.serve(r2=100)
        await made.hear(ended(2, [released(WEB, 2)], at=made.app.service.clock.now()))
        made.world.requests_per_s = 90
        await made.evaluate(3)

        assert made.replicas(2) == 2
        assert (await made.policy())["status"] == "Rejected"

    run_virtual(main())


def test_a_rejected_policy_is_tried_again_where_it_is_asked_for_again() -> None:
    async def main() -> None:
        made = await serving(resources={"cpu": 0.5})
        rule = {"signal": "cpu", "target": 60}
        await made.apply(rule)
        await run(made.world, revision=2, replicas=2, port=8080, path_prefix="/")
        await made.hear(ended(2, [released(WEB, 2)], at=made.app.service.clock.now()))
        await made.evaluate()
        with pytest.raises(PolicyInvalid):
            await made.apply(rule)
        component = released(WEB, 3, resources={"cpu": 0.5})
        await made.hear(ended(3, [component], at=made.app.service.clock.now()))

        assert (await made.apply(rule))["status"] == "Applied"

    run_virtual(main())


def test_a_service_that_nobody_deployed_gets_no_policy() -> None:
    async def main() -> None:
        made = scaling()
        with pytest.raises(ServiceUnknown):
            await made.apply()

    run_virtual(main())


def test_a_policy_of_a_service_whose_first_rollout_is_under_way_waits_for_it() -> None:
    async def main() -> None:
        made = scaling()
        await made.hear(step(1))
        waiting = await made.apply()
        await made.evaluate()
        await run(made.world, port=8080, path_prefix="/")
        await made.hear(ended(1, [released()]))
        await made.evaluate()

        assert waiting["status"] == "Requested"
        assert (await made.policy())["status"] in {"Applied", "Enforced"}

    run_virtual(main())


def test_one_policy_that_cannot_be_evaluated_stops_no_other() -> None:
    async def main() -> None:
        made = await loaded(20)
        await run(made.world, "module-other", port=8081, path_prefix="/other")
        await made.hear(ended(2, [released("module-other")]))
        await made.apply(serviceId=service_of("module-other"))
        made.world.torn.add(component_of("module-other"))
        made.world.requests_per_s = 60
        await made.evaluate(2)

        assert made.replicas() == 6

    run_virtual(main())


def test_a_provider_that_does_not_answer_takes_the_time_of_one_question() -> None:
    async def main() -> float:
        made = await serving()
        await made.apply(*[QUEUED] * 10)
        clock, answer = made.app.service.clock, made.gauge.measure

        async def measure(queries: Any) -> Any:
            await clock.sleep(10)
            return await answer(queries)

        made.gauge.measure = measure  # type: ignore[method-assign]
        began_s = clock.monotonic_s()
        await made.evaluate(after_s=0)
        return clock.monotonic_s() - began_s

    assert run_virtual(main()) < 11


def test_samples_are_kept_for_thirty_days() -> None:
    async def main() -> None:
        made = await loaded(20)
        kept = await made.delete_old_samples()
        await made.app.service.clock.sleep(timedelta(days=30, minutes=1).total_seconds())

        assert kept == 0
        assert await made.delete_old_samples() == 3
        assert await made.decisions() == []

    run_virtual(main())
