"""What is known is a join of rows: order and multiplicity of deliveries make no difference."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from function_apps.catalog.model.history import (
    EffectiveRows,
    HistoryRow,
    RowKind,
    effective_rows,
    facts_at,
    timeline,
)
from shared.contracts.catalog import ServiceStatus


def at(minute: int) -> str:
    return f"2026-01-01T00:{minute:02d}:00.000000Z"


def release(revision: int, minute: int, known_at: int | None = None, **changes: Any) -> HistoryRow:
    row = HistoryRow(
        RowKind.RELEASE, ServiceStatus.RUNNING, "deployment", f"dep-{minute}", at(minute),
        at(minute if known_at is None else known_at), revision, f"dep-{minute}",
        {"version": f"{revision}.0", "digest": "d"},
    )  # fmt: skip
    return HistoryRow(**{**vars(row), **changes})


def observation(status: ServiceStatus, minute: int) -> HistoryRow:
    return HistoryRow(RowKind.OBSERVATION, status, "observation", "svc", at(minute), at(minute))


def removal(minute: int, known_at: int | None = None) -> HistoryRow:
    known_from = at(minute if known_at is None else known_at)
    return HistoryRow(
        RowKind.REMOVAL,
        ServiceStatus.RETIRED,
        "deployment",
        f"del-{minute}",
        at(minute),
        known_from,
    )


MINUTES = st.integers(0, 30)
ROWS = st.one_of(
    st.builds(release, st.integers(1, 5), MINUTES, st.integers(0, 59)),
    st.builds(
        observation,
        st.sampled_from([ServiceStatus.RUNNING, ServiceStatus.DEGRADED, ServiceStatus.UNKNOWN]),
        MINUTES,
    ),
    st.builds(removal, MINUTES, st.integers(0, 59)),
)
HISTORIES = st.lists(ROWS, max_size=12, unique_by=lambda row: row.order_key)


@given(HISTORIES, st.randoms(use_true_random=False))
@settings(max_examples=300)
def test_any_order_and_number_of_the_same_rows_gives_the_same_knowledge(
    rows: list[HistoryRow], rng: Any
) -> None:
    again = [*rows, *rows]
    rng.shuffle(again)

    assert effective_rows(again) == effective_rows(rows)


@given(HISTORIES, MINUTES, st.integers(0, 59))
@settings(max_examples=300)
def test_what_becomes_known_later_never_changes_what_was_known(
    rows: list[HistoryRow], as_of: int, known_at: int
) -> None:
    then = [row for row in rows if row.known_from <= at(known_at)]

    assert facts_at(rows, at(as_of), at(known_at)) == facts_at(then, at(as_of), at(known_at))


@given(HISTORIES)
@settings(max_examples=300)
def test_now_is_the_end_of_the_timeline(rows: list[HistoryRow]) -> None:
    told = timeline(rows)

    assert (told[-1][0] if told else None) == facts_at(rows, at(59), at(59))
    assert all(a.order_key <= b.order_key for (_, a), (_, b) in pairwise(told))


@given(HISTORIES)
@settings(max_examples=300)
def test_the_release_that_is_told_is_the_highest_that_is_known(rows: list[HistoryRow]) -> None:
    facts = effective_rows(rows).facts
    revisions = [row.release_revision for row in rows if row.kind is RowKind.RELEASE]

    assert (facts.release.release_revision if facts else None) == max(revisions, default=None)


def test_nothing_is_known_of_nothing() -> None:
    assert EffectiveRows().facts is None
    assert effective_rows([removal(3)]).facts is None


V1, V2 = release(1, 1), release(2, 10)


@pytest.mark.parametrize(
    ("as_of", "known_at", "version", "status"),
    [
        pytest.param(5, 5, "1.0", ServiceStatus.RUNNING, id="while-the-first-ran"),
        pytest.param(12, 12, "1.0", ServiceStatus.RUNNING, id="the-second-not-yet-known"),
        pytest.param(12, 20, "2.0", ServiceStatus.RUNNING, id="the-second-known-later"),
        pytest.param(5, 59, "1.0", ServiceStatus.RUNNING, id="the-past-as-known-now"),
        pytest.param(25, 59, "2.0", ServiceStatus.DEGRADED, id="after-an-observation"),
        pytest.param(31, 59, "2.0", ServiceStatus.RETIRED, id="after-its-removal"),
    ],
)
def test_the_past_is_answered_as_it_was_known(
    as_of: int, known_at: int, version: str, status: ServiceStatus
) -> None:
    late = release(2, 10, known_at=15)
    rows = [V1, late, observation(ServiceStatus.DEGRADED, 20), removal(30)]
    facts = facts_at(rows, at(as_of), at(known_at))

    assert facts is not None
    assert (facts.release.component["version"], facts.status) == (version, status)


def test_before_the_first_release_there_was_nothing() -> None:
    assert facts_at([V1, V2], at(0), at(59)) is None


def test_a_rollback_proves_the_same_release_again_and_does_not_own_it() -> None:
    proved = release(1, 8, cause_kind="rollback", cause_id="dep-8", deployment_id="dep-8")
    facts = effective_rows([proved, V1]).facts

    assert facts is not None
    assert (facts.release.deployment_id, facts.cause_kind, facts.cause_id) == (
        "dep-1",
        "rollback",
        "dep-8",
    )


def test_a_removed_service_stays_retired_whatever_is_seen_of_it() -> None:
    facts = effective_rows([V1, removal(5), observation(ServiceStatus.RUNNING, 6)]).facts

    assert facts is not None
    assert facts.status is ServiceStatus.RETIRED


def test_a_removed_service_comes_back_with_a_release() -> None:
    facts = effective_rows([V1, removal(5), V2]).facts

    assert facts is not None
    assert facts.status is ServiceStatus.RUNNING


def test_what_was_seen_before_a_removal_says_nothing_after_it() -> None:
    facts = effective_rows([V1, observation(ServiceStatus.DEGRADED, 4), removal(5), V2]).facts

    assert facts is not None
    assert facts.status is ServiceStatus.RUNNING


def test_facts_hold_from_their_row_on_and_are_known_with_the_release_that_they_are_of() -> None:
    rows = [release(1, 5, known_at=20), observation(ServiceStatus.DEGRADED, 7)]

    facts = facts_at(rows, at(7), at(20))

    assert facts is not None
    assert (facts.status, facts.valid_from, facts.known_from) == (
        ServiceStatus.DEGRADED,
        at(7),
        at(20),
    )
    assert facts_at(rows, at(7), at(19)) is None


def test_what_is_seen_at_the_time_of_a_removal_is_of_what_was_removed() -> None:
    rows = [release(1, 1), removal(5), observation(ServiceStatus.DEGRADED, 5), release(2, 6)]

    facts = effective_rows(rows).facts

    assert facts is not None
    assert facts.status is ServiceStatus.RUNNING
