"""The signs of a failing service that say whose fault it is: its own, or a dependency's.

A process that crashes or does not listen has a fault of its own, and so has one that refuses its
own probe (4xx). An application that answers 5xx or 429, or not in time, may only have met a service
behind it that is away: that is no sign either way.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from function_apps.health.model.probe_target import ProbeTarget
from function_apps.health.model.restarts import has_crash_loop, has_restart_near
from function_apps.health.model.status_hysteresis import ProbeOutcome
from shared.contracts.health import HealthDefaults, HealthStatus

_PREFIX: Final = "module-"
_NOT_LISTENING: Final = "Refused"
_TOO_MANY: Final = "429"
_ENTRY: Final = re.compile(r"(?:^|, )([^\s,:]+) is (?:Degraded|Unhealthy)")
"""An entry of a health body that is not Healthy, as `shared.probing.health_body` names it."""


def has_own_fault(
    target: ProbeTarget, outcome: ProbeOutcome, failing_since: datetime, rules: HealthDefaults
) -> bool:
    """Return whether *target*, which fails, shows a fault of its own by its last probe.

    One restart counts where the failure began with it: later ones may be those of a liveness probe
    that fails for want of a dependency.
    """
    if outcome is ProbeOutcome.FAIL and not target.checks:
        return True  # nothing of it runs
    failed = [check for check in target.checks if check["status"] == HealthStatus.UNHEALTHY]
    return (
        has_crash_loop(target.restarts)
        or has_restart_near(target.restarts, failing_since, rules.explained_within)
        or any(_is_own(check) for check in failed)
    )


def _is_own(check: Mapping[str, Any]) -> bool:
    code = str(check["code"])
    refuses = code.isdecimal() and not code.startswith("5") and code != _TOO_MANY
    return code == _NOT_LISTENING or (refuses and not check["description"])


def dependencies_named(
    checks: Sequence[Mapping[str, Any]], modules: frozenset[str]
) -> frozenset[str]:
    """Return those of *modules* that the health bodies of *checks* name as not Healthy."""
    named = {
        entry for check in checks for entry in _ENTRY.findall(str(check.get("description") or ""))
    }
    return modules & (named | {f"{_PREFIX}{entry}" for entry in named})
