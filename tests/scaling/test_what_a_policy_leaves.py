"""A policy that stops to decide the number says how many it leaves, and of which release."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import pytest

from function_apps.scaling.events import policy_applied
from function_apps.scaling.model.pause import pause
from function_apps.scaling.model.policy import (
    Ended,
    PolicyIds,
    ReleaseFollowed,
    ScalingPolicy,
    ServiceFound,
    Wanted,
    apply_policy,
    evolve,
    record_evaluation,
    reject,
    take_back,
)
from shared.contracts.scaling import (
    Direction,
    LeftReplicas,
    ScalingPause,
    ScalingPolicyApplied,
    ScalingReason,
)
from tests.kit.told import ENVIRONMENT, WEB, service_of
from tests.scaling.policies import LATENCY, NOW, policy
from tests.scaling.test_states_of_a_policy import MINUTE

Over = Callable[[ScalingPolicy], ScalingPolicy]
SERVICE = service_of(WEB)
IDS = PolicyIds(SERVICE.replace("svc", "sp", 1), SERVICE, ENVIRONMENT, "tenant")


def found(known: ScalingPolicy | None = None) -> ScalingPolicy:
    """Return a policy, or another one after it, that was not evaluated yet."""
    return evolve(apply_policy(known, policy(), IDS, NOW), ServiceFound, NOW)


def judged(known: ScalingPolicy | None = None, number: int = 4, release: int = 1) -> ScalingPolicy:
    wanted = Wanted(number, 1, ScalingReason.RULE, release)
    return record_evaluation(known or found(), wanted, NOW)


def held() -> ScalingPolicy:
    return pause(judged(), ScalingPause(direction=Direction.BOTH, length=MINUTE), NOW)


def rewritten() -> ScalingPolicy:
    """Return one that had the number before its change, and was not evaluated since."""
    return apply_policy(judged(), policy(LATENCY), IDS, NOW, is_change=True)


def refused(known: ScalingPolicy, at: datetime = NOW + MINUTE) -> ScalingPolicy:
    return reject(known, "no", 2, at)


def gone(known: ScalingPolicy, at: datetime = NOW + MINUTE) -> ScalingPolicy:
    return evolve(known, Ended, at)


def left(known: ScalingPolicy) -> LeftReplicas | None:
    return known.left_replicas


def left_of(number: int, release: int) -> LeftReplicas:
    return LeftReplicas(replicas=number, release_revision=release)


LEFT = left_of(4, 1)
NOTHING = None
LATER = NOW + 9 * MINUTE


@pytest.mark.parametrize("over", [refused, gone], ids=["refused", "ended"])
@pytest.mark.parametrize(
    "known", [judged(), held(), rewritten()], ids=["enforced", "paused", "rewritten"]
)
def test_one_that_had_the_number_leaves_it(known: ScalingPolicy, over: Over) -> None:
    assert left(over(known)) == LEFT


@pytest.mark.parametrize("over", [refused, gone], ids=["refused", "ended"])
def test_one_that_was_never_judged_leaves_nothing(over: Over) -> None:
    assert left(over(found())) == NOTHING
    assert left(over(apply_policy(None, policy(), IDS, NOW))) == NOTHING


def test_what_one_left_that_was_refused_is_not_left_again_at_its_end() -> None:
    assert left(gone(refused(refused(judged()), LATER), LATER)) == LEFT


def test_one_that_was_tried_again_and_not_judged_leaves_what_was_left_before() -> None:
    followed = evolve(evolve(refused(judged()), ReleaseFollowed, LATER), ServiceFound, LATER)

    assert left(followed) == LEFT
    assert left(gone(followed, LATER)) == LEFT
    assert left(refused(followed, LATER)) == LEFT


def test_the_next_policy_leaves_what_was_left_before_until_it_is_judged() -> None:
    again = found(gone(judged()))

    assert left(again) == LEFT
    assert left(gone(again, LATER)) == LEFT
    assert left(judged(again)) == NOTHING
    assert left(gone(judged(again, 6, release=3), LATER)) == left_of(6, 3)


def test_that_a_surface_gave_the_number_back_leaves_it_as_it_was() -> None:
    assert left(take_back(gone(judged()), LATER)) == LEFT


def test_others_hear_of_what_is_left() -> None:
    event = policy_applied(replace(gone(judged()), module_id=WEB)).payload
    assert isinstance(event, ScalingPolicyApplied)

    assert (event.number, event.left_replicas) == (None, LEFT)
