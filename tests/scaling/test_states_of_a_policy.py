"""A policy remembers what it decided, who holds it, what it alerts of, and for how long."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from function_apps.scaling.errors import PolicyExists, PolicyInvalid
from function_apps.scaling.model.pause import pause
from function_apps.scaling.model.policy import (
    CHANGES_KEPT,
    Ended,
    PolicyIds,
    ReplicaChange,
    ScalingPolicy,
    ServiceFound,
    State,
    Wanted,
    apply_policy,
    evolve,
    has_pause_ended,
    is_held_by_newer,
    is_news,
    longest_memory,
    record_evaluation,
    reject,
    see_newer,
    take_back,
    with_alert,
)
from shared.contracts.alerts import Alert, AlertChange
from shared.contracts.scaling import Direction, ScalingPause, ScalingReason
from shared.kernel.clock import isoformat
from tests.scaling.policies import LATENCY, NOW, REQUESTS, changed, policy

IDS = PolicyIds("policy", "service", "environment", "tenant")
MINUTE = timedelta(minutes=1)
NATIVE: dict[str, Any] = {"actuator": "native"}


def enforced(**changes: Any) -> ScalingPolicy:
    """Return a policy that was evaluated once."""
    found = evolve(apply_policy(None, policy(**changes), IDS, NOW), ServiceFound, NOW)
    return record_evaluation(found, Wanted(4, 4, ScalingReason.RULE, 1), NOW)


def held(direction: Direction = Direction.BOTH) -> ScalingPolicy:
    asked = ScalingPause(direction=direction, length=MINUTE, reason="an incident")
    return pause(enforced(), asked, NOW)


def test_a_new_policy_is_of_its_service_and_waits_for_it() -> None:
    new = apply_policy(None, policy(), IDS, NOW)

    assert (new.policy_id, new.tenant_id, new.service_id, new.environment_id) == (
        "policy", "tenant", "service", "environment",
    )  # fmt: skip
    assert (new.status, new.policy_revision, new.revision) == (State.REQUESTED, 1, 1)
    assert new.created_at == new.updated_at == isoformat(NOW)


def test_the_same_content_changes_nothing_and_another_needs_a_change() -> None:
    known = enforced()

    assert apply_policy(known, policy(), IDS, NOW) is known
    with pytest.raises(PolicyExists):
        apply_policy(known, policy(LATENCY), IDS, NOW)


def test_other_content_is_the_next_revision_of_it() -> None:
    known = replace(enforced(), why="no", reason=ScalingReason.LIMITED)

    after = apply_policy(known, policy(LATENCY), IDS, NOW + MINUTE, is_change=True)

    assert (after.status, after.policy_revision) == (State.APPLIED, known.policy_revision + 1)
    assert after.revision == known.revision + 1
    assert (after.reason, after.why) == (ScalingReason.POLICY, "")
    assert (after.created_at, after.updated_at) == (known.created_at, isoformat(NOW + MINUTE))


def test_a_rejected_policy_is_tried_again_with_the_same_content() -> None:
    known = reject(enforced(), "no such feature", 3, NOW)

    assert (known.status, known.why, known.rejected_release) == (
        State.REJECTED, "no such feature", 3,
    )  # fmt: skip
    assert apply_policy(known, policy(), IDS, NOW).status is State.REQUESTED


def test_only_the_platform_holds_a_number() -> None:
    asked = ScalingPause(length=MINUTE)

    with pytest.raises(PolicyInvalid) as refused:
        pause(enforced(**NATIVE), asked, NOW)
    assert [(each.target, each.received) for each in refused.value.details] == [
        ("/actuator", "native")
    ]
    with pytest.raises(PolicyInvalid):
        apply_policy(held(), policy(**NATIVE), IDS, NOW, is_change=True)
    assert apply_policy(held(), policy(**NATIVE), IDS, NOW + MINUTE, is_change=True).revision


def test_a_policy_that_is_paused_says_why() -> None:
    down = held(Direction.DOWN)

    assert (down.status, down.why) == (State.PAUSED, "an incident")


def test_a_pause_holds_its_direction_until_its_end() -> None:
    down = held(Direction.DOWN)

    assert down.holds(Direction.DOWN, NOW + MINUTE / 2)
    assert not down.holds(Direction.DOWN, NOW + MINUTE)


def test_a_pause_holds_no_other_direction_than_its_own() -> None:
    assert not held(Direction.DOWN).holds(Direction.UP, NOW)
    assert held().holds(Direction.UP, NOW)
    assert not enforced().holds(Direction.DOWN, NOW)


def test_a_pause_has_ended_at_its_end() -> None:
    assert not has_pause_ended(held(), NOW + MINUTE / 2)
    assert has_pause_ended(held(), NOW + MINUTE)
    assert not has_pause_ended(enforced(), NOW + MINUTE)


def test_the_evaluation_after_its_end_ends_a_pause_and_forgets_it() -> None:
    wanted = Wanted(4, 4, ScalingReason.RULE, 1)

    assert record_evaluation(held(), wanted, NOW).status is State.PAUSED
    after = record_evaluation(held(), wanted, NOW + MINUTE)

    assert (after.status, after.paused, after.paused_until, after.why) == (
        State.ENFORCED, None, None, "",
    )  # fmt: skip


def test_an_evaluation_is_remembered() -> None:
    after = record_evaluation(enforced(), Wanted(6, 4, ScalingReason.LIMITED, 1), NOW)

    assert (after.desired, after.actual, after.reason) == (6, 4, ScalingReason.LIMITED)
    assert after.changes == (ReplicaChange(isoformat(NOW), 2),)
    fewer, same = (Wanted(number, 6, ScalingReason.RULE, 1) for number in (5, 6))
    assert record_evaluation(after, fewer, NOW).changes[-1].by == -1
    assert record_evaluation(after, same, NOW).changes == after.changes


def test_changes_are_remembered_as_long_as_a_rule_looks_at_them() -> None:
    limits = {"up": [{"unit": "instances", "value": 1, "period": "PT5M"}],
              "down": [{"unit": "instances", "value": 1, "period": "PT8M"}]}  # fmt: skip
    content = {"rateLimits": limits, "cooldown": "PT2M"}
    known = replace(enforced(**content), changes=(changed(480, 1), changed(479, 2)))

    assert longest_memory(policy(**content)) == timedelta(minutes=8)
    assert longest_memory(policy(rateLimits={"up": [], "down": []}, cooldown="PT2M")) == 2 * MINUTE
    after = record_evaluation(known, Wanted(4, 4, ScalingReason.RULE, 1), NOW)
    assert [each.by for each in after.changes] == [2]


def test_so_many_changes_are_kept_the_newest() -> None:
    known = replace(enforced(), changes=tuple(changed(1, by) for by in range(1, CHANGES_KEPT + 1)))

    after = record_evaluation(known, Wanted(9, 4, ScalingReason.RULE, 1), NOW)

    assert [each.by for each in after.changes] == [*range(2, CHANGES_KEPT + 1), 5]


def test_a_lost_signal_is_remembered_since_it_was_lost() -> None:
    lost = Wanted(4, 4, ScalingReason.SIGNAL_LOST, 1, is_lost=True)
    first = record_evaluation(enforced(), lost, NOW)

    assert first.lost_since == isoformat(NOW)
    assert record_evaluation(first, lost, NOW + MINUTE).lost_since == isoformat(NOW)
    found = record_evaluation(first, Wanted(4, 4, ScalingReason.RULE, 1), NOW + MINUTE)
    assert found.lost_since is None


def test_a_lost_signal_alerts_once_it_is_lost_for_so_long() -> None:
    lost = replace(enforced(), lost_since=isoformat(NOW))

    assert with_alert(lost, NOW + MINUTE / 2, MINUTE) == (lost, ())
    raised, change = with_alert(lost, NOW + MINUTE, MINUTE)
    evidence = lost.why or lost.reason
    assert (raised.alert, raised.alert_raised_at) == (Alert.SIGNAL_LOST, isoformat(NOW + MINUTE))
    assert change == [AlertChange(Alert.SIGNAL_LOST, isoformat(NOW + MINUTE), (evidence,))]
    assert with_alert(raised, NOW + 2 * MINUTE, MINUTE) == (raised, ())


def test_an_alert_ends_with_its_cause_or_gives_way_to_a_rejection() -> None:
    raised, _ = with_alert(replace(enforced(), lost_since=isoformat(NOW)), NOW + MINUTE, MINUTE)
    at = isoformat(NOW + MINUTE)

    quiet, ended = with_alert(replace(raised, lost_since=None), NOW + 2 * MINUTE, MINUTE)
    assert (quiet.alert, quiet.alert_raised_at) == (None, None)
    over = AlertChange(Alert.SIGNAL_LOST, at, cleared_at=isoformat(NOW + 2 * MINUTE))
    assert ended == [over]
    _, changed_to = with_alert(reject(raised, "no", 1, NOW), NOW + 2 * MINUTE, MINUTE)
    later = isoformat(NOW + 2 * MINUTE)
    assert changed_to == [AlertChange(Alert.POLICY_REJECTED, later, ("no",)), over]


def test_a_policy_that_is_over_alerts_of_no_lost_signal() -> None:
    lost = replace(enforced(), lost_since=isoformat(NOW))
    later = NOW + 2 * MINUTE
    raised, _ = with_alert(lost, later, MINUTE)
    rejected, _ = with_alert(reject(raised, "no", 1, later), later, MINUTE)

    for over, alert in ((raised, Alert.SIGNAL_LOST), (rejected, Alert.POLICY_REJECTED)):
        after, change = with_alert(evolve(over, Ended, later), later, MINUTE)
        assert (after.alert, after.lost_since) == (None, None)
        assert change == [AlertChange(alert, isoformat(later), cleared_at=isoformat(later))]


def test_a_tombstone_that_kept_a_lost_signal_gives_a_new_policy_none() -> None:
    ended = evolve(enforced(), Ended, NOW)
    kept = replace(ended, lost_since=isoformat(NOW), alert=Alert.SIGNAL_LOST)

    after, change = with_alert(apply_policy(kept, policy(), IDS, NOW), NOW + 2 * MINUTE, MINUTE)

    assert (after.alert, [each.alert for each in change]) == (None, [Alert.SIGNAL_LOST])


def test_a_newer_revision_holds_the_number_for_so_long_since_it_was_seen() -> None:
    seen = see_newer(enforced(), 7, NOW)

    assert (seen.newer_release, seen.newer_since) == (7, isoformat(NOW))
    assert see_newer(seen, 7, NOW + MINUTE) is seen
    assert see_newer(seen, 8, NOW + MINUTE).newer_since == isoformat(NOW + MINUTE)
    assert see_newer(seen, None, NOW).newer_since is None
    assert is_held_by_newer(seen, NOW + MINUTE / 2, MINUTE)
    assert not is_held_by_newer(seen, NOW + MINUTE, MINUTE)
    assert not is_held_by_newer(enforced(), NOW, MINUTE)


def test_a_surface_gives_the_number_back_once_the_policy_decides_nothing() -> None:
    refused = reject(enforced(**NATIVE), "no", 1, NOW)
    back = take_back(refused, NOW + MINUTE)

    assert refused.is_to_be_taken_back
    assert not enforced(**NATIVE).is_to_be_taken_back
    assert not reject(enforced(), "no", 1, NOW).is_to_be_taken_back
    assert not back.is_to_be_taken_back
    assert (back.revision, back.updated_at) == (refused.revision + 1, isoformat(NOW + MINUTE))
    assert not apply_policy(back, policy(REQUESTS, **NATIVE), IDS, NOW).is_taken_back


@pytest.mark.parametrize(
    ("changes", "is_told"),
    [
        ({"desired": 5}, True),
        ({"actual": 5}, True),
        ({"status": State.REJECTED}, True),
        ({"lost_since": "x"}, True),
        ({"alert": "x"}, True),
        ({"is_taken_back": True}, True),
        ({"rejected_release": 1}, True),
        ({"newer_release": 1}, True),
        ({"reason": ScalingReason.LIMITED}, True),
        ({"reason": ScalingReason.POLICY}, False),
        ({"revision": 9}, False),
        ({"changes": (changed(1, 1),)}, False),
    ],
    ids=str,
)
def test_what_others_are_to_know_is_news(changes: dict[str, Any], *, is_told: bool) -> None:
    assert is_news(enforced(), replace(enforced(), **changes)) is is_told
