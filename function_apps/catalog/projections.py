"""What catalog remembers of environments: which to look at and when, and what was missing there."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from shared.kernel.clock import isoformat

WATCH_ID: Final = "watch"
MASS_LEAST: Final = 3
MASS_RATIO: Final = 0.1
"""More than this part of all services, and at least three, newly absent in one scan: doubtful."""


@dataclass(frozen=True)
class Watch:
    """One environment under observation. `revision` is the newest event applied."""

    environment_id: str
    revision: int
    due_at: str
    seen_at: str
    """Of the last complete scan, or when the watch began."""
    ended_at: str | None = None
    retire_after: str | None = None
    """While its services are being retired: the id of the last one sent for; None when done."""
    missing: Mapping[str, int] = field(default_factory=dict)
    """Services that the last complete scan did not show, and how many more must not either."""


def note(
    known: Watch | None, *, environment_id: str, revision: int, ended: bool, now: datetime
) -> Watch | None:
    """Return the watch after an event of the environment; None when the event is not newer."""
    if known is not None and revision <= known.revision:
        return None
    at = isoformat(now)
    seen_at = known.seen_at if known and known.ended_at is None else at
    watch = Watch(environment_id, revision, at, seen_at)
    return replace(watch, ended_at=at, retire_after="") if ended else watch


def retired_up_to(watch: Watch, service_id: str | None) -> Watch:
    """Return *watch* after a page of services was sent for; None: that was the last page."""
    return replace(watch, retire_after=service_id)


def retire_again(watch: Watch, due_at: datetime) -> Watch:
    """Return an ended *watch* whose services are gone through once more at *due_at*."""
    return replace(watch, retire_after="", due_at=isoformat(due_at))


def scanned(
    watch: Watch, now: datetime, every: timedelta, missing: Mapping[str, int] | None
) -> Watch:
    """Return *watch* after a scan; one that saw nothing reliable (None) says nothing of absence.

    Due again after half the period: the next tick of the timer finds it due however long the scan
    took, and a tick that comes twice does not.
    """
    due_at = isoformat(now + every / 2)
    if missing is None:
        return replace(watch, due_at=due_at)
    return replace(watch, due_at=due_at, seen_at=isoformat(now), missing=dict(missing))


def weigh_absence(
    missing: Mapping[str, int], absent: Collection[str], total: int
) -> tuple[Mapping[str, int], frozenset[str]]:
    """Return what is missing after a complete scan, and which of it is absent for certain.

    Absent takes two complete scans in a row; three where many went missing at once, which is more
    often a surface that lies about success than a disaster.
    """
    new = [each for each in absent if each not in missing]
    is_mass = len(new) >= MASS_LEAST and len(new) > MASS_RATIO * total
    more = {each: max(0, missing[each] - 1) for each in absent if each in missing}
    more |= dict.fromkeys(new, 2 if is_mass else 1)
    return more, frozenset(each for each, scans in more.items() if scans == 0)


def to_body(watch: Watch) -> dict[str, Any]:
    """Return the document body; an ended watch is due only while there is something to retire."""
    body = asdict(watch) | {"type": "watch", "missing": dict(watch.missing)}
    is_over = watch.ended_at is not None and watch.retire_after is None
    return body if is_over else body | {"dueAt": watch.due_at}


def from_body(body: Mapping[str, Any]) -> Watch:
    return Watch(**{name: body[name] for name in Watch.__dataclass_fields__})
