"""The alerts of a service, and what each is about."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from shared.contracts.values import Severity


class Alert(StrEnum):
    """One of each per service; docs/alerts.md has a section for each."""

    UNHEALTHY = "ServiceUnhealthy"
    DEGRADED = "ServiceDegraded"
    FAST_BURN = "ErrorBudgetBurnsFast"
    SLOW_BURN = "ErrorBudgetBurnsSlowly"


SEVERITIES: Final = {
    Alert.UNHEALTHY: Severity.CRITICAL,
    Alert.DEGRADED: Severity.WARNING,
    Alert.FAST_BURN: Severity.CRITICAL,
    Alert.SLOW_BURN: Severity.WARNING,
}
"""Critical pages somebody now; Warning is a ticket."""


@dataclass(frozen=True)
class AlertState:
    """Since when an alert is raised; `raised_at` None: it is not. `revision` counts both ways."""

    revision: int = 0
    raised_at: str | None = None
