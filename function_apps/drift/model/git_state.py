"""The desired state of environments, as the manifests of a source have it at one commit. Pure.

A manifest that is damaged, or is not read as there are too many or its name is too long, says
nothing new: what was read before of the modules that no other one states is kept. Modules that were
read before have room before new ones.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, Generic, TypeVar

from pydantic_core import to_json

from function_apps.drift.model.manifest import Words, read_manifest
from shared.contracts.configurations import ConfigurationLayer
from shared.contracts.values import Reason
from shared.git.port import FILE_MAX, FetchFailed, Snapshot
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Invalid

FILES_MAX: Final = 200
"""Manifests of an environment."""
MODULES_MAX: Final = 500
"""Of a source, in all its environments; as many layers of configuration."""
REASONS_MAX: Final = 10
_TOLD_FIRST: Final = ("NoManifests", "TooManyManifests", "ManifestInvalid", "StatedTwice")
"""Reasons by their weight: those for which old words are kept are told before StatedTwice."""
NAME_MAX: Final = 255
"""Bytes of the name of a file, as file systems have it; in Git there is no bound."""
STATE_MAX: Final = 2**20
"""Bytes of all that is stored of a commit; a document has 2 MiB."""
T = TypeVar("T")
_SUFFIXES: Final = (".yaml", ".yml", ".json")


@dataclass(frozen=True)
class DesiredModule:
    """A module as the manifest *file* has it; `commit` is the first at which it was read so."""

    module_id: str
    file: str
    commit: str
    words: Mapping[str, str]


@dataclass(frozen=True)
class DesiredLayer:
    """A layer of configuration as the manifest *file* has it: a word for each key."""

    name: str
    file: str
    commit: str
    words: Mapping[str, str]

    @property
    def is_of_tenant(self) -> bool:
        """Return whether it reaches all environments of the tenant."""
        return self.name == ConfigurationLayer.TENANT


@dataclass(frozen=True)
class DesiredEnvironment:
    """`folder` is where its manifests are, as it was read; `reasons` are what could not be."""

    environment_id: str
    folder: str = ""
    modules: tuple[DesiredModule, ...] = ()
    reasons: tuple[Reason, ...] = ()
    layers: tuple[DesiredLayer, ...] = ()

    def module(self, module_id: str) -> DesiredModule | None:
        return next((each for each in self.modules if each.module_id == module_id), None)


@dataclass(frozen=True)
class DesiredState:
    """All that a source says at one commit."""

    commit: str
    environments: tuple[DesiredEnvironment, ...]


@dataclass(frozen=True)
class EnvironmentFolder:
    """The folder with the manifests of an environment, its *name*, and what was read *before*."""

    folder: str
    name: str
    before: DesiredEnvironment


def read_state(
    snapshot: Snapshot,
    environments: Sequence[EnvironmentFolder],
    is_late: Callable[[], bool] = lambda: False,
) -> DesiredState:
    """Return what the files of *snapshot* say of *environments*.

    It may take seconds; before each file it is asked whether it *is_late*.

    Raises:
        FetchFailed: it took too long, or is too much to be stored.
    """
    read = [*_environments(snapshot, environments, is_late)]
    if len(to_json(DesiredState(snapshot.commit, tuple(read)))) > STATE_MAX:
        read = _without_new_layers(read, environments)
    state = DesiredState(snapshot.commit, tuple(read))
    if len(to_json(state)) > STATE_MAX:
        raise FetchFailed(
            f"its manifests say more than {STATE_MAX >> 10} KiB", code="RepositoryTooLarge"
        )
    return state


def _without_new_layers(
    read: Sequence[DesiredEnvironment], environments: Sequence[EnvironmentFolder]
) -> list[DesiredEnvironment]:
    """Return *read* with the layers that were there before only: no version is left out for them.

    What a layer says is most of what is stored.
    """
    kept = []
    for each, folder in zip(read, environments, strict=True):
        before = {layer.name for layer in folder.before.layers}
        layers = tuple(layer for layer in each.layers if layer.name in before)
        reasons = each.reasons
        if left_out := len(each.layers) - len(layers):
            message = f"{left_out} new layers left out: all say more than {STATE_MAX >> 10} KiB"
            reasons = (Reason(code="TooManyManifests", message=message), *reasons)[:REASONS_MAX]
        kept.append(replace(each, layers=layers, reasons=reasons))
    return kept


def _environments(
    snapshot: Snapshot,
    environments: Sequence[EnvironmentFolder],
    is_late: Callable[[], bool],
) -> Iterator[DesiredEnvironment]:
    readings = [_Reading(each, snapshot.commit, is_late) for each in environments]
    for each, reading in zip(environments, readings, strict=True):
        reading.run(snapshot.files.get(each.folder))
    modules = _Room(MODULES_MAX - sum(len(each.modules.known) for each in readings))
    layers = _Room(MODULES_MAX - sum(len(each.layers.known) for each in readings))
    for reading in readings:
        yield reading.state(modules, layers)


@dataclass
class _Room:
    """The number of those that were not there before and may be added to a source."""

    left: int


class _Stated(Generic[T]):
    """The modules, or the layers, that the manifests of an environment state, by name."""

    def __init__(self, before: Mapping[str, T]) -> None:
        self.before = before
        self.now: dict[str, T] = {}

    @property
    def known(self) -> Sequence[T]:
        """Return those that were there before, too."""
        return [each for name, each in self.now.items() if name in self.before]

    def keep_unread(self) -> None:
        """Keep what no manifest that could be read states."""
        self.now = {**self.before, **self.now}

    def within(self, room: _Room) -> tuple[tuple[T, ...], Sequence[str]]:
        """Return those that have *room*, and the names of those that are left out."""
        new = [name for name in self.now if name not in self.before]
        at_most = max(room.left, 0)
        taken = new[:at_most]
        room.left -= len(taken)
        return (*self.known, *(self.now[name] for name in taken)), new[at_most:]


class _Reading:
    """The manifests of one environment, read one after another."""

    def __init__(
        self,
        environment: EnvironmentFolder,
        commit: str,
        is_late: Callable[[], bool],
    ) -> None:
        self._folder, self._name = environment.folder, environment.name
        self._environment_id = environment.before.environment_id
        before = environment.before
        self.modules = _Stated({each.module_id: each for each in before.modules})
        self.layers = _Stated({each.name: each for each in before.layers})
        self._commit, self._is_late = commit, is_late
        self._reasons: list[Reason] = []
        self._has_unread = False

    def run(self, files: Mapping[str, bytes | None] | None) -> None:
        """Read *files*, and keep what those that cannot be read may say."""
        found = [name for name in files or {} if name.endswith(_SUFFIXES)]
        manifests = sorted(name for name in found if len(name.encode()) <= NAME_MAX)
        if left_out := len(found) - len(manifests):
            self._say_unread(
                code="ManifestInvalid",
                message=f"{left_out} left out: a name has at most {NAME_MAX} bytes",
            )
        if not manifests:
            self._say(
                code="NoManifests", message=f"{self._folder} has no manifest at {self._commit[:12]}"
            )
        if len(manifests) > FILES_MAX:
            self._say_unread(
                code="TooManyManifests",
                message=f"{self._folder} has more than {FILES_MAX} manifests",
            )
        for name in manifests[:FILES_MAX]:
            if self._is_late():
                raise FetchFailed("its manifests take too long to read", code="TimedOut")
            self._read(_plain(name), (files or {})[name])
        if self._has_unread:
            self.modules.keep_unread()
            self.layers.keep_unread()

    def state(self, room: _Room, room_of_layers: _Room) -> DesiredEnvironment:
        """Return what was read, as far as there is *room* for what was not there before."""
        modules, left_out = self.modules.within(room)
        self._say_left_out("modules", left_out)
        layers, left_out = self.layers.within(room_of_layers)
        self._say_left_out("layers", left_out)
        reasons = sorted(self._reasons, key=lambda each: _TOLD_FIRST.index(each.code))
        return DesiredEnvironment(
            self._environment_id, self._folder, modules, tuple(reasons[:REASONS_MAX]), layers
        )

    def _say_left_out(self, what: str, names: Sequence[str]) -> None:
        if names:
            shown = names[0] + (" and others" if len(names) > 1 else "")
            self._say(
                code="TooManyManifests",
                message=f"more than {MODULES_MAX} {what}: {len(names)} left out, {shown}",
            )

    def _read(self, file: str, content: bytes | None) -> None:
        if content is None:
            self._say_unread(
                code="ManifestInvalid", message=f"{file} has more than {FILE_MAX >> 10} KiB"
            )
            return
        try:
            read = read_manifest(content, self._environment_id, self._name)
        except Invalid as problem:
            self._say_unread(code="ManifestInvalid", message=f"{file}: {_first(problem)}")
            return
        for module, words in read.modules.items():
            if self._is_new(self.modules.now, module, file):
                commit = self._since(self.modules.before.get(module), words)
                self.modules.now[module] = DesiredModule(module, file, commit, words)
        for name, words in read.layers.items():
            if self._is_new(self.layers.now, name, file):
                commit = self._since(self.layers.before.get(name), words)
                self.layers.now[name] = DesiredLayer(name, file, commit, words)

    def _say_unread(self, *, code: str, message: str) -> None:
        self._has_unread = True
        self._say(code=code, message=message)

    def _is_new(
        self, stated: Mapping[str, DesiredModule | DesiredLayer], name: str, file: str
    ) -> bool:
        """Return whether *name* is stated for the first time; say so where it is not."""
        if name not in stated:
            return True
        message = f"{name} is in {stated[name].file} and in {file}"
        self._say(code="StatedTwice", message=message)
        return False

    def _since(self, known: DesiredModule | DesiredLayer | None, words: Words) -> str:
        """Return the first commit at which it was read with *words*."""
        is_same = known is not None and dict(known.words) == dict(words)
        return known.commit if known is not None and is_same else self._commit

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
