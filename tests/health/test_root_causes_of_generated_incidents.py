"""In generated incidents roots are named, and faults of dependants raised."""

import pytest

from tests.health.root_cause_corpus import Found, found_in_all
from tests.kit.parameters import unless_whole

SAMPLE = range(8)
MANY = range(unless_whole(80) or 1000)
"""`make root-causes` takes 1,000, as `make sweeps` does."""


def shares(found: Found) -> tuple[float, float, float]:
    return (
        found.roots_named / found.roots,
        found.own_faults_named / found.own_faults,
        found.declared_silent / found.dependants_declared,
    )


def test_a_sample_of_incidents_has_its_roots_and_its_own_faults() -> None:
    roots, own_faults, silent = shares(found_in_all(SAMPLE))

    assert (roots, own_faults) == (1.0, 1.0)
    assert silent >= 0.9


@pytest.mark.long
def test_of_many_incidents_at_least_99_in_100_roots_and_own_faults_are_named() -> None:
    roots, own_faults, silent = shares(found_in_all(MANY))

    assert roots >= 0.99
    assert own_faults >= 0.99
    assert silent >= 0.95
