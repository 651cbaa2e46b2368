from dataclasses import asdict
from datetime import timedelta

import pytest

from shared.contracts.drift import DriftDefaults
from shared.contracts.gates import LOCAL_GATE, GateDefaults, OnInconclusive
from shared.contracts.health import LOCAL_HEALTH, HealthDefaults
from shared.contracts.promotions import LOCAL_SOAK, SoakDefaults
from shared.contracts.scaling import ScalingDefaults
from shared.contracts.strategies import LOCAL_ROLLOUT, RolloutDefaults, Strategy
from shared.contracts.values import Stage
from shared.durable.orchestration import ATTEMPTS_MAX


def test_the_platforms_fixed_rhythms_are_kept() -> None:
    assert HealthDefaults().sweep == timedelta(seconds=30)
    assert HealthDefaults().probe_retries == 3
    assert ScalingDefaults().evaluation == timedelta(seconds=60)
    assert DriftDefaults().scan == timedelta(minutes=5)
    assert ATTEMPTS_MAX == 5


def test_the_default_canary_is_a_strategy_that_could_be_asked_for() -> None:
    steps = RolloutDefaults().steps()

    assert [step.weight for step in Strategy(steps=steps).steps] == [10, 50, 100]


@pytest.mark.parametrize(
    ("local", "default"),
    [
        pytest.param(LOCAL_GATE, GateDefaults(), id="gate"),
        pytest.param(LOCAL_ROLLOUT, RolloutDefaults(), id="rollout"),
        pytest.param(LOCAL_SOAK, SoakDefaults(), id="soak"),
        pytest.param(LOCAL_HEALTH, HealthDefaults(), id="health"),
    ],
)
def test_the_local_profile_shortens_waits_and_changes_no_rule(
    local: object, default: object
) -> None:
    for name, value in asdict(local).items():
        usual = asdict(default)[name]
        assert value <= usual if isinstance(value, timedelta) else value == usual, name


@pytest.mark.parametrize("stage", list(Stage))
def test_only_prod_pauses_on_too_little_evidence(stage: Stage) -> None:
    expected = OnInconclusive.PAUSE if stage == "prod" else OnInconclusive.PASS

    assert GateDefaults().on_inconclusive(stage) is expected


def test_a_release_soaks_longer_the_closer_it_is_to_prod() -> None:
    soaks = [SoakDefaults().of(stage) for stage in (Stage.DEV, Stage.TEST, Stage.STAGING)]

    assert soaks == [timedelta(0), timedelta(minutes=5), timedelta(minutes=30)]
