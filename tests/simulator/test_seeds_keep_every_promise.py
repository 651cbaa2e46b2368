"""Days of two tenants under the faults of a seed end quiet, whole, and with every promise kept."""

import pytest

from shared.messaging.relay import Relay
from tests.simulator.simulation import Outcome, simulate

SAMPLE = (3, 7)
LONG = tuple(range(101, 113))
_SMALL = {"actions": 20, "hours": 1.0}


@pytest.mark.parametrize("seed", SAMPLE)
def test_a_day_under_faults_keeps_every_promise(seed: int) -> None:
    outcome = simulate(seed, **_SMALL)

    assert outcome.broken == ()
    assert outcome.reached["operation ProvisionEnvironment Succeeded"]


@pytest.mark.long
@pytest.mark.parametrize("seed", LONG)
def test_more_days_under_faults_keep_every_promise(seed: int) -> None:
    assert simulate(seed).broken == ()


def test_a_seed_replays_exactly() -> None:
    def run() -> Outcome:
        return simulate(SAMPLE[0], actions=8, hours=0.5)

    assert run().digest == run().digest


def test_a_relay_that_forgets_what_it_should_start_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def nothing(*_arguments: object) -> int:
        return 0

    for name in ("relay", "relay_new", "relay_changes", "sweep"):
        monkeypatch.setattr(Relay, name, nothing)

    outcome = simulate(SAMPLE[0], actions=4, hours=0.2)

    assert any("not quiet" in each for each in outcome.broken), outcome
