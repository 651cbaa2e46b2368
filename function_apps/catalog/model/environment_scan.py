"""EnvironmentScan: when an environment is scanned next, and what the last complete scan missed."""

from collections.abc import Collection, Mapping
from dataclasses import field, replace
from datetime import datetime, timedelta
from typing import Final

from shared.contracts.environments import EnvironmentFacts, RuntimeEnvironmentDecommissioned
from shared.kernel.clock import isoformat
from shared.kernel.dataclass import dataclass

MASS_LEAST: Final = 3
MASS_RATIO: Final = 0.1
"""If more of all services than this, and at least three, are newly absent, a third scan decides."""


@dataclass(frozen=True)
class EnvironmentScan:
    """The scans of one environment. `revision` is that of the newest event applied."""

    environment_id: str
    revision: int
    due_at: str
    scanned_at: str
    """The time of the last complete scan, or of the first event."""
    ended_at: str | None = None
    generation: int = 0
    """Of the newest event applied; 0 in a document that was stored before it was kept."""
    removed_at: str | None = None
    """The end of the last generation that is over: what was released until then is retired."""
    retire_after: str | None = None
    """The last service that has its command to retire; None when all that have to have it."""
    missing: Mapping[str, int] = field(default_factory=dict)
    """Services missing in the last complete scan, with the scans that must still confirm it."""
    unread_since: Mapping[str, str] = field(default_factory=dict)
    """Services that the last scan could not read, and when each was read last."""


def on_environment_event(
    known: EnvironmentScan | None, event: EnvironmentFacts, occurred_at: datetime, now: datetime
) -> EnvironmentScan | None:
    """Return the scan state after *event*, published at *occurred_at*; None for no change.

    An older event changes nothing newer, but the end of an older generation retires its services.
    """
    has_ended = isinstance(event, RuntimeEnvironmentDecommissioned)
    if known is not None and event.revision <= known.revision:
        is_older = has_ended and event.generation < known.generation
        is_news = known.removed_at is None or isoformat(occurred_at) > known.removed_at
        return _retire_until(known, occurred_at, now) if is_older and is_news else None
    at = isoformat(now)
    before = known or EnvironmentScan(event.environment_id, 0, at, at)
    is_grown = 0 < before.generation < event.generation
    goes_on = before.ended_at is None and not is_grown
    scan = replace(
        before,
        revision=event.revision,
        generation=event.generation,
        due_at=at,
        scanned_at=before.scanned_at if goes_on else at,
        ended_at=at if has_ended else None,
        missing={},
    )
    # The event of the end of the last generation may come late, or never.
    is_end_missed = is_grown and before.ended_at is None
    return _retire_until(scan, occurred_at, now) if has_ended or is_end_missed else scan


def _retire_until(scan: EnvironmentScan, end: datetime, now: datetime) -> EnvironmentScan:
    """Return *scan* with all that was released until *end* to be retired."""
    removed_at = max(isoformat(end), scan.removed_at or "")
    return replace(scan, removed_at=removed_at, retire_after="", due_at=isoformat(now))


def record_retired_page(scan: EnvironmentScan, service_id: str | None) -> EnvironmentScan:
    """Return *scan* after a page of retirements up to *service_id*; None after the last page."""
    return replace(scan, retire_after=service_id)


def reschedule_retirement(scan: EnvironmentScan, due_at: datetime) -> EnvironmentScan:
    """Return *scan* with all retirements due again at *due_at*."""
    return replace(scan, retire_after="", due_at=isoformat(due_at))


def record_scan(
    scan: EnvironmentScan,
    now: datetime,
    every: timedelta,
    missing: Mapping[str, int] | None,
    unread: Collection[str] = (),
) -> EnvironmentScan:
    """Return *scan* with the missing and the *unread* services; None for a scan that failed.

    It is due again after half the period, so that the next tick of the timer finds it due however
    long the scan took, and a repeated tick does not.
    """
    due_at = isoformat(now + every / 2)
    if missing is None:
        return replace(scan, due_at=due_at)
    return replace(
        scan,
        due_at=due_at,
        scanned_at=isoformat(now),
        missing=dict(missing),
        unread_since={each: scan.unread_since.get(each, scan.scanned_at) for each in unread},
    )


def confirm_absences(
    missing: Mapping[str, int], absent: Collection[str], total: int
) -> tuple[Mapping[str, int], frozenset[str]]:
    """Return the missing services after a complete scan, and those that are confirmed as absent.

    Absence takes two complete scans in a row. It takes three where many services went missing at
    once, which more often is a surface with an incomplete listing than a disaster.
    """
    new = [service for service in absent if service not in missing]
    is_mass = len(new) >= MASS_LEAST and len(new) > MASS_RATIO * total
    still = {service: max(0, missing[service] - 1) for service in absent if service in missing}
    still |= dict.fromkeys(new, 2 if is_mass else 1)
    return still, frozenset(service for service, scans in still.items() if scans == 0)
