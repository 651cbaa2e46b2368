"""GitSource: a folder of a branch that says what environments are to run, and when it is fetched.

One fetch of a source runs at a time. Who asks for one meanwhile gets exactly one more after it,
however often it was asked for. What was read stays until something newer could be read.
"""

from collections.abc import Mapping
from dataclasses import field, replace
from datetime import datetime, timedelta
from typing import Final

from function_apps.drift.model.git_state import DesiredEnvironment, DesiredState
from shared.contracts.drift import FollowGitSource
from shared.contracts.values import Reason
from shared.kernel.clock import isoformat, parse_instant
from shared.kernel.dataclass import dataclass

FETCH_AT_MOST: Final = timedelta(minutes=5)
"""A fetch that has not ended by then was cut off; another one begins."""
READER_VERSION: Final = 1
"""Grows with what is read of manifests: what an earlier version has read is read anew."""
PAUSE: Final = timedelta(seconds=10)
"""Between two fetches of a source, whoever asks: a webhook may be sent again and again."""
_BACKOFF_MAX: Final = timedelta(hours=1)


@dataclass(frozen=True)
class GitSource:
    """`fetches` numbers the fetches that began, `failures` counts those in a row that failed."""

    source_id: str
    tenant_id: str
    repository: str
    branch: str
    path: str
    environment_ids: tuple[str, ...]
    credential_ref: str | None
    webhook_secret_ref: str | None
    every_s: float
    due_at: str
    revision: int = 1
    commit: str | None = None
    """The commit whose manifests are in `environments`."""
    synced_at: str | None = None
    stale_since: str | None = None
    reason: Reason | None = None
    failures: int = 0
    fetches: int = 0
    began_at: str | None = None
    fetching_until: str | None = None
    """While a fetch runs; none runs any more after it."""
    is_wanted: bool = False
    """Somebody asked for a fetch while one was running."""
    environments: tuple[DesiredEnvironment, ...] = ()
    reader_version: int = 0
    """READER_VERSION of the version that read `environments`; 0, so that all is read anew, where it
    was stored as `read_by`."""

    @property
    def known_commit(self) -> str | None:
        """Return the commit of which everything was read; None where there is none."""
        return self.commit if self.reader_version == READER_VERSION else None

    @property
    def asked(self) -> tuple[object, ...]:
        """Return what its author said of it."""
        return (
            self.repository, self.branch, self.path, self.environment_ids, self.credential_ref,
            self.webhook_secret_ref, self.every_s,
        )  # fmt: skip

    def environment(self, environment_id: str) -> DesiredEnvironment:
        """Return what it says of an environment; one that was not read yet has no modules."""
        known = (each for each in self.environments if each.environment_id == environment_id)
        return next(known, DesiredEnvironment(environment_id))

    def folder(self, environment_id: str, name: str) -> str:
        """Return the folder of the environment *name*; of one without a known name, by its id."""
        return "/".join(filter(None, (self.path, name or environment_id)))


@dataclass(frozen=True)
class FollowedEnvironments:
    """The sources of a tenant: the one that each of its environments has."""

    tenant_id: str
    sources: Mapping[str, str] = field(default_factory=dict)


def new_source(
    command: FollowGitSource, source_id: str, tenant_id: str, now: datetime
) -> GitSource:
    """Return the source that *command* asks for; it is fetched at once."""
    return GitSource(
        source_id,
        tenant_id,
        command.repository,
        command.branch,
        command.path,
        tuple(dict.fromkeys(command.environment_ids)),
        command.credential_ref,
        command.webhook_secret_ref,
        command.every.total_seconds(),
        due_at=isoformat(now),
    )


def order_fetch(source: GitSource, now: datetime) -> GitSource | None:
    """Return *source* due at once, or again after the fetch that runs; None where it is already."""
    if _is_fetching(source, now):
        return None if source.is_wanted else replace(source, is_wanted=True)
    due_at = _not_before(source, now)
    return None if source.due_at <= due_at else replace(source, due_at=due_at)


def begin_fetch(source: GitSource, now: datetime) -> GitSource | None:
    """Return *source* while it is fetched; None where it is not due, or is being fetched."""
    if source.due_at > isoformat(now) or _is_fetching(source, now):
        return None
    until = isoformat(now + FETCH_AT_MOST)
    return replace(
        source,
        fetches=source.fetches + 1,
        began_at=isoformat(now),
        fetching_until=until,
        due_at=until,
        is_wanted=False,
    )


def end_fetch(
    source: GitSource, begun: GitSource, result: DesiredState | Reason | None, now: datetime
) -> GitSource | None:
    """Return *source* after the fetch that *begun* began; None where another one came since.

    *result* is what was read, None where nothing is new, or why nothing was.
    """
    if (source.fetches, source.began_at) != (begun.fetches, begun.began_at):
        return None  # Or it was removed meanwhile, and added again.
    is_failure = isinstance(result, Reason)
    failures = source.failures + 1 if is_failure else 0
    every = timedelta(seconds=source.every_s)
    pause = max(every, min(every * (1 << min(failures, 10)), _BACKOFF_MAX)) if failures else every
    after = replace(
        source,
        revision=source.revision + 1,
        failures=failures,
        fetching_until=None,
        is_wanted=False,
        due_at=_not_before(source, now) if source.is_wanted else isoformat(now + pause),
    )
    if isinstance(result, Reason):
        return replace(after, reason=result, stale_since=source.stale_since or isoformat(now))
    heard = replace(after, reason=None, stale_since=None, synced_at=isoformat(now))
    if result is None:
        return heard
    return replace(
        heard, commit=result.commit, environments=result.environments, reader_version=READER_VERSION
    )


def _is_fetching(source: GitSource, now: datetime) -> bool:
    """Return whether a fetch runs: one that began in the future did so by a wrong clock."""
    until = source.fetching_until
    return until is not None and isoformat(now) < until <= isoformat(now + FETCH_AT_MOST)


def _not_before(source: GitSource, now: datetime) -> str:
    """Return when it may be fetched again: now, or a pause after the last fetch began."""
    if source.began_at is None or source.began_at > isoformat(now):
        return isoformat(now)
    return max(isoformat(now), _plus(source.began_at, PAUSE))


def _plus(at: str, span: timedelta) -> str:
    return isoformat(parse_instant(at) + span)
