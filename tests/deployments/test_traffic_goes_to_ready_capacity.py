"""How weights are found from what is ready: forward and back, and never beyond what is carried."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from function_apps.deployments.model import traffic_split
from shared.surfaces.observed_state import Instance, LiveComponent, LiveRevision, Phase
from shared.surfaces.port import needed_ready
from shared.surfaces.spec import SurfaceComponent
from tests.deployments.driven import SHOP, TEST
from tests.kit.service import TENANT

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
OLD, NEW, OTHER = 1, 2, 3


def instance(revision: int, number: int, *, ready: bool, restarts: int = 0) -> Instance:
    identity = f"{revision}-{number}"
    return Instance(identity, revision, ready, True, EPOCH, restarts)


def revision(number: int, ready: int, replicas: int, phase: Phase = Phase.STARTING) -> LiveRevision:
    instances = tuple(instance(number, n, ready=n < ready) for n in range(replicas))
    return LiveRevision(number, "1", "sha256:0", replicas, phase, instances)


def live(weights: Mapping[int, int], *revisions: LiveRevision) -> LiveComponent:
    component = SurfaceComponent(TEST, TENANT, SHOP)  # type: ignore[arg-type]
    return LiveComponent(component, revisions, weights, None)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param((1, 1), (1, 1), {OLD: 90, NEW: 10}, id="both-whole"),
        pytest.param((3, 3), (3, 3), {OLD: 90, NEW: 10}, id="both-whole-of-three"),
        pytest.param((0, 1), (1, 1), {NEW: 100}, id="old-dead"),
        pytest.param((1, 3), (3, 3), {OLD: 33, NEW: 67}, id="old-has-one-of-three"),
        pytest.param((2, 3), (3, 3), {OLD: 66, NEW: 34}, id="old-has-two-of-three"),
        pytest.param((3, 3), (1, 3), {OLD: 90, NEW: 10}, id="new-carries-its-share"),
        pytest.param((0, 3), (2, 3), None, id="too-few-of-both"),
        pytest.param((3, 3), (0, 3), None, id="new-not-ready"),
    ],
)
def test_the_first_step_of_a_canary_goes_by_what_both_carry(
    old: tuple[int, int], new: tuple[int, int], expected: Mapping[int, int] | None
) -> None:
    split = traffic_split.forward(
        10, NEW, OLD, live({OLD: 100}, revision(OLD, *old), revision(NEW, *new))
    )

    assert (split.weights if split else None) == expected


def test_instances_that_rules_ask_for_and_that_are_not_there_yet_are_no_loss() -> None:
    grown = replace(revision(OLD, 2, 8), minimum=2)

    split = traffic_split.forward(10, NEW, OLD, live({OLD: 100}, grown, revision(NEW, 2, 2)))

    assert split is not None
    assert split.weights == {OLD: 90, NEW: 10}
    assert not split.is_short


def test_below_the_minimum_of_its_rules_a_version_has_lost_instances() -> None:
    fallen = replace(revision(OLD, 1, 8), minimum=2)

    split = traffic_split.forward(10, NEW, OLD, live({OLD: 100}, fallen, revision(NEW, 2, 2)))

    assert split is not None
    assert split.weights == {OLD: 50, NEW: 50}
    assert "1 of 2 instances of revision 1" in split.reason


def test_a_share_does_not_fall_when_the_old_version_recovers() -> None:
    split = traffic_split.forward(
        50, NEW, OLD, live({OLD: 33, NEW: 67}, revision(OLD, 3, 3), revision(NEW, 3, 3))
    )

    assert split is not None
    assert split.weights == {OLD: 33, NEW: 67}
    assert not split.is_short


def test_what_served_beside_a_dead_version_goes_on_to() -> None:
    split = traffic_split.forward(
        10,
        NEW,
        OLD,
        live({OTHER: 100}, revision(OLD, 0, 1), revision(OTHER, 1, 1), revision(NEW, 1, 1)),
    )

    assert split is not None
    assert split.weights == {NEW: 10, OTHER: 90}


@pytest.mark.parametrize(
    ("weights", "old", "new", "expected"),
    [
        pytest.param({OLD: 90, NEW: 10}, (1, 1), (1, 1), {OLD: 100}, id="whole"),
        pytest.param({OLD: 90, NEW: 10}, (1, 3), (3, 3), {OLD: 33, NEW: 67}, id="one-of-three"),
        pytest.param({OLD: 90, NEW: 10}, (0, 1), (1, 1), {NEW: 100}, id="dead"),
        pytest.param({OLD: 100}, (0, 1), (0, 1), None, id="both-dead"),
        pytest.param({OLD: 90, NEW: 10}, (1, 3), (0, 1), None, id="too-few-of-both"),
    ],
)
def test_a_rollback_gives_back_what_the_previous_version_carries(
    weights: Mapping[int, int],
    old: tuple[int, int],
    new: tuple[int, int],
    expected: Mapping[int, int] | None,
) -> None:
    split = traffic_split.back(NEW, OLD, live(weights, revision(OLD, *old), revision(NEW, *new)))

    assert (split.weights if split else None) == expected


def test_no_split_gives_a_revision_more_than_its_surface_allows() -> None:
    for old, new, weight in product(range(4), range(4), range(1, 101)):
        seen = live({OLD: 100}, revision(OLD, old, 3), revision(NEW, new, 3))
        for split in (
            traffic_split.forward(weight, NEW, OLD, seen),
            traffic_split.back(NEW, OLD, seen),
        ):
            if split is None:
                continue
            assert sum(split.weights.values()) == traffic_split.WHOLE
            for number, percent in split.weights.items():
                assert needed_ready(3, percent) <= {OLD: old, NEW: new}[number]


@pytest.mark.parametrize(
    ("instances", "is_dead"),
    [
        pytest.param((instance(OLD, 0, ready=False),), True, id="not-ready"),
        pytest.param((instance(OLD, 0, ready=False, restarts=3),), True, id="fails-at-each-start"),
        pytest.param(
            (instance(OLD, 0, ready=False), instance(OLD, 1, ready=True)), False, id="one-is-ready"
        ),
        pytest.param((), False, id="none-was-started-yet"),
    ],
)
def test_what_has_no_ready_instance_is_dead(
    instances: tuple[Instance, ...], *, is_dead: bool
) -> None:
    seen = LiveRevision(OLD, "1", "sha256:0", 2, Phase.STARTING, instances)

    assert traffic_split.is_dead(seen, EPOCH + timedelta(seconds=1)) is is_dead


def test_what_was_started_since_the_rollback_began_is_waited_for() -> None:
    seen = LiveRevision(OLD, "1", "sha256:0", 1, Phase.STARTING, (instance(OLD, 0, ready=False),))

    assert not traffic_split.is_dead(seen, EPOCH)


def test_what_a_policy_has_grown_by_is_no_loss_before_it_is_there() -> None:
    grown = revision(OLD, 2, 6)

    split = traffic_split.forward(
        10, NEW, OLD, live({OLD: 100}, grown, revision(NEW, 2, 2)), {OLD: 2}
    )

    assert split == traffic_split.Split({OLD: 90, NEW: 10})
