"""The history of a service in two times: valid time and known time.

`valid_from` is when a fact became true, `known_from` when it was recorded. Rows are only added. The
facts of a service are a join of its rows: the place of a row follows from its content, not from
the time of its arrival, so any order and any number of the same deliveries gives the same result,
and a query into the past is the same join over fewer rows. Snodgrass, "Developing Time-Oriented
Database Applications in SQL", 1999; Shapiro et al., "Conflict-free Replicated Data Types", 2011.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from enum import StrEnum
from typing import Any

from shared.contracts.catalog import ServiceStatus
from shared.kernel.dataclass import dataclass


class RowKind(StrEnum):
    RELEASE = "release"
    """A deployment ended and proved which release runs."""
    OBSERVATION = "observation"
    """A scan of the surface found a difference, or none succeeded for too long."""
    REMOVAL = "removal"
    """The service or its environment was removed on purpose."""


@dataclass(frozen=True)
class HistoryRow:
    """One fact. The last three fields are set in rows of kind release only."""

    kind: RowKind
    status: ServiceStatus
    cause_kind: str
    cause_id: str
    valid_from: str
    known_from: str
    release_revision: int = 0
    deployment_id: str | None = None
    component: Mapping[str, Any] = field(default_factory=dict)
    """The released component, as JSON."""

    @property
    def order_key(self) -> tuple[str, str, str]:
        """Return the key that orders rows of one kind; only the same fact has the same key."""
        return (self.valid_from, self.cause_kind, self.cause_id)

    @property
    def id(self) -> str:
        """Return the document id: the same fact is one row, however often it is delivered."""
        return f"history/{self.valid_from}-{self.cause_kind}-{self.cause_id}"


@dataclass(frozen=True)
class Facts:
    """The facts of a service at one time: its status, since when and why, and its release."""

    status: ServiceStatus
    cause_kind: str
    cause_id: str
    valid_from: str
    known_from: str
    release: HistoryRow


@dataclass(frozen=True)
class EffectiveRows:
    """The four rows that decide the facts; each is None until a row of its kind is recorded.

    `release` is the row of the highest release revision, and of several the first: a rollback that
    proves the same revision again does not make it another deployment's.
    """

    release: HistoryRow | None = None
    verification: HistoryRow | None = None
    """The latest of kind release: the last proof of what runs."""
    observation: HistoryRow | None = None
    removal: HistoryRow | None = None

    def with_row(self, row: HistoryRow) -> "EffectiveRows":
        """Return this joined with *row*: commutative, associative, and idempotent."""
        match row.kind:
            case RowKind.RELEASE:
                return replace(
                    self,
                    release=_first_of_highest(self.release, row),
                    verification=_later(self.verification, row),
                )
            case RowKind.OBSERVATION:
                return replace(self, observation=_later(self.observation, row))
            case RowKind.REMOVAL:
                return replace(self, removal=_later(self.removal, row))

    @property
    def facts(self) -> Facts | None:
        """Return the facts that follow; None while no release is known."""
        row = self.effective_row
        if self.release is None or row is None:
            return None
        return Facts(
            row.status,
            row.cause_kind,
            row.cause_id,
            row.valid_from,
            max(row.known_from, self.release.known_from),
            self.release,
        )

    @property
    def effective_row(self) -> HistoryRow | None:
        """Return the row that decides the status: a removal, until a newer release is verified.

        An observation after a removal does not count: it shows remains of the removed service.
        """
        observation = self.observation
        if self.removal is not None:
            removed_at = self.removal.valid_from
            if self.verification is None or self.verification.valid_from <= removed_at:
                return self.removal
            if observation is not None and observation.valid_from <= removed_at:
                observation = None
        rows = [row for row in (self.verification, observation) if row is not None]
        return max(rows, key=lambda row: row.valid_from, default=None)


def effective_rows(rows: Iterable[HistoryRow]) -> EffectiveRows:
    """Return the join of *rows*."""
    effective = EffectiveRows()
    for row in rows:
        effective = effective.with_row(row)
    return effective


def facts_at(rows: Iterable[HistoryRow], as_of: str, known_at: str) -> Facts | None:
    """Return the facts at *as_of* as they were known at *known_at*; None if there were none."""
    return effective_rows(
        row for row in rows if row.known_from <= known_at and row.valid_from <= as_of
    ).facts


def timeline(rows: Iterable[HistoryRow]) -> Sequence[tuple[Facts, HistoryRow]]:
    """Return each row in the order of valid time, with the facts that held from then on.

    Rows older than the first release are left out: no facts are known then.
    """
    effective, entries = EffectiveRows(), []
    for row in sorted(rows, key=lambda row: row.order_key):
        effective = effective.with_row(row)
        if effective.facts is not None:
            entries.append((effective.facts, row))
    return entries


def _later(before: HistoryRow | None, row: HistoryRow) -> HistoryRow:
    return row if before is None or row.order_key > before.order_key else before


def _first_of_highest(before: HistoryRow | None, row: HistoryRow) -> HistoryRow:
    if before is None or row.release_revision > before.release_revision:
        return row
    is_same = row.release_revision == before.release_revision
    return row if is_same and row.order_key < before.order_key else before
