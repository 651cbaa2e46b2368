"""How weights are found from what is ready: forward and back, and never beyond what is carried."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from function_apps.deployments.model import traffic_split
from shared.contracts.releases import ReleasedComponent
from shared.surfaces.observed_state import Instance, LiveComponent, LiveRevision, Phase
from shared.surfaces.port import needed_ready
from shared.surfaces.spec import SurfaceComponent
from tests.deployments.driven import SHOP, TEST
from tests.kit import told
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


def released(revision: int, replicas: int) -> ReleasedComponent:
    return ReleasedComponent.model_validate(told.released(SHOP, revision, replicas=replicas))


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


def test_a_first_release_has_all_or_waits_and_a_new_one_has_to_be_there() -> None:
    ready, unready = revision(NEW, 1, 1), revision(NEW, 1, 2)

    assert traffic_split.forward(10, NEW, None, live({}, ready)) == traffic_split.Split({NEW: 100})
    assert traffic_split.forward(10, NEW, None, live({}, unready)) is None
    assert traffic_split.forward(1, NEW, OLD, live({OLD: 100}, revision(OLD, 1, 1))) is None


def test_a_share_above_the_asked_one_says_why_it_is() -> None:
    old, new = revision(OLD, 3, 3), revision(NEW, 3, 3)

    kept = traffic_split.forward(10, NEW, OLD, live({OLD: 50, NEW: 50}, old, new))
    lost = traffic_split.forward(10, NEW, OLD, live({OLD: 100}, revision(OLD, 1, 3), new))
    gone = traffic_split.forward(10, NEW, OLD, live({OLD: 100}, new))

    assert kept == traffic_split.Split(
        {OLD: 50, NEW: 50}, "revision 2 takes 50 % instead of 10 %: it has that much already"
    )
    assert lost is not None
    assert lost.is_short
    assert lost.reason == (
        "revision 2 takes 67 % instead of 10 %: 1 of 3 instances of revision 1, which is in"
        " force, are ready"
    )
    assert gone is not None
    assert "0 of 0 instances" in gone.reason


def test_a_rollback_gives_what_is_rolled_back_last() -> None:
    parts = revision(OLD, 1, 2), revision(NEW, 1, 1), revision(OTHER, 1, 4)
    split = traffic_split.back(NEW, OLD, live({NEW: 90, OTHER: 10}, *parts))

    assert split == traffic_split.Split({OLD: 50, OTHER: 25, NEW: 25})
    assert traffic_split.back(None, OLD, live({NEW: 100}, *parts)) == traffic_split.Split(
        {OLD: 50, NEW: 50}
    )
    assert traffic_split.back(None, OLD, live({}, *parts)) is None


def test_what_is_being_removed_or_has_no_instance_carries_nothing() -> None:
    parts = revision(OLD, 2, 2, Phase.DRAINING), revision(NEW, 0, 0), revision(OTHER, 3, 4)

    assert traffic_split.carried_percents(live({}, *parts)) == {OTHER: 75}


def test_more_instances_than_are_needed_carry_no_more_than_all() -> None:
    assert traffic_split.carried_percents(live({}, revision(OLD, 4, 4)), {OLD: 2}) == {OLD: 100}


@pytest.mark.parametrize(
    "part",
    [
        pytest.param(revision(1, 2, 2, Phase.READY), id="its-revision-is-ready"),
        pytest.param(revision(1, 0, 0, Phase.COMPLETE), id="its-revision-is-complete"),
    ],
)
def test_a_release_is_whole_where_its_revision_has_all_instances(part: LiveRevision) -> None:
    assert traffic_split.is_whole(live({}, part), released(1, 2))


@pytest.mark.parametrize(
    "component",
    [
        pytest.param(live({}, revision(1, 2, 2)), id="its-revision-is-not-ready"),
        pytest.param(live({}, revision(2, 2, 2, Phase.READY)), id="another-revision-is-ready"),
        pytest.param(None, id="nothing-is-there"),
    ],
)
def test_a_release_is_not_whole_without_its_own_revision(component: LiveComponent | None) -> None:
    assert not traffic_split.is_whole(component, released(1, 2))


def test_the_instances_of_a_release_are_those_that_were_asked_for() -> None:
    component = live({}, revision(1, 0, 3))

    assert traffic_split.live_replicas(component, released(1, 2)) == 3
    assert traffic_split.replicas_of([released(1, 2)], {SHOP: component}) == {SHOP: 3}


def test_what_is_being_removed_or_is_not_there_has_no_number_of_instances() -> None:
    draining = live({}, revision(1, 3, 3, Phase.DRAINING))

    assert traffic_split.live_replicas(draining, released(1, 2)) is None
    assert traffic_split.live_replicas(None, released(1, 2)) is None
    assert traffic_split.replicas_of([released(1, 2)], {}) == {}


def test_what_lacks_instances_has_to_be_applied() -> None:
    asked = released(1, 2)

    assert traffic_split.needs_apply(None, asked)
    assert traffic_split.needs_apply(revision(1, 2, 2, Phase.DRAINING), asked)
    assert traffic_split.needs_apply(revision(1, 1, 1), asked)
    assert not traffic_split.needs_apply(revision(1, 0, 2), asked)


def test_what_serves_is_not_removed_at_the_end_of_a_rollback() -> None:
    both = revision(OLD, 1, 1), revision(NEW, 1, 1)

    def kept(weights: Mapping[int, int], *, is_dead: bool, previous: int | None = OLD) -> set[int]:
        return {
            *traffic_split.kept_revisions(
                live(weights, *both), NEW, previous, is_previous_dead=is_dead
            )
        }

    assert kept({OLD: 100, NEW: 0}, is_dead=False) == {OLD}
    assert kept({NEW: 100}, is_dead=False) == {OLD, NEW}
    assert kept({}, is_dead=False) == {OLD}
    assert kept({NEW: 100}, is_dead=True) == {OLD, NEW}
    assert kept({}, is_dead=True) == {OLD}
    assert kept({}, is_dead=True, previous=None) == {OLD}
    alone = live({}, revision(OLD, 0, 1), revision(NEW, 1, 1))
    assert traffic_split.kept_revisions(alone, NEW, None, is_previous_dead=True) == {NEW}


def test_what_has_most_of_the_traffic_takes_the_rest_first() -> None:
    fourth = 4
    parts = revision(OTHER, 1, 1), revision(fourth, 1, 1), revision(OLD, 0, 1), revision(NEW, 1, 1)
    seen = live({OTHER: 30, fourth: 70}, *parts)

    back = traffic_split.back(None, OLD, seen)
    forward = traffic_split.forward(10, NEW, OLD, seen)

    assert back == traffic_split.Split({fourth: 100})
    assert forward is not None
    assert forward.weights == {NEW: 10, fourth: 90}


def test_what_is_gone_or_going_gets_nothing_of_what_it_has() -> None:
    going = revision(OTHER, 2, 2, Phase.DRAINING)
    seen = live({OTHER: 50, 4: 50}, going, revision(OLD, 1, 2), revision(NEW, 1, 2))

    assert traffic_split.back(NEW, OLD, seen) == traffic_split.Split({OLD: 50, NEW: 50})
