"""Burn rates of an error budget, over several windows, as in chapter 5 of the SRE Workbook.

https://sre.google/workbook/alerting-on-slos/, sections 5 and 6. A burn rate of 1 uses the budget up
exactly at the end of the objective's period. A rule is over when the burn rates of its long and its
short window are: the long one says that it matters, the short one that it still goes on.

A window without enough samples is not measured, and raises and clears nothing.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from function_apps.health.model.burn_samples import BurnSamples, Events
from shared.contracts.health import SetObjective
from shared.contracts.values import Severity
from shared.kernel.dataclass import dataclass

_SHORT_PART: Final = 12
"""The short window is a twelfth of the long one."""
_SHARES: Final = (
    (Severity.CRITICAL, 0.02, timedelta(hours=1)),
    (Severity.CRITICAL, 0.05, timedelta(hours=6)),
    (Severity.WARNING, 0.10, timedelta(days=1)),
    (Severity.WARNING, 0.10, timedelta(days=3)),
)
"""So much of the budget, used up within this time, pages (Critical) or opens a ticket (Warning)."""
CLEARS_AT: Final = 0.9
"""Of the factor: a burn rate that stays around it raises one alert, not many."""

_PAUSE: Final = 0.5
"""Of the factor: a bucket below it is before an outage."""


@dataclass(frozen=True)
class BurnRule:
    """Burn rates of `factor` and more over both windows are alerted with `severity`."""

    severity: Severity
    long: timedelta
    factor: float

    @property
    def short(self) -> timedelta:
        return self.long / _SHORT_PART


def burn_rules(period: timedelta) -> Sequence[BurnRule]:
    """Return the rules for an objective over *period*; for 30 days those of the Workbook.

    The factor is share x period / window. A window is never longer than its share of the period:
    its factor would be below 1, and a budget that lasts would be alerted.
    """
    rules: list[BurnRule] = []
    for severity, share, window in _SHARES:
        long = min(window, share * period)
        rule = BurnRule(severity, long, share * period / long)
        if rule not in rules:
            rules.append(rule)
    return rules


@dataclass(frozen=True)
class Burn:
    """The burn rates of one rule; None where its window has too few samples."""

    rule: BurnRule
    long: float | None
    short: float | None

    @property
    def is_measured(self) -> bool:
        return self.long is not None and self.short is not None

    def is_at(self, factor: float) -> bool:
        """Return whether both windows are measured, and burn with at least *factor*."""
        is_short = self.short is not None and self.short >= factor
        return is_short and self.long is not None and self.long >= factor


def measure_burn(objective: SetObjective, samples: BurnSamples, now: datetime) -> Sequence[Burn]:
    """Return the burn rates of *objective*'s rules, from the *samples* up to *now*."""
    budget = 1.0 - objective.objective
    least_short = max(1.0, objective.min_samples / _SHORT_PART)
    burns = []
    for rule in burn_rules(objective.window):
        long = samples.within(rule.long, rule.long, now)
        short = samples.within(rule.long, rule.short, now)
        burns.append(
            Burn(
                rule,
                _rate(long, objective.min_samples, budget),
                _rate(short, least_short, budget),
            )
        )
    return burns


def _rate(events: Events, least: float, budget: float) -> float | None:
    # A part of a bucket is counted by its share, so whole samples may be a little less.
    return None if events.total < least - 1e-6 else events.bad / events.total / budget


def is_raised(burns: Sequence[Burn], severity: Severity, *, was_raised: bool) -> bool:
    """Return whether the alert of *severity* is raised, after it was or was not before.

    It begins when one of its rules is over, and ends when all are measured and clearly below.
    """
    of_severity = [burn for burn in burns if burn.rule.severity is severity]
    if any(burn.is_at(burn.rule.factor) for burn in of_severity):
        return True
    return was_raised and not all(
        burn.is_measured and not burn.is_at(CLEARS_AT * burn.rule.factor) for burn in of_severity
    )


def burning_since(
    objective: SetObjective, burns: Sequence[Burn], samples: BurnSamples, now: datetime
) -> datetime:
    """Return since when the first rule that is over saw too many bad events without a pause."""
    rule = next((burn.rule for burn in burns if burn.is_at(burn.rule.factor)), None)
    if rule is None:
        return now
    limit = _PAUSE * rule.factor * (1.0 - objective.objective)
    return samples.bad_since(rule.long, limit, now)
