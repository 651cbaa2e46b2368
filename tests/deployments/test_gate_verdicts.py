"""All Pass = Pass, one Fail = Fail, else Inconclusive; and what follows from that."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest

from function_apps.deployments.model import analysis
from function_apps.deployments.model.rollout_steps import RolloutStep
from function_apps.deployments.ports import DeploymentsRules
from function_apps.deployments.use_cases.record_gate_evidence import record_gate_evidence
from function_apps.deployments.use_cases.retry import retry
from shared.contracts.deployments import DeploymentReason, DeploymentStatus, EndReason
from shared.contracts.gates import Analysis, GateEvidence, Measure, Verdict
from shared.contracts.values import GateId
from shared.kernel.errors import Invalid
from shared.surfaces.spec import SurfaceComponent
from tests.deployments.driven import SHOP, Driven, driven
from tests.kit.virtual_time import EPOCH, run_virtual

PASS, FAIL, UNSURE = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE
DEADLINE = EPOCH + timedelta(minutes=10)
GATE = GateId("gate-w5ekllr23tyb-abcdefghij-0123456789abcdef-0-0")


def shift(*verdicts: Verdict, asked: int = 2) -> RolloutStep:
    evidence = tuple(
        cast(Any, GateEvidence).model_construct(gate_id=f"gate-{number}", verdict=verdict)
        for number, verdict in enumerate(verdicts)
    )
    names = tuple(f"gate-{number}" for number in range(asked))
    return RolloutStep(0, "w", 10, gates=names, evidence=evidence, deadline_at=DEADLINE)


@pytest.mark.parametrize(
    ("verdicts", "late", "expected"),
    [
        pytest.param((), False, None, id="nothing-has-come"),
        pytest.param((PASS,), False, None, id="one-is-missing"),
        pytest.param((PASS, PASS), False, PASS, id="all-pass"),
        pytest.param((FAIL,), False, FAIL, id="one-fail-needs-no-others"),
        pytest.param((UNSURE, FAIL), False, FAIL, id="a-fail-outweighs-doubt"),
        pytest.param((PASS, UNSURE), False, UNSURE, id="one-doubt"),
        pytest.param((PASS,), True, UNSURE, id="one-is-missing-at-the-deadline"),
        pytest.param((), True, UNSURE, id="nothing-has-come-by-the-deadline"),
    ],
)
def test_a_step_has_one_verdict_over_all_components(
    verdicts: tuple[Verdict, ...], late: object, expected: Verdict | None
) -> None:
    now = DEADLINE + timedelta(seconds=analysis.ANSWER_GRACE_S) if late else EPOCH

    assert analysis.verdict_of(shift(*verdicts), now) is expected


def reason_for(
    *analyses: Analysis, verdict: Verdict = FAIL, decided: Verdict | None = None
) -> EndReason:
    """Return the reason of a step whose only gate had *verdict* by *analyses*."""
    evidence = GateEvidence(
        gate_id=GATE, module_id=SHOP, step=0, weight=10, verdict=verdict, candidate_revision=2,
        analyses=analyses, from_at=EPOCH, until_at=DEADLINE,
    )  # fmt: skip
    return analysis.reason_of(replace(shift(), evidence=(evidence,)), decided or verdict)


def judged(measure: Measure, verdict: Verdict = FAIL, **changes: Any) -> Analysis:
    return Analysis.model_validate(
        {"measure": measure, "verdict": verdict, "unit": "count", "reason": "so it was", **changes}
    )


@pytest.mark.parametrize(
    ("found", "words"),
    [
        pytest.param(
            {"measure": Measure.LATENCY, "unit": "ms", "value": 1253.0, "threshold": 800.0},
            "latency 1253 ms, limit 800 ms: so it was",
            id="a-number-with-its-unit",
        ),
        pytest.param(
            {"measure": Measure.ERROR_RATIO, "unit": "ratio", "value": 0.125, "threshold": 0.01},
            "errorRatio 12.50%, limit 1.00%: so it was",
            id="a-ratio-in-percent",
        ),
        pytest.param(
            {"measure": Measure.SAMPLES, "unit": "count", "value": 3, "threshold": 50},
            "samples 3 count, needs 50 count: so it was",
            id="what-has-to-be-reached",
        ),
        pytest.param(
            {"measure": Measure.ERROR_RATIO, "unit": "ratio", "value": 0.125},
            "errorRatio so it was",
            id="a-value-without-a-limit",
        ),
    ],
)
def test_the_reason_of_a_rejected_release_names_the_value_and_its_limit(
    found: dict[str, Any], words: str
) -> None:
    assert reason_for(judged(**found)).message == f"at 10 % the gate of {SHOP} said Fail: {words}"


def test_the_reason_is_the_gate_that_decided_by_the_first_rule_that_says_so() -> None:
    passed, first, second = (
        judged(Measure.READINESS, PASS),
        judged(Measure.SAMPLES),
        judged(Measure.LATENCY),
    )

    reason = reason_for(passed, first, second)

    assert (reason.code, reason.gate_id) == ("GateFailed", GATE)
    assert [each.gate_id for each in reason.evidence] == [GATE]
    assert reason.message.endswith("said Fail: samples so it was")


def test_a_gate_without_a_rule_that_says_so_is_named_alone() -> None:
    reason = reason_for(verdict=UNSURE)

    assert reason.code == "GateInconclusive"
    assert reason.message == f"at 10 % the gate of {SHOP} said Inconclusive"


def test_where_no_gate_decided_it_is_counted_how_many_did_not_answer() -> None:
    reason = reason_for(verdict=PASS, decided=UNSURE)

    assert (reason.code, reason.gate_id) == ("GateInconclusive", None)
    assert reason.message == "at 10 % 1 of 2 gates gave no answer in time"


def test_health_is_asked_without_an_observation_of_the_surface() -> None:
    async def main() -> list[str]:
        world = driven()
        await world.tell()
        activities, observed_by = [""], []
        world.interfere = activities.append
        surface = next(iter(world.app.surfaces.values()))
        inner = surface.observe

        async def observe(component: SurfaceComponent) -> Any:
            observed_by.append(activities[-1])
            return await inner(component)

        cast(Any, surface).observe = observe
        await world.release("one")
        return observed_by

    observed_by = run_virtual(main())

    assert "check_ready" in observed_by
    assert "request_analysis" not in observed_by


def test_outside_prod_an_inconclusive_step_passes_and_is_marked() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        world.health.unsure.add(await world.upload("one"))

        done = await world.release("one")

        assert done.status is DeploymentStatus.COMPLETED
        assert [(step.verdict, step.marked) for step in done.steps] == [(PASS, True)]

    run_virtual(main())


def test_a_health_that_never_answers_is_inconclusive_at_the_deadline() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        world.health.silent.add(await world.upload("one"))

        done = await world.release("one", gate={"onInconclusive": "fail"})

        assert done.status is DeploymentStatus.ROLLED_BACK
        assert done.reason is not None
        assert done.reason.code == "GateInconclusive"
        assert world.app.service.clock.monotonic_s() > 600

    run_virtual(main())


METRICS = {
    "source": "prometheus",
    "requests": 'sum(increase(requests{m="{{component}}"}[{{window}}]))',
    "errors": 'sum(increase(errors{m="{{component}}"}[{{window}}]))',
}


def test_health_is_asked_by_the_metrics_of_the_deployment() -> None:
    async def main() -> list[Any]:
        world = driven()
        await world.tell()
        await world.release("one")
        await world.release("two", gate={"metrics": METRICS})
        return [gate.metrics for gate in world.health.asked]

    first, *others = run_virtual(main())

    assert first is None
    assert {each.source for each in others} == {"prometheus"}
    assert {each.errors for each in others} == {METRICS["errors"]}


async def paused(world: Driven) -> str:
    await world.tell()
    await world.release("one")
    world.health.unsure.add(await world.upload("two"))
    answer = await world.deploy(await world.component("two"), gate={"onInconclusive": "pause"})
    identity = str(answer["deploymentId"])

    async def is_paused() -> bool:
        return (await world.deployment(identity)).paused_at is not None

    await world.until(is_paused)
    return identity


def test_where_it_pauses_the_weight_stays_until_somebody_decides() -> None:
    async def main() -> None:
        world = driven()
        identity = await paused(world)

        shown = await world.shown(identity)

        assert (shown.paused, shown.waiting_for, shown.weight) == (True, "approval", 10)
        assert world.live()[1] == {1: 90, 2: 10}

    run_virtual(main())


def test_a_retry_has_a_paused_step_judged_again() -> None:
    async def main() -> None:
        world = driven()
        identity = await paused(world)
        world.health.unsure.clear()

        await retry(identity, DeploymentReason(), world.bench.ctx(), world.app)
        await world.settle()

        done = await world.deployment(identity)
        assert (done.status, done.attempt) == (DeploymentStatus.COMPLETED, 2)
        assert len({gate.gate_id for gate in world.health.asked}) == len(world.health.asked)

    run_virtual(main())


def test_a_pause_that_nobody_ends_ends_with_a_rollback() -> None:
    async def main() -> None:
        world = driven(rules=DeploymentsRules(paused_at_most=timedelta(minutes=20)))
        identity = await paused(world)

        await world.settle()

        done = await world.deployment(identity)
        assert done.status is DeploymentStatus.ROLLED_BACK
        assert world.live() == ({1: 1}, {1: 100})

    run_virtual(main())


def test_evidence_told_twice_or_of_an_old_step_changes_nothing() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        done = await world.release("one")
        (gate,) = world.health.asked

        event = world.answer(gate, FAIL)
        await record_gate_evidence(event, world.bench.ctx(), world.app)

        assert await world.deployment(done.deployment_id) == done

    run_virtual(main())


def test_health_without_a_gate_is_dropped_before_anything_is_read() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.release("one")
        event = world.answer(world.health.asked[0], PASS).model_copy(update={"gate_id": None})
        nothing = replace(world.app, service=cast(Any, None))

        assert await record_gate_evidence(event, world.ctx, nothing) is None

    run_virtual(main())


def test_a_gate_answered_without_evidence_is_malformed() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.release("one")
        event = world.answer(world.health.asked[0], PASS).model_copy(update={"evidence": None})

        with pytest.raises(Invalid, match="evidence"):
            await record_gate_evidence(event, world.bench.ctx(), world.app)

    run_virtual(main())


def test_gates_are_named_by_component_attempt_and_step() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        done = await world.release("one")

        gate = analysis.gate_of(done, SHOP, 0)  # type: ignore[arg-type]

        assert analysis.deployment_of(gate) == done.deployment_id
        assert world.health.asked[0].gate_id == gate

    run_virtual(main())


@pytest.mark.parametrize(
    "update",
    [
        pytest.param({"gate_id": "gate-of-another-step"}, id="of-another-gate"),
        pytest.param({"verdict": FAIL}, id="of-another-verdict"),
    ],
)
def test_a_gate_answered_with_evidence_of_something_else_is_malformed(
    update: dict[str, Any],
) -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.release("one")
        event = world.answer(world.health.asked[0], PASS)
        assert event.evidence is not None
        event = event.model_copy(update={"evidence": event.evidence.model_copy(update=update)})

        with pytest.raises(Invalid, match="evidence"):
            await record_gate_evidence(event, world.bench.ctx(), world.app)

    run_virtual(main())
