"""When a source in Git is fetched: who asks, what runs already, and how the last fetch ended."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

import pytest

from function_apps.drift.model.git_source import (
    FETCH_AT_MOST,
    PAUSE,
    READER_VERSION,
    GitSource,
    begin_fetch,
    end_fetch,
    new_source,
    order_fetch,
)
from function_apps.drift.model.git_state import DesiredEnvironment, DesiredState
from shared.contracts.drift import FollowGitSource
from shared.contracts.values import Reason
from shared.kernel.clock import isoformat
from tests.drift.followed import FOLLOW
from tests.kit.told import ENVIRONMENT
from tests.kit.virtual_time import EPOCH

EVERY: Final = timedelta(minutes=5)
READ: Final = DesiredState("c" * 40, (DesiredEnvironment(ENVIRONMENT, "environments/shop"),))
AWAY: Final = Reason(code="RepositoryAway", message="no answer")


def at(seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


def source(**changes: Any) -> GitSource:
    """Return a source that is due now, and every five minutes."""
    command = FollowGitSource.model_validate({**FOLLOW, "every": "PT5M"})
    return replace(new_source(command, "gs-1", "acme", EPOCH), **changes)


def begun(known: GitSource | None = None, now: datetime = EPOCH) -> GitSource:
    fetching = begin_fetch(known or source(), now)
    assert fetching is not None
    return fetching


def ended(known: GitSource, result: DesiredState | Reason | None, now: datetime) -> GitSource:
    after = end_fetch(known, known, result, now)
    assert after is not None
    return after


def test_a_new_source_is_due_at_once_and_has_each_environment_once() -> None:
    command = FollowGitSource.model_validate({**FOLLOW, "environmentIds": [ENVIRONMENT] * 2})

    made = new_source(command, "gs-1", "acme", EPOCH)

    assert made.due_at == isoformat(EPOCH)
    assert made.environment_ids == (ENVIRONMENT,)


def test_a_fetch_has_its_number_and_as_much_time_as_one_may_take() -> None:
    fetching = begun()

    assert (fetching.fetches, fetching.began_at) == (1, isoformat(EPOCH))
    assert fetching.fetching_until == fetching.due_at == isoformat(EPOCH + FETCH_AT_MOST)
    assert not fetching.is_wanted


@pytest.mark.parametrize(
    ("known", "seconds", "begins"),
    [
        pytest.param(source(), 0, True, id="due"),
        pytest.param(source(due_at=isoformat(at(1))), 0, False, id="not-due"),
        pytest.param(replace(begun(), due_at=isoformat(at(0))), 1, False, id="while-one-runs"),
        pytest.param(begun(), FETCH_AT_MOST.total_seconds(), True, id="once-that-was-cut-off"),
        pytest.param(
            replace(begun(now=at(3600)), due_at=isoformat(at(0))), 0, True, id="by-a-wrong-clock"
        ),
    ],
)
def test_a_fetch_begins_when_it_is_due_and_none_runs(
    known: GitSource, seconds: float, *, begins: bool
) -> None:
    assert (begin_fetch(known, at(seconds)) is not None) is begins


# Who asks for one.


def test_who_asks_while_one_runs_gets_exactly_one_more_after_it() -> None:
    running = begun()

    first = order_fetch(running, at(1))

    assert first == replace(running, is_wanted=True)
    assert order_fetch(first, at(2)) is None


@pytest.mark.parametrize(
    ("seconds", "due"),
    [
        pytest.param(3, PAUSE.total_seconds(), id="a-pause-after-the-last-one-began"),
        pytest.param(60, 60, id="at-once-when-that-is-over"),
    ],
)
def test_who_asks_when_none_runs_has_it_due(seconds: float, due: float) -> None:
    rests = ended(begun(), None, at(2))

    ordered = order_fetch(rests, at(seconds))

    assert ordered is not None
    assert ordered.due_at == isoformat(at(due))
    assert order_fetch(ordered, at(seconds)) is None


def test_one_that_was_never_fetched_is_due_already() -> None:
    assert order_fetch(source(), EPOCH) is None


# How one ends.


def test_what_was_read_replaces_what_was_known_and_is_due_again_in_its_time() -> None:
    after = ended(begun(source(reason=AWAY, stale_since=isoformat(EPOCH), failures=3)), READ, at(7))

    assert (after.commit, after.environments) == (READ.commit, READ.environments)
    assert (after.reader_version, after.known_commit) == (READER_VERSION, READ.commit)
    assert (after.reason, after.stale_since, after.failures) == (None, None, 0)
    assert (after.synced_at, after.due_at) == (isoformat(at(7)), isoformat(at(7) + EVERY))
    assert (after.revision, after.fetching_until) == (2, None)


def test_where_nothing_is_new_what_was_read_stays() -> None:
    known = ended(begun(), READ, at(7))

    after = ended(begun(known, at(400)), None, at(401))

    assert (after.commit, after.environments) == (READ.commit, READ.environments)
    assert after.synced_at == isoformat(at(401))


@pytest.mark.parametrize(
    ("failures", "pause"),
    [
        pytest.param(0, timedelta(minutes=10), id="the-first"),
        pytest.param(1, timedelta(minutes=20), id="the-second"),
        pytest.param(50, timedelta(hours=1), id="after-many-once-an-hour"),
    ],
)
def test_a_fetch_that_fails_is_tried_again_later_each_time(failures: int, pause: timedelta) -> None:
    after = ended(begun(source(failures=failures)), AWAY, at(7))

    assert (after.failures, after.reason) == (failures + 1, AWAY)
    assert after.due_at == isoformat(at(7) + pause)


def test_a_source_that_is_fetched_less_often_is_not_fetched_more_often_after_a_failure() -> None:
    daily = timedelta(days=1)

    after = ended(begun(source(every_s=daily.total_seconds())), AWAY, at(7))

    assert after.due_at == isoformat(at(7) + daily)


def test_it_is_stale_since_the_first_of_the_failures_and_keeps_what_it_read() -> None:
    known = ended(begun(), READ, at(7))

    first = ended(begun(known, at(400)), AWAY, at(401))
    second = ended(begun(first, at(4000)), AWAY, at(4001))

    assert (first.stale_since, second.stale_since) == (isoformat(at(401)),) * 2
    assert (second.commit, second.synced_at) == (READ.commit, isoformat(at(7)))


@pytest.mark.parametrize("result", [READ, AWAY], ids=["well", "badly"])
def test_one_that_was_asked_for_meanwhile_follows_a_pause_after_it_began(
    result: DesiredState | Reason,
) -> None:
    wanted = replace(begun(), is_wanted=True)

    after = ended(wanted, result, at(2))

    assert after.due_at == isoformat(EPOCH + PAUSE)
    assert not after.is_wanted


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"fetches": 2}, id="another-began-since"),
        pytest.param({"began_at": isoformat(at(1))}, id="the-source-was-added-again"),
    ],
)
def test_the_late_end_of_another_fetch_changes_nothing(changes: dict[str, Any]) -> None:
    running = begun()

    assert end_fetch(replace(running, **changes), running, READ, at(2)) is None
