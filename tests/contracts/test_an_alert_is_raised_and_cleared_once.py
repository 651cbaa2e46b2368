"""What is due raises an alert once, and what is due no more ends it: the rule of `judge_alerts`."""

from typing import Final

import pytest

from shared.contracts.alerts import (
    EVIDENCE_MAX,
    RUNBOOKS,
    SEVERITIES,
    Alert,
    AlertChange,
    AlertState,
    AlertSubject,
    OpenAlert,
    RuntimeAlertCleared,
    RuntimeAlertRaised,
    alert_event,
    change_event,
    judge_alerts,
    open_alert,
    service_subject,
)
from shared.contracts.values import TEXT_MAX
from shared.kernel.clock import isoformat
from tests.kit.virtual_time import EPOCH

AT: Final = isoformat(EPOCH)
EARLIER: Final = "2025-12-31T00:00:00.000000Z"
ENVIRONMENT: Final = "env-ngbperzq3ney"
SERVICE: Final = "svc-ngbperzq3ney-abcdefghij"
SUBJECT: Final = AlertSubject("identity", ENVIRONMENT)


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


@pytest.mark.parametrize("alert", Alert)
def test_an_event_names_the_alert_its_severity_and_its_runbook(alert: Alert) -> None:
    event = alert_event(alert, SUBJECT, 7, AT, evidence=["a", "b"])

    assert isinstance(event, RuntimeAlertRaised)
    assert (event.aggregate_id, event.revision) == (f"identity/{alert}", 7)
    assert (event.alert, event.severity) == (alert, SEVERITIES[alert])
    assert event.runbook == f"{RUNBOOKS}{alert}"
    assert (event.environment_id, event.service_id) == (ENVIRONMENT, None)
    assert (event.evidence, isoformat(event.raised_at)) == (("a", "b"), AT)


def test_the_event_of_an_end_says_since_when_and_until_when() -> None:
    event = alert_event(Alert.UNHEALTHY, SUBJECT, 8, EARLIER, cleared_at=AT)

    assert isinstance(event, RuntimeAlertCleared)
    assert (isoformat(event.raised_at), isoformat(event.cleared_at)) == (EARLIER, AT)


def test_an_alert_of_a_service_names_it() -> None:
    event = alert_event(Alert.UNHEALTHY, service_subject(SERVICE, ENVIRONMENT), 1, AT)

    assert event.aggregate_id == f"{SERVICE}/ServiceUnhealthy"
    assert (event.environment_id, event.service_id) == (ENVIRONMENT, SERVICE)


def test_of_much_evidence_an_event_has_the_first_as_far_as_it_takes_it() -> None:
    much = ["x" * (TEXT_MAX + 1), *map(str, range(EVIDENCE_MAX))]

    event = alert_event(Alert.UNHEALTHY, SUBJECT, 1, AT, evidence=much)

    assert isinstance(event, RuntimeAlertRaised)
    assert event.evidence == ("x" * TEXT_MAX, *map(str, range(EVIDENCE_MAX - 1)))


def test_an_open_alert_is_listed_as_its_event_told_it() -> None:
    subject = service_subject(SERVICE, ENVIRONMENT)
    event = alert_event(Alert.SECRET_EXPIRES, subject, 1, AT)

    listed = open_alert("SecretExpires", subject, AT, module_id="module-shop", about="mail")

    assert listed == OpenAlert(
        aggregate_id=event.aggregate_id,
        alert="SecretExpires",
        severity=event.severity,
        environment_id=ENVIRONMENT,
        service_id=SERVICE,
        module_id="module-shop",
        about="mail",
        raised_at=event.raised_at,
        runbook=event.runbook,
    )
    assert open_alert("SecretExpires", subject, AT).about == ""
