"""What catalog remembers of environments: which to look at, and when next."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from shared.kernel.clock import isoformat


@dataclass(frozen=True)
class Watch:
    """One environment under observation. `revision` is the newest event applied."""

    environment_id: str
    revision: int
    due_at: str
    seen_at: str
    """Of the last complete scan, or when the watch began."""
    ended: bool = False


def note(
    known: Watch | None, *, environment_id: str, revision: int, ended: bool,
    now: datetime,
) -> Watch | None:  # fmt: skip
    """Return the watch after an event of the environment; None when the event is not newer."""
    if known is not None and revision <= known.revision:
        return None
    at = isoformat(now)
    seen_at = known.seen_at if known else at
    return Watch(environment_id, revision, at, seen_at, ended=ended)


def scanned(watch: Watch, now: datetime, every: timedelta, *, complete: bool) -> Watch:
    """Return *watch* after a scan; an incomplete one does not count as having seen anything."""
    seen_at = isoformat(now) if complete else watch.seen_at
    return replace(watch, due_at=isoformat(now + every), seen_at=seen_at)


def to_body(watch: Watch) -> dict[str, Any]:
    """Return the document body; an ended watch is never due again."""
    body = asdict(watch) | {"type": "watch"}
    return body if watch.ended else body | {"dueAt": watch.due_at}


def from_body(body: Mapping[str, Any]) -> Watch:
    return Watch(**{name: body[name] for name in Watch.__dataclass_fields__})


WATCH_ID = "watch"
