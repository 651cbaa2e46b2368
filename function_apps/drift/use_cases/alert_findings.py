"""The findings that an alert is raised for, as they are stored when that is committed."""

from collections.abc import Sequence
from typing import Final

from function_apps.drift.model.alert import is_alarming
from function_apps.drift.model.finding import Finding
from function_apps.drift.repository import FINDINGS
from shared.messaging.unit_of_work import View

READ_MAX: Final = 5
"""One of them is enough for an alert."""


def alarming_ids(findings: Sequence[Finding]) -> list[str]:
    """Return the findings to be read with the document that has the alert."""
    return [each.finding_id for each in findings if is_alarming(each)][:READ_MAX]


def as_stored(findings: Sequence[Finding], view: View) -> Sequence[Finding]:
    """Return *findings*; none where those that were read with *view* alarm nobody any more.

    Somebody may have decided since a scan read them.
    """
    stored = [view.find(FINDINGS, each) for each in alarming_ids(findings)]
    return findings if any(each is not None and is_alarming(each) for each in stored) else ()
