"""The findings that an alert is raised for, as they are stored when that is committed."""

from collections.abc import Sequence
from typing import Final

from function_apps.drift.model.alert import is_alarming
from function_apps.drift.model.finding import Finding
from function_apps.drift.repository import FINDINGS
from shared.messaging.unit_of_work import View

READ_MAX: Final = 5
"""Of those beyond it the alert goes by what the scan read."""


def alarming_ids(findings: Sequence[Finding]) -> list[str]:
    """Return the findings to be read with the document that has the alert."""
    return [each.finding_id for each in findings if is_alarming(each)][:READ_MAX]


def as_stored(findings: Sequence[Finding], view: View) -> Sequence[Finding]:
    """Return *findings*, those that were read with *view* as they are stored now.

    Somebody may have decided since a scan read them.
    """
    stored = {each: view.find(FINDINGS, each) for each in alarming_ids(findings)}
    now = (stored.get(each.finding_id, each) for each in findings)
    return [each for each in now if each is not None]
