"""One layer of configuration: its head, its versions, and what each event makes of them. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from function_apps.configurations.errors import HeadMoved, NothingToReturnTo
from shared.contracts.configuration_merge import LayerContent, Values, hash_of, json_text
from shared.contracts.configurations import ConfigurationLayer, ConfigurationStatus
from shared.kernel.clock import isoformat
from shared.kernel.dataclass import dataclass
from shared.kernel.transitions import Transitions

State = ConfigurationStatus
RETURNED_MAX: Final = 100
"""So many versions are remembered as rolled back; older ones are shown as Superseded."""


@dataclass(frozen=True)
class VersionEvent:
    """Something that happened to one version."""


@dataclass(frozen=True)
class Published(VersionEvent):
    """It was put in force."""


@dataclass(frozen=True)
class Adopted(VersionEvent):
    """Every instance that is to run it does."""


@dataclass(frozen=True)
class AdoptionFailed(VersionEvent):
    """The roll-out of it ended, and not every instance runs it."""


@dataclass(frozen=True)
class Expected(VersionEvent):
    """Instances were added that are to run it, and do not yet."""


@dataclass(frozen=True)
class Replaced(VersionEvent):
    """A later version was published."""


@dataclass(frozen=True)
class Returned(VersionEvent):
    """An earlier content was put in force again, in its place."""


TRANSITIONS: Final[Transitions[State, VersionEvent]] = Transitions(
    "a version",
    {
        State.DRAFT: {Published: State.PUBLISHED, Replaced: State.SUPERSEDED},
        State.PUBLISHED: {
            Adopted: State.SYNCED,
            AdoptionFailed: State.SYNC_FAILED,
            Replaced: State.SUPERSEDED,
            Returned: State.ROLLED_BACK,
        },
        State.SYNCED: {
            Expected: State.PUBLISHED,
            Replaced: State.SUPERSEDED,
            Returned: State.ROLLED_BACK,
        },
        State.SYNC_FAILED: {
            Adopted: State.SYNCED,
            Replaced: State.SUPERSEDED,
            Returned: State.ROLLED_BACK,
        },
        State.SUPERSEDED: {},
        State.ROLLED_BACK: {},
    },
    endings=frozenset({State.SUPERSEDED, State.ROLLED_BACK}),
)


@dataclass(frozen=True)
class Layer:
    """One of the three layers, and the environment and module that it is of."""

    kind: ConfigurationLayer
    environment_id: str | None = None
    module_id: str | None = None

    @property
    def label(self) -> str:
        """The layer in one word: `tenant`, an environment's id, or a module's."""
        return self.module_id or self.environment_id or self.kind.value


@dataclass(frozen=True)
class Version:
    """One version; its content is never changed.

    `against` is the head that it was written against. It is a draft until it is put in force.
    """

    id: str
    configuration_id: str
    number: int
    values: Values
    json_schema: Mapping[str, Any] | None
    content_hash: str
    against: int
    by: str
    at: str
    comment: str = ""
    returns_to: int | None = None
    """The version whose content it has again."""
    is_draft: bool = False

    @property
    def content(self) -> LayerContent:
        return LayerContent(self.number, self.values, self.json_schema)

    def says(self, other: "Version") -> bool:
        """Return whether both say the same, written against the same head."""
        return self.against == other.against and json_text(
            [self.values, self.json_schema]
        ) == json_text([other.values, other.json_schema])


@dataclass(frozen=True)
class Configuration:
    """The head. `version` is in force, 0 while there are drafts only; `last` was given last.

    `revision` counts its changes. `returned` are versions that a rollback replaced; the newest
    draft was written against `drafted_against`.
    """

    configuration_id: str
    tenant_id: str
    layer: Layer
    created_at: str
    updated_at: str
    version: int = 0
    last: int = 0
    status: State = State.DRAFT
    content_hash: str | None = None
    revision: int = 0
    published_at: str | None = None
    returned: tuple[int, ...] = ()
    drafted_against: int = 0
    awaited_since: str | None = None
    """Since when not every instance that is to run it is known to."""
    due_at: str | None = None
    """The time at which its adoption is judged next.

    Without one all run it, and none has to say so again.
    """

    @property
    def draft(self) -> int | None:
        """The newest draft, while it can be published."""
        is_open = self.last > self.version and self.drafted_against == self.version
        return self.last if is_open else None

    def status_of(self, version: Version) -> State:
        """Return the status of *version*, which is one of this layer."""
        if version.number == self.version:
            return self.status
        if version.is_draft:
            return State.DRAFT if version.against == self.version else State.SUPERSEDED
        return State.ROLLED_BACK if version.number in self.returned else State.SUPERSEDED


def version_id(configuration_id: str, number: int) -> str:
    """Return the id of the document of a version; they sort by number."""
    return f"version/{configuration_id}/{number:09d}"


def new_configuration(
    configuration_id: str, tenant_id: str, layer: Layer, now: datetime
) -> Configuration:
    """Return a layer that nobody has published."""
    at = isoformat(now)
    return Configuration(configuration_id, tenant_id, layer, at, at)


def write(
    head: Configuration, content: LayerContent, *, by: str, comment: str, now: datetime
) -> Version:
    """Return the next version, with *content*, written against the version *content* names.

    Raises:
        HeadMoved: another version is in force.
    """
    if content.version != head.version:
        raise HeadMoved(head.configuration_id, content.version, head.version)
    number = head.last + 1
    return Version(
        version_id(head.configuration_id, number),
        head.configuration_id,
        number,
        content.values,
        content.schema,
        hash_of(content.values),
        head.version,
        by,
        isoformat(now),
        comment,
    )


def publish(
    head: Configuration, version: Version, now: datetime, *, is_return: bool = False
) -> Configuration:
    """Return *head* with *version* in force; what it replaces is superseded, or rolled back.

    Raises:
        HeadMoved: a draft was written against a version that is not in force any more.
    """
    if version.against != head.version:
        raise HeadMoved(head.configuration_id, version.against, head.version)
    if head.version:
        TRANSITIONS.after(head.status, Returned if is_return else Replaced)
    returned = (*head.returned, head.version)[-RETURNED_MAX:] if is_return else head.returned
    return replace(
        _changed(head, now),
        version=version.number,
        last=max(head.last, version.number),
        status=TRANSITIONS.after(State.DRAFT, Published),
        content_hash=version.content_hash,
        returned=returned,
        published_at=isoformat(now),
        awaited_since=isoformat(now),
        due_at=isoformat(now),
    )


def says_nothing(head: Configuration, in_force: Version | None) -> bool:
    """Return whether nothing of *head* reaches a module, and no draft of it can."""
    is_empty = in_force is None or not (in_force.values or in_force.json_schema)
    return is_empty and head.draft is None


def keep_draft(head: Configuration, version: Version, now: datetime) -> Configuration:
    """Return *head* with one more number given, and the same version in force."""
    return replace(_changed(head, now), last=version.number, drafted_against=version.against)


def evolve(
    head: Configuration, event: type[VersionEvent], now: datetime, again_at: datetime | None
) -> Configuration:
    """Return *head* after *event* happened to the version in force; judged again at *again_at*."""
    status = TRANSITIONS.after(head.status, event)
    since = isoformat(now) if event is Expected else head.awaited_since
    return wait(replace(_changed(head, now), status=status, awaited_since=since), again_at)


def wait(head: Configuration, again_at: datetime | None) -> Configuration:
    """Return *head*, whose adoption is judged again at *again_at*; of None, by events only."""
    return replace(head, due_at=None if again_at is None else isoformat(again_at))


def put_by(draft: Version, caller: str, now: datetime) -> Version:
    """Return *draft* as the version that *caller* puts in force."""
    return replace(draft, is_draft=False, by=caller, at=isoformat(now))


def require_return(head: Configuration, earlier: Version) -> None:
    """Refuse to return to what is in force, or to what never was.

    Raises:
        NothingToReturnTo: see there.
    """
    which = f"version {earlier.number} of {head.configuration_id}"
    if earlier.number == head.version:
        raise NothingToReturnTo(f"{which} is in force already", target="/toVersion")
    if earlier.is_draft:
        raise NothingToReturnTo(
            f"{which} is a draft that was never in force: publish its content", target="/toVersion"
        )


def _changed(head: Configuration, now: datetime) -> Configuration:
    return replace(head, revision=head.revision + 1, updated_at=isoformat(now))
