"""What health is asked about one component of a step, and when its answer is looked for."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest

from function_apps.deployments.model import analysis
from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.model.rollout_steps import RolloutStep
from shared.contracts.deployments import StepShare
from shared.contracts.gates import EvaluateGate, Gate, GateDefaults, GateLimits, GateVersion
from shared.contracts.releases import ReleasedComponent, ReleaseUnit
from shared.contracts.values import ComponentType, Stage
from shared.kernel.ids import ModuleId
from tests.deployments.driven import SHOP, TEST
from tests.deployments.test_gate_verdicts import METRICS
from tests.deployments.test_what_an_undo_asks_for import completed, component, released
from tests.kit.told import deployment_of
from tests.kit.virtual_time import EPOCH

DEFAULTS: Final = GateDefaults(
    window=timedelta(seconds=20), min_samples=7, deadline=timedelta(minutes=3)
)
POLL: Final = analysis.ANALYSIS_POLL_EVERY
WHY: Final = "nothing else is ready"


def step(weight: int = 10, **changes: Any) -> RolloutStep:
    at = {"asked_at": EPOCH, "deadline_at": EPOCH + timedelta(minutes=10)}
    return RolloutStep(1, "w", weight, **{**at, **changes})


def deployment(
    *, before: Sequence[ReleasedComponent] = (), stage: Stage = Stage.TEST, gate: Gate | None = None
) -> Deployment:
    made = completed(component(), previous=before)
    return replace(
        made,
        deployment_id=deployment_of(1),  # type: ignore[arg-type]
        stage=stage,
        unit=ReleaseUnit(components=(released(SHOP, 2),)),
        gate=gate or Gate(),
    )


def asked(
    of: Deployment, at: RolloutStep | None = None, new: ReleasedComponent | None = None
) -> EvaluateGate:
    return analysis.gate_request(of, at or step(), new or released(SHOP, 2), DEFAULTS)


def test_health_is_asked_about_the_new_revision_in_this_step_of_this_attempt() -> None:
    of = deployment()
    new = released(SHOP, 2)

    gate = asked(of, new=new)

    assert gate.gate_id == analysis.gate_of(of, ModuleId(SHOP), 1)
    assert (gate.deployment_id, gate.environment_id) == (of.deployment_id, TEST)
    assert (gate.module_id, gate.service_id) == (SHOP, new.service_id)
    assert (gate.attempt, gate.step, gate.weight) == (of.attempt, 1, 10)
    assert gate.candidate == GateVersion(release_revision=2, metrics_key="2")
    assert (gate.port, gate.probes, gate.stage) == (new.port, new.probes, Stage.TEST)
    assert (gate.asked_at, gate.deadline_at) == (EPOCH, EPOCH + timedelta(minutes=10))


def test_the_new_version_is_compared_with_what_still_has_traffic_beside_it() -> None:
    gate = asked(deployment(before=[released(SHOP, 1)]))

    assert gate.baseline == GateVersion(release_revision=1, metrics_key="1")


@pytest.mark.parametrize(
    ("before", "at"),
    [
        pytest.param([], step(), id="a-first-release"),
        pytest.param([released("module-web", 1)], step(), id="a-release-beside-another-module"),
        pytest.param([released(SHOP, 1)], step(100), id="the-last-step"),
        pytest.param(
            [released(SHOP, 1)],
            step(shares=(StepShare(module_id=ModuleId(SHOP), weight=100, reason=WHY),)),
            id="a-step-in-which-it-has-all-of-its-traffic",
        ),
    ],
)
def test_without_an_old_version_that_has_traffic_only_absolute_limits_hold(
    before: Sequence[ReleasedComponent], at: RolloutStep
) -> None:
    assert asked(deployment(before=before), at).baseline is None


def test_a_gate_says_how_it_is_judged_and_the_defaults_say_the_rest() -> None:
    given = Gate.model_validate(
        {
            "limits": {"errorRatioMax": 0.2},
            "window": "PT1M",
            "minSamples": 99,
            "metrics": METRICS,
        }
    )

    own, default = asked(deployment(gate=given)), asked(deployment())

    assert (own.limits, own.metrics) == (given.limits, given.metrics)
    assert (own.window, own.min_samples) == (timedelta(minutes=1), 99)
    assert (default.limits, default.metrics) == (GateLimits(), None)
    assert (default.window, default.min_samples) == (DEFAULTS.window, DEFAULTS.min_samples)


@pytest.mark.parametrize(
    ("minutes", "given"),
    [
        pytest.param(3, Gate(), id="the-default"),
        pytest.param(60, Gate(deadline=timedelta(hours=1)), id="its-own"),
    ],
)
def test_a_deadline_is_of_the_gate_else_the_default(minutes: int, given: Gate) -> None:
    deadline_at = analysis.deadline_of(deployment(gate=given), DEFAULTS, EPOCH)

    assert deadline_at == EPOCH + timedelta(minutes=minutes)


WORKER: Final = {"componentType": ComponentType.WORKER.value, "port": None, "probes": {}}


@pytest.mark.parametrize(
    ("stage", "changes", "said", "count"),
    [
        pytest.param(Stage.TEST, {}, None, True, id="outside-prod"),
        pytest.param(Stage.PROD, {}, None, False, id="not-in-prod"),
        pytest.param(Stage.PROD, WORKER, None, True, id="of-a-worker-also-in-prod"),
        pytest.param(Stage.PROD, {}, True, True, id="where-the-gate-says-so"),
        pytest.param(Stage.TEST, WORKER, False, False, id="not-where-the-gate-says-so"),
    ],
)
def test_probes_are_samples(
    stage: Stage, changes: dict[str, Any], *, said: bool | None, count: bool
) -> None:
    of = deployment(stage=stage, gate=Gate(probes_count=said))

    assert asked(of, new=released(SHOP, 2, **changes)).probes_count is count


# When its answer is looked for, should the event of it be lost.


def test_it_is_looked_for_regularly_and_over_a_long_deadline_not_too_often() -> None:
    soon = step()
    long = step(deadline_at=EPOCH + timedelta(days=1))
    most = analysis.ANALYSIS_POLLS_MAX

    assert analysis.next_poll_at(soon, EPOCH) == EPOCH + POLL
    assert analysis.next_poll_at(long, EPOCH) > EPOCH + timedelta(days=1) / most


def test_the_last_look_is_when_it_is_over_and_one_after_that_a_second_later() -> None:
    over_at = EPOCH + timedelta(minutes=20, seconds=analysis.ANSWER_GRACE_S)
    late = over_at + timedelta(hours=1)

    assert analysis.next_poll_at(step(), over_at - timedelta(seconds=1)) == over_at
    assert analysis.next_poll_at(step(), late) == late + timedelta(seconds=1)


def test_the_time_in_which_nobody_could_look_is_added_up_from_look_to_look() -> None:
    first = analysis.after_poll(step(), EPOCH + POLL + timedelta(seconds=90))
    again = analysis.after_poll(first, first.looked_at + POLL)  # type: ignore[operator]

    assert (first.away_s, first.looked_at) == (90.0, EPOCH + POLL + timedelta(seconds=90))
    assert again.away_s == first.away_s


def test_a_step_that_nobody_asked_about_was_looked_at_in_time() -> None:
    assert analysis.after_poll(step(asked_at=None), EPOCH).away_s == 0.0


@pytest.mark.parametrize(
    ("paused_for", "next_in"),
    [
        pytest.param(timedelta(hours=1), POLL, id="a-short-one"),
        pytest.param(
            timedelta(days=10), timedelta(days=10) / analysis.ANALYSIS_POLLS_MAX, id="a-long-one"
        ),
        pytest.param(timedelta(seconds=5), timedelta(seconds=5), id="one-that-is-about-to-end"),
    ],
)
def test_a_pause_is_looked_at_regularly_and_a_long_one_not_too_often(
    paused_for: timedelta, next_in: timedelta
) -> None:
    found = analysis.next_pause_poll_at(EPOCH, EPOCH + paused_for, EPOCH)

    assert found == EPOCH + next_in
