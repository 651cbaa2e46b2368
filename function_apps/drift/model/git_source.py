"""GitSource: a folder of a branch that says what environments are to run, and when it is fetched.

One fetch of a source runs at a time. Who asks for one meanwhile gets exactly one more after it,
however often it was asked for. What was read stays until something newer could be read.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from pydantic_core import to_json

from function_apps.drift.model.manifest import Words, read_manifest
from shared.contracts.drift import FollowGitSource
from shared.contracts.values import Reason
from shared.git.port import FILE_MAX, FetchFailed, Snapshot
from shared.kernel.clock import isoformat, parse_instant
from shared.kernel.errors import Invalid

FETCH_AT_MOST: Final = timedelta(minutes=5)
"""A fetch that has not ended by then was cut off; another one begins."""
PAUSE: Final = timedelta(seconds=10)
"""Between two fetches of a source, whoever asks: a webhook may be sent again and again."""
FILES_MAX: Final = 200
"""Manifests of an environment."""
MODULES_MAX: Final = 500
"""Of a source, in all its environments."""
REASONS_MAX: Final = 10
NAME_MAX: Final = 255
"""Bytes of the name of a file, as file systems have it; in Git there is no bound."""
STATE_MAX: Final = 2**20
"""Bytes of all that is stored of a commit; a document has 2 MiB."""
_SUFFIXES: Final = (".yaml", ".yml", ".json")
_BACKOFF_MAX: Final = timedelta(hours=1)


@dataclass(frozen=True)
class DesiredModule:
    """A module as the manifest *file* has it; `commit` is the first at which it was read so."""

    module_id: str
    file: str
    commit: str
    words: Mapping[str, str]


@dataclass(frozen=True)
class DesiredEnvironment:
    """`folder` is where its manifests are, as it was read; `reasons` are what could not be."""

    environment_id: str
    folder: str = ""
    modules: tuple[DesiredModule, ...] = ()
    reasons: tuple[Reason, ...] = ()

    def module(self, module_id: str) -> DesiredModule | None:
        return next((each for each in self.modules if each.module_id == module_id), None)


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


@dataclass(frozen=True)
class DesiredState:
    """All that a source says at one commit."""

    commit: str
    environments: tuple[DesiredEnvironment, ...]


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
    return replace(heard, commit=result.commit, environments=result.environments)


def read_state(
    source: GitSource,
    snapshot: Snapshot,
    names: Mapping[str, str],
    is_late: Callable[[], bool] = lambda: False,
) -> DesiredState:
    """Return what *source* says, as its files were read; *names* are those of the environments.

    It may take seconds; before each file it is asked whether it *is_late*.

    Raises:
        FetchFailed: it took too long, or is too much to be stored.
    """
    read = DesiredState(snapshot.commit, tuple(_environments(source, snapshot, names, is_late)))
    if len(to_json(read)) > STATE_MAX:
        raise FetchFailed(
            f"its manifests say more than {STATE_MAX >> 10} KiB", code="RepositoryTooLarge"
        )
    return read


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


def _environments(
    source: GitSource,
    snapshot: Snapshot,
    names: Mapping[str, str],
    is_late: Callable[[], bool],
) -> Iterator[DesiredEnvironment]:
    left = MODULES_MAX
    for each in source.environment_ids:
        folder = source.folder(each, names.get(each, ""))
        before, files = source.environment(each), snapshot.files.get(folder)
        reading = _Reading(before, names.get(each, ""), snapshot.commit, left, is_late)
        read = reading.run(folder, files)
        left -= len(read.modules)
        yield read


class _Reading:
    """The manifests of one environment, read one after another."""

    def __init__(
        self,
        before: DesiredEnvironment,
        name: str,
        commit: str,
        left: int,
        is_late: Callable[[], bool],
    ) -> None:
        self._before, self._name, self._commit, self._left = before, name, commit, left
        self._is_late = is_late
        self._modules: dict[str, DesiredModule] = {}
        self._reasons: list[Reason] = []
        self._has_damaged = False

    def run(self, folder: str, files: Mapping[str, bytes | None] | None) -> DesiredEnvironment:
        found = [name for name in files or {} if name.endswith(_SUFFIXES)]
        manifests = sorted(name for name in found if len(name.encode()) <= NAME_MAX)
        if left_out := len(found) - len(manifests):
            self._say(
                code="ManifestInvalid",
                message=f"{left_out} left out: a name has at most {NAME_MAX} bytes",
            )
        if not manifests:
            self._say(
                code="NoManifests", message=f"{folder} has no manifest at {self._commit[:12]}"
            )
        if len(manifests) > FILES_MAX:
            self._say(
                code="TooManyManifests", message=f"{folder} has more than {FILES_MAX} manifests"
            )
        for name in manifests[:FILES_MAX]:
            if self._is_late():
                raise FetchFailed("its manifests take too long to read", code="TimedOut")
            self._read(_plain(name), (files or {})[name])
        if self._has_damaged:
            self._keep_others()
        return DesiredEnvironment(
            self._before.environment_id,
            folder,
            tuple(self._modules.values()),
            tuple(self._reasons[:REASONS_MAX]),
        )

    def _read(self, file: str, content: bytes | None) -> None:
        if content is None:
            self._say_damaged(f"{file} has more than {FILE_MAX >> 10} KiB")
            return
        try:
            read = read_manifest(content, self._before.environment_id, self._name)
        except Invalid as problem:
            self._say_damaged(f"{file}: {_first(problem)}")
            return
        for module, words in read.items():
            self._add(module, file, words)

    def _say_damaged(self, why: str) -> None:
        self._has_damaged = True
        self._say(code="ManifestInvalid", message=why)

    def _keep_others(self) -> None:
        """Keep what was read before of modules that nothing else states: a damaged file may."""
        for each in self._before.modules:
            if each.module_id not in self._modules and self._has_room(each.module_id):
                self._modules[each.module_id] = each

    def _add(self, module: str, file: str, words: Words) -> None:
        if module in self._modules:
            self._say(
                code="StatedTwice",
                message=f"{module} is in {self._modules[module].file} and in {file}",
            )
            return
        if not self._has_room(module):
            return
        known = self._before.module(module)
        is_same = known is not None and dict(known.words) == dict(words)
        commit = known.commit if known is not None and is_same else self._commit
        self._modules[module] = DesiredModule(module, file, commit, words)

    def _has_room(self, module: str) -> bool:
        """Return whether *module* is one more that there may be; say so where it is not."""
        if len(self._modules) < self._left:
            return True
        self._say(
            code="TooManyManifests",
            message=f"more than {MODULES_MAX} modules: {module} is left out",
        )
        return False

    def _say(self, *, code: str, message: str) -> None:
        self._reasons.append(Reason(code=code, message=message[:500]))


def _plain(name: str) -> str:
    """Return *name*, which somebody else chose, without what acts on a terminal or a line."""
    return name if name.isprintable() else name.encode("unicode_escape").decode()


def _first(problem: Invalid) -> str:
    """Return the first thing that is wrong, with its place; what stands there may be a secret."""
    if not problem.details:
        return problem.message
    first = problem.details[0]
    is_told = "received" not in first.message or not first.expected
    what = first.message if is_told else f"expected {first.expected}"
    place = f"{first.target}: " if first.target else ""
    return _plain(f"{place}{what} [{first.code}]")
