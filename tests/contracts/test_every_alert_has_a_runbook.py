"""Each alert has a severity, and a section of `docs/alerts.md` that its events name."""

import re
from pathlib import Path
from typing import Final

import pytest

from shared.contracts.alerts import (
    RUNBOOKS,
    SEVERITIES,
    Alert,
    RuntimeAlertCleared,
    RuntimeAlertRaised,
    alert_event,
    service_subject,
)
from tests.kit.told import ENVIRONMENT, service_of
from tests.kit.virtual_time import EPOCH

ROOT: Final = Path(__file__).resolve().parents[2]
SECTIONS: Final = dict(
    re.findall(r"^## (\w+)\n(.*)$", (ROOT / "docs" / "alerts.md").read_text(), re.MULTILINE)
)
_BUILT_BY_HAND: Final = re.compile(r"RuntimeAlert(Raised|Cleared)(\(|\.model_validate)")


def test_the_page_has_a_section_for_each_alert_and_no_other() -> None:
    assert set(SECTIONS) == {each.value for each in Alert}


@pytest.mark.parametrize("alert", Alert)
def test_the_section_of_an_alert_says_how_severe_it_is(alert: Alert) -> None:
    assert SECTIONS[alert].startswith(f"{SEVERITIES[alert].value}, by ")


@pytest.mark.parametrize("alert", Alert)
def test_both_events_of_an_alert_name_its_runbook(alert: Alert) -> None:
    subject = service_subject(service_of(), ENVIRONMENT)

    raised = alert_event(alert, subject, 1, EPOCH, evidence=["x" * 3000] * 30)
    cleared = alert_event(alert, subject, 2, EPOCH, cleared_at=EPOCH)

    assert isinstance(raised, RuntimeAlertRaised)
    assert isinstance(cleared, RuntimeAlertCleared)
    assert str(raised.runbook) == str(cleared.runbook) == f"{RUNBOOKS}{alert}"
    assert raised.aggregate_id == cleared.aggregate_id == f"{service_of()}/{alert}"
    assert len(raised.evidence) == 20


def test_no_service_builds_the_event_of_an_alert_by_itself() -> None:
    services = (ROOT / "function_apps").rglob("*.py")

    assert [each.name for each in services if _BUILT_BY_HAND.search(each.read_text())] == []
