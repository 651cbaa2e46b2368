"""Reads a health body, `{status, totalDuration, entries}`, as .NET's health checks write it.

https://learn.microsoft.com/aspnet/core/host-and-deploy/health-checks. Whoever answers a probe may
answer anything, so what is no such body says nothing; the body was read up to a bound before.
"""

from collections.abc import Mapping
from typing import Any, Final

from pydantic_core import from_json

from shared.contracts.health import HealthStatus
from shared.kernel.dataclass import dataclass

DESCRIPTION_MAX: Final = 300
_ENTRIES_NAMED: Final = 5
_NAME_MAX: Final = 60
_TEXT_MAX: Final = 120
_WORDS: Final = frozenset(
    status.value for status in (HealthStatus.HEALTHY, HealthStatus.DEGRADED, HealthStatus.UNHEALTHY)
)


@dataclass(frozen=True)
class ReportedHealth:
    """What an application says of itself; `description` names the entries that are not Healthy."""

    status: HealthStatus
    description: str


def reported_health(body: bytes) -> ReportedHealth | None:
    """Return the health that *body* reports; None where it is no such body."""
    try:
        content = from_json(body, allow_inf_nan=False)
    except ValueError:  # no JSON, no UTF-8, nested or numbers too large
        return None
    status = _status(content)
    if status is None:
        return None
    entries = content.get("entries", {})
    if not isinstance(entries, dict) or any(_status(each) is None for each in entries.values()):
        return None
    failing = [name for name in entries if _status(entries[name]) is not HealthStatus.HEALTHY]
    named = ", ".join(_described(name, entries[name]) for name in failing[:_ENTRIES_NAMED])
    more = f" and {len(failing) - _ENTRIES_NAMED} more" if len(failing) > _ENTRIES_NAMED else ""
    unnamed = "" if status is HealthStatus.HEALTHY else f"it reports {status}"
    return ReportedHealth(status, f"{(named or unnamed)[: DESCRIPTION_MAX - len(more)]}{more}")


def _status(content: object) -> HealthStatus | None:
    word = content.get("status") if isinstance(content, dict) else None
    return HealthStatus(word) if isinstance(word, str) and word in _WORDS else None


def _described(name: str, entry: Mapping[str, Any]) -> str:
    description = entry.get("description")
    text = (
        f": {_plain(description, _TEXT_MAX)}"
        if isinstance(description, str) and description.strip()
        else ""
    )
    return f"{_plain(name, _NAME_MAX)} is {entry['status']}{text}"


def _plain(text: str, at_most: int) -> str:
    """Return the beginning of *text* on one line, without what a terminal would act on."""
    shown = "".join(each if each.isprintable() else " " for each in text[:at_most])
    return shown.strip() if len(text) <= at_most else f"{shown.strip()}…"
