"""Alerts of a service are raised and cleared by its status and its burn rates.

A service that a failing dependency explains raises none. One that is raised stays until what it is
about is over, also where an explanation comes later. Unknown raises and clears nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from function_apps.health.model.alert_state import OF_BURN, OF_STATUS, AlertState
from function_apps.health.model.burn_rates import Burn, is_raised
from function_apps.health.model.probe_target import ProbeTarget
from shared.contracts.alerts import SEVERITIES, Alert
from shared.contracts.health import HealthStatus
from shared.kernel.clock import isoformat

_NEW: Final = AlertState()


@dataclass(frozen=True)
class AlertChange:
    """An alert that was raised, or with `is_cleared` ended. `revision` is its own."""

    alert: Alert
    revision: int
    raised_at: str
    evidence: tuple[str, ...]
    is_cleared: bool = False


def record_alerts(
    target: ProbeTarget, burns: Sequence[Burn], now: datetime
) -> tuple[ProbeTarget, Sequence[AlertChange]]:
    """Return *target* with its alerts as they are now, and what has changed of them."""
    is_explained = target.root_cause is not None
    raised = {
        alert: is_over and (_is_raised(target, alert) or not is_explained)
        for alert, is_over in _limits_over(target, burns).items()
    }
    return _with_alerts(target, raised, burns, now)


def is_burning(target: ProbeTarget, burns: Sequence[Burn]) -> bool:
    """Return whether *target* uses its error budget up too fast, explained or not."""
    is_over = _limits_over(target, burns)
    return any(is_over[alert] for alert in OF_BURN)


def clear_alerts(target: ProbeTarget, now: datetime) -> tuple[ProbeTarget, Sequence[AlertChange]]:
    """Return *target* without a raised alert, as a service that is retired has none."""
    return _with_alerts(target, dict.fromkeys((*OF_STATUS, *OF_BURN), False), (), now)


def clear_burn_alerts(
    target: ProbeTarget, now: datetime
) -> tuple[ProbeTarget, Sequence[AlertChange]]:
    """Return *target* without a raised alert of an objective, which it has no more."""
    return _with_alerts(target, dict.fromkeys(OF_BURN, False), (), now)


def _is_raised(target: ProbeTarget, alert: Alert) -> bool:
    return target.alerts.get(alert, _NEW).raised_at is not None


def _limits_over(target: ProbeTarget, burns: Sequence[Burn]) -> Mapping[Alert, bool]:
    """Return of each alert whether its limit is over; one that cannot be judged is as it was."""
    is_unknown = target.status is HealthStatus.UNKNOWN
    return {
        **{
            alert: _is_raised(target, alert) if is_unknown else target.status is status
            for alert, status in OF_STATUS.items()
        },
        **{
            alert: is_raised(burns, SEVERITIES[alert], was_raised=_is_raised(target, alert))
            for alert in OF_BURN
        },
    }


def _with_alerts(
    target: ProbeTarget, raised: Mapping[Alert, bool], burns: Sequence[Burn], now: datetime
) -> tuple[ProbeTarget, Sequence[AlertChange]]:
    at, alerts, changes = isoformat(now), dict(target.alerts), []
    for alert, is_now in raised.items():
        state = alerts.get(alert, _NEW)
        if is_now == (state.raised_at is not None):
            continue
        revision, raised_at = state.revision + 1, state.raised_at or at
        evidence = _evidence(alert, target, burns)
        changes.append(AlertChange(alert, revision, raised_at, evidence, is_cleared=not is_now))
        alerts[alert] = AlertState(revision, at if is_now else None)
    return replace(target, alerts=alerts), changes


def _evidence(alert: Alert, target: ProbeTarget, burns: Sequence[Burn]) -> tuple[str, ...]:
    if alert in OF_STATUS:
        return (f"{target.status} since {target.since}: {target.reason}",)
    return tuple(
        f"burns {burn.long:.1f} times its budget over {_hours(burn)} h and {burn.short:.1f} times"
        f" over {_hours(burn, 12)} h; the limit is {burn.rule.factor:g}"
        for burn in burns
        if burn.rule.severity is SEVERITIES[alert]
        if burn.long is not None and burn.short is not None
    )


def _hours(burn: Burn, part: int = 1) -> str:
    return f"{burn.rule.long.total_seconds() / 3600 / part:.3g}"
