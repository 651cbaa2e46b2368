"""A gate fails when the error budget burns too fast over both windows, and did not before."""

from collections.abc import Mapping
from datetime import timedelta

import pytest

from function_apps.health.model import gates
from function_apps.health.model.gate_record import gate_evidence
from function_apps.health.model.gate_samples import BurnRates, Counts, Observation, Progress
from function_apps.health.use_cases.set_objective import set_objective
from shared.contracts.gates import Measure, Verdict
from shared.contracts.health import SetObjective
from shared.kernel.clock import isoformat
from tests.health.test_evaluating_a_gate import asked, evaluated
from tests.health.traffic import a_gate
from tests.health.watching import health
from tests.kit.told import WEB, ended, released, run, service_of
from tests.kit.virtual_time import EPOCH, run_virtual

GATE = a_gate()
QUIET, FAST = BurnRates(0.5, 0.5), BurnRates(20.0, 30.0)


def judged(*burns: BurnRates | None) -> Progress:
    """Return the progress after good observations every 5 s; the last of *burns* stays."""
    progress, counts = gates.begin(GATE, isoformat(EPOCH)), 0
    for number in range(1, 60):
        counts += 40
        seen = Observation(
            isoformat(EPOCH + timedelta(seconds=5 * number)), "epoch",
            Counts(counts, 0, {"20": counts}), Counts(counts, 0, {"20": counts}),
            candidate_ready=True, baseline_ready=True,
            burn=burns[min(number, len(burns)) - 1],
        )  # fmt: skip
        progress = gates.judge(GATE, progress, seen)
    return progress


def burn_analysis(progress: Progress) -> Mapping[str, object] | None:
    evidence = gate_evidence(GATE, progress, EPOCH)
    found = [each for each in evidence.analyses if each.measure is Measure.BURN_RATE]
    return found[0].model_dump() if found else None


@pytest.mark.parametrize(
    ("burns", "verdict"),
    [
        pytest.param((QUIET, FAST), Verdict.FAIL, id="too-fast-since-the-step"),
        pytest.param((QUIET,), Verdict.PASS, id="a-budget-that-lasts"),
        pytest.param((QUIET, BurnRates(14.4, 14.4)), Verdict.PASS, id="a-tie-passes"),
        pytest.param((QUIET, BurnRates(20.0, 1.0)), Verdict.PASS, id="it-is-over-already"),
        pytest.param((QUIET, BurnRates(1.0, 20.0)), Verdict.PASS, id="too-short-to-matter"),
        pytest.param((FAST,), Verdict.PASS, id="too-fast-before-as-well-so-a-fix-can-land"),
        pytest.param((BurnRates(None, None),), None, id="too-few-samples-are-not-good"),
        pytest.param((None,), Verdict.PASS, id="no-objective-no-budget"),
    ],
)
def test_both_windows_over_the_limit_fail(
    burns: tuple[BurnRates | None, ...], verdict: Verdict | None
) -> None:
    assert judged(*burns).verdict is verdict


def test_the_evidence_has_the_burn_rate_and_its_limit() -> None:
    analysis = burn_analysis(judged(QUIET, FAST))

    assert analysis is not None
    assert (analysis["value"], analysis["threshold"]) == (20.0, 14.4)
    assert analysis["verdict"] is Verdict.FAIL
    assert burn_analysis(judged(None)) is None


@pytest.mark.parametrize(
    ("objective", "verdict"),
    [
        pytest.param(None, "Pass", id="without-an-objective"),
        pytest.param("probes", "Pass", id="that-its-probes-reach"),
        pytest.param("availability", "Inconclusive", id="that-no-request-measures"),
    ],
)
def test_a_gate_asks_the_objective_of_its_service(objective: str | None, verdict: str) -> None:
    async def main() -> object:
        made = health()
        await made.hear_all(ended(1, [released(WEB)], at=EPOCH))
        await run(made.world)
        await made.app.service.clock.sleep(30)
        if objective is not None:
            content = {"sli": objective, "objective": 0.99, "window": "P30D"}
            command = SetObjective.model_validate(content)
            await set_objective(service_of(WEB), command, made.ctx, made.app)
        for _ in range(60):
            await made.sweep()
        await made.hear(asked(made))
        return await evaluated(made)

    assert run_virtual(main()) == verdict
