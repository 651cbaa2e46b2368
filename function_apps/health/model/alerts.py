"""Alerts of a service are raised and cleared by its status and its burn rates.

A service that a failing dependency explains raises none. One that is raised stays until what it is
about is over, also where an explanation comes later. Unknown raises and clears nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from function_apps.health.model.burn_rates import Burn, is_raised
from function_apps.health.model.probe_target import ProbeTarget
from shared.contracts.alerts import SEVERITIES, Alert, AlertChange, AlertState, judge_alerts
from shared.contracts.health import HealthStatus
from shared.kernel.clock import isoformat

OF_STATUS: Final = {
    Alert.UNHEALTHY: HealthStatus.UNHEALTHY,
    Alert.DEGRADED: HealthStatus.DEGRADED,
}
OF_BURN: Final = (Alert.FAST_BURN, Alert.SLOW_BURN)
_NEW: Final = AlertState()


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
    before = {
        alert.value: since
        for alert in raised
        if (since := target.alerts.get(alert, _NEW).raised_at) is not None
    }
    due = {alert: _evidence(alert, target, burns) for alert, is_now in raised.items() if is_now}
    # Of one that has ended the evidence says how it is now.
    changes = [
        replace(each, evidence=_evidence(each.alert, target, burns))
        for each in judge_alerts(before, due, isoformat(now))
    ]
    alerts = dict(target.alerts)
    for each in changes:
        alerts[each.alert] = alerts.get(each.alert, _NEW).after(each)
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
