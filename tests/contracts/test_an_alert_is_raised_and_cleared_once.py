"""What is due raises an alert once, and what is due no more ends it: the rule of `judge_alerts`."""

from typing import Final

from shared.contracts.alerts import (
    Alert,
    AlertChange,
    AlertState,
    AlertSubject,
    change_event,
    judge_alerts,
)
from shared.contracts.health import RuntimeAlertCleared, RuntimeAlertRaised
from shared.kernel.clock import isoformat
from tests.kit.virtual_time import EPOCH

AT: Final = isoformat(EPOCH)
EARLIER: Final = "2025-12-31T00:00:00.000000Z"
SUBJECT: Final = AlertSubject("identity", "env-ngbperzq3ney")


def test_what_is_due_and_not_raised_yet_begins_with_its_evidence() -> None:
    changes = judge_alerts({}, {Alert.SEVERE_DRIFT: ["a", "b"]}, AT)

    assert changes == [AlertChange(Alert.SEVERE_DRIFT, AT, ("a", "b"))]


def test_what_is_raised_and_due_no_more_ends_with_its_beginning() -> None:
    changes = judge_alerts({Alert.SEVERE_DRIFT: EARLIER}, {}, AT)

    assert changes == [AlertChange(Alert.SEVERE_DRIFT, EARLIER, cleared_at=AT)]


def test_what_is_raised_and_due_still_is_no_news_also_with_other_evidence() -> None:
    assert judge_alerts({Alert.SEVERE_DRIFT: EARLIER}, {Alert.SEVERE_DRIFT: ["c"]}, AT) == []


def test_one_alert_gives_way_to_another() -> None:
    changes = judge_alerts({Alert.UNHEALTHY: EARLIER}, {Alert.DEGRADED: ["a"]}, AT)

    assert [(each.alert, each.cleared_at) for each in changes] == [
        (Alert.DEGRADED, None),
        (Alert.UNHEALTHY, AT),
    ]


def test_its_state_counts_both_ways_and_its_events_have_that_number() -> None:
    (began,) = judge_alerts({}, {Alert.SEVERE_DRIFT: ["a"]}, EARLIER)
    raised = AlertState().after(began)
    (ended,) = judge_alerts({Alert.SEVERE_DRIFT: EARLIER}, {}, AT)
    cleared = raised.after(ended)

    events = [
        change_event(began, SUBJECT, raised.revision),
        change_event(ended, SUBJECT, cleared.revision),
    ]

    assert (raised, cleared) == (AlertState(1, EARLIER), AlertState(2))
    assert [type(each) for each in events] == [RuntimeAlertRaised, RuntimeAlertCleared]
    assert [each.revision for each in events] == [1, 2]
    assert {isoformat(each.raised_at) for each in events} == {EARLIER}
