"""History in two times: what was so, from when, since when that is known here, and why.

`valid_from` is when it became so, `known_from` when it was recorded. Rows are only added. What is
known is a join of rows: each row finds its place by what it says and not by when it came, so any
order and any number of the same deliveries gives the same knowledge, and looking into the past is
the same join over fewer rows. Snodgrass, "Developing Time-Oriented Database Applications in SQL",
1999; Shapiro et al., "Conflict-free Replicated Data Types", 2011.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from function_apps.catalog.model.states import Status


class Kind(StrEnum):
    RELEASE = "release"
    """A deployment ended and proved what runs."""
    OBSERVATION = "observation"
    """The surface showed it otherwise than before, or did not show it for too long."""
    REMOVAL = "removal"
    """It was taken away on purpose, or its environment was."""


@dataclass(frozen=True)
class Row:
    """One fact. The last three say something in rows of kind release only."""

    kind: Kind
    status: Status
    cause_kind: str
    cause_id: str
    valid_from: str
    known_from: str
    release_revision: int = 0
    deployment_id: str | None = None
    component: Mapping[str, Any] = field(default_factory=dict)
    """The released component, as JSON."""

    @property
    def place(self) -> tuple[str, str, str]:
        """Return what orders rows of one kind; equal only for the same fact."""
        return (self.valid_from, self.cause_kind, self.cause_id)

    @property
    def id(self) -> str:
        """Return the document id: the same fact is one row, however often it comes."""
        return f"history/{self.valid_from}-{self.cause_kind}-{self.cause_id}"


@dataclass(frozen=True)
class Facts:
    """What is so at one time: how the service stands, since when and why, and of which release."""

    status: Status
    cause_kind: str
    cause_id: str
    valid_from: str
    known_from: str
    release: Row


@dataclass(frozen=True)
class Knowledge:
    """The four rows that decide; each is None until a row of its kind came.

    `release` is the row of the highest release revision, and of several the first: a rollback that
    proves the same revision again does not make it another deployment's.
    """

    release: Row | None = None
    proved: Row | None = None
    """The latest of kind release: when what runs was last proved."""
    seen: Row | None = None
    removed: Row | None = None

    def with_row(self, row: Row) -> "Knowledge":
        """Return this joined with *row*: commutative, associative, and idempotent."""
        match row.kind:
            case Kind.RELEASE:
                return replace(
                    self,
                    release=_first_of_highest(self.release, row),
                    proved=_later(self.proved, row),
                )
            case Kind.OBSERVATION:
                return replace(self, seen=_later(self.seen, row))
            case Kind.REMOVAL:
                return replace(self, removed=_later(self.removed, row))

    @property
    def facts(self) -> Facts | None:
        """Return what follows; None while no release is known, so nothing can be told."""
        standing = self.standing
        if self.release is None or standing is None:
            return None
        return Facts(
            standing.status,
            standing.cause_kind,
            standing.cause_id,
            standing.valid_from,
            max(standing.known_from, self.release.known_from),
            self.release,
        )

    @property
    def standing(self) -> Row | None:
        """Return the row that says how it stands: a removal holds until something newer is proved.

        An observation that was made after a removal saw what was left of it.
        """
        if self.removed is not None:
            if self.proved is None or self.proved.valid_from <= self.removed.valid_from:
                return self.removed
            is_old = self.seen is not None and self.seen.valid_from <= self.removed.valid_from
            seen = None if is_old else self.seen
        else:
            seen = self.seen
        rows = [row for row in (self.proved, seen) if row is not None]
        return max(rows, key=lambda row: row.valid_from, default=None)


def known(rows: Iterable[Row]) -> Knowledge:
    """Return what *rows* say together."""
    knowledge = Knowledge()
    for row in rows:
        knowledge = knowledge.with_row(row)
    return knowledge


def at_time(rows: Iterable[Row], as_of: str, known_at: str) -> Facts | None:
    """Return what was so at *as_of* as far as it was known at *known_at*; None if nothing was."""
    return known(
        row for row in rows if row.known_from <= known_at and row.valid_from <= as_of
    ).facts


def timeline(rows: Iterable[Row]) -> Sequence[tuple[Facts, Row]]:
    """Return each row that can be told, in the order in which they were true, and what was so then.

    Rows older than the first release say nothing that can be shown.
    """
    knowledge, found = Knowledge(), []
    for row in sorted(rows, key=lambda each: each.place):
        knowledge = knowledge.with_row(row)
        if knowledge.facts is not None:
            found.append((knowledge.facts, row))
    return found


def _later(before: Row | None, row: Row) -> Row:
    return row if before is None or row.place > before.place else before


def _first_of_highest(before: Row | None, row: Row) -> Row:
    if before is None or row.release_revision > before.release_revision:
        return row
    is_same = row.release_revision == before.release_revision
    return row if is_same and row.place < before.place else before


def row_body(row: Row) -> dict[str, Any]:
    return asdict(row) | {"type": "history", "component": dict(row.component)}


def row_of(body: Mapping[str, Any]) -> Row:
    fields = {name: body[name] for name in Row.__dataclass_fields__}
    return Row(**{**fields, "kind": Kind(body["kind"]), "status": Status(body["status"])})
