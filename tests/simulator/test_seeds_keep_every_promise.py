"""Days of two tenants under the faults of a seed end quiet, whole, and with every promise kept."""

from collections import Counter

import pytest

from tests.kit.parameters import unless_whole
from tests.simulator.marks import COUNTED, MARKS
from tests.simulator.simulation import simulate

SAMPLE = 9
LONG = (1, 2, 4, 6, 7, 5)
"""Days that reach more than half of the rare paths together."""


def test_a_day_keeps_every_promise_and_replays_exactly() -> None:
    first, again = (simulate(SAMPLE, actions=12, hours=0.5) for _ in range(2))

    assert first.broken == ()
    assert first.reached["operation ProvisionEnvironment Succeeded"]
    assert again.digest == first.digest


@pytest.mark.long
def test_more_days_keep_every_promise_and_reach_rare_paths() -> None:
    marks: Counter[str] = Counter()
    for seed in LONG[: unless_whole(5)]:
        outcome = simulate(seed)
        assert outcome.broken == (), seed
        marks += outcome.marks

    assert len(marks) > len(MARKS) / 2, sorted(set(MARKS) - set(marks))


@pytest.mark.long
@pytest.mark.parametrize(
    "seed",
    [
        pytest.param(12, id="a-release-on-its-way-while-a-secret-rotates"),
        pytest.param(13, id="configuration-rolled-out-to-two-releases"),
        pytest.param(22, id="a-first-release-on-its-way-while-its-tenant-is-moved"),
        pytest.param(27, id="a-first-release-on-its-way-while-a-secret-rotates"),
        pytest.param(48, id="a-release-that-its-baseline-has-not-heard-of"),
        pytest.param(50, id="an-environment-that-ends-after-a-look"),
        pytest.param(60, id="an-environment-of-prod-that-is-one-of-dev-later"),
        pytest.param(67, id="a-policy-that-ends-after-it-scaled-in"),
    ],
)
def test_a_dense_day_that_broke_a_promise_keeps_it(seed: int) -> None:
    assert simulate(seed, actions=40, hours=1.5).broken == ()


def test_a_mark_that_is_counted_is_set_nowhere_else() -> None:
    assert len(set(MARKS)) == len(MARKS)
    assert len(set(COUNTED.values())) == len(COUNTED)
