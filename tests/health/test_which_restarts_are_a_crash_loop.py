"""The restarts of an instance by their rules alone: news, crash loops, and the words for them."""

from datetime import timedelta
from typing import Final

import pytest

from function_apps.health.model.restarts import (
    InstanceRestarts,
    describe_restarts,
    has_crash_loop,
    has_restart_near,
    record_restarts,
    restarted,
)
from shared.contracts.health import HealthDefaults
from shared.kernel.clock import isoformat
from shared.surfaces.observed_state import Instance
from tests.kit.virtual_time import EPOCH

RULES: Final = HealthDefaults(
    crash_loop_restarts=3,
    crash_loop_within=timedelta(seconds=300),
    crash_loop_over=timedelta(seconds=600),
)


def at(seconds: float) -> str:
    return isoformat(EPOCH + timedelta(seconds=seconds))


def instance(restarts: int, name: str = "web-0", *, started_s: float = 0.0) -> Instance:
    started_at = EPOCH + timedelta(seconds=started_s)
    return Instance(name, 1, True, True, started_at, restarts=restarts, exit_reason="Exited")


def looked(
    known: InstanceRestarts | None, restarts: int, now_s: float, *, released_s: float = -1.0
) -> InstanceRestarts:
    """Return what is known of an instance after a look at it."""
    before = {} if known is None else {"web-0": known}
    now = EPOCH + timedelta(seconds=now_s)
    return record_restarts(before, [instance(restarts)], now, RULES, at(released_s))["web-0"]


@pytest.mark.parametrize(
    ("released_s", "noticed"),
    [
        pytest.param(-1.0, 2, id="restarted-after-its-release"),
        pytest.param(0.0, 0, id="at-the-moment-of-its-release"),
        pytest.param(1.0, 0, id="before-its-release"),
    ],
)
def test_at_a_first_look_restarts_are_news_if_the_last_came_after_the_release(
    released_s: float, noticed: int
) -> None:
    found = looked(None, 2, 5.0, released_s=released_s)

    assert found.noticed_at == (at(5),) * noticed
    assert found.restarts == 2


@pytest.mark.parametrize(
    ("noticed_s", "now_s", "is_loop"),
    [
        pytest.param((0, 100), 300, True, id="three-within-five-minutes"),
        pytest.param((0, 100), 300.5, False, id="the-first-is-longer-ago"),
        pytest.param((200,), 300, False, id="two"),
        pytest.param((-900, 0, 100), 300, True, id="the-last-three-count"),
    ],
)
def test_so_many_restarts_in_so_short_a_time_are_a_crash_loop(
    noticed_s: tuple[float, ...], now_s: float, *, is_loop: bool
) -> None:
    known = InstanceRestarts(len(noticed_s), "Exited", tuple(map(at, noticed_s)))

    found = looked(known, len(noticed_s) + 1, now_s)

    assert found.is_crash_loop is is_loop
    assert found.noticed_at == (*known.noticed_at, at(now_s))[-3:]


@pytest.mark.parametrize(
    ("restarts", "now_s", "is_loop"),
    [
        pytest.param(3, 799.5, True, id="it-has-stayed-up-too-short"),
        pytest.param(3, 800, False, id="it-has-stayed-up"),
        pytest.param(4, 799.5, True, id="one-more-restart-goes-on-with-it"),
        pytest.param(4, 800, False, id="one-restart-after-it-was-over"),
    ],
)
def test_a_crash_loop_is_over_when_an_instance_has_stayed_up(
    restarts: int, now_s: float, *, is_loop: bool
) -> None:
    known = InstanceRestarts(3, "Exited", (at(0), at(100), at(200)), is_crash_loop=True)

    assert looked(known, restarts, now_s).is_crash_loop is is_loop


def test_without_a_restart_nothing_begins() -> None:
    known = InstanceRestarts(3, "Exited", (at(0), at(100), at(200)))

    assert looked(known, 3, 250) == known


def test_an_instance_that_counts_anew_has_no_news() -> None:
    known = InstanceRestarts(3, "killed", (at(0), at(100), at(200)), is_crash_loop=True)

    found = looked(known, 1, 250)

    assert found == InstanceRestarts(1, instance(1).last_exit)
    assert found.last_exit


def test_only_what_restarted_since_is_told() -> None:
    before = {
        "again": InstanceRestarts(1, "", (at(0),)),
        "quiet": InstanceRestarts(1, "", (at(0),)),
        "anew": InstanceRestarts(5, "", (at(0),)),
    }
    after = {
        "again": InstanceRestarts(2, "", (at(0), at(9))),
        "quiet": InstanceRestarts(1, "", (at(0),)),
        "anew": InstanceRestarts(1, "", (at(9),)),
        "first": InstanceRestarts(1, "", (at(9),)),
        "long-ago": InstanceRestarts(1),
    }

    assert [*restarted(before, after)] == ["again", "first"]


def test_one_instance_in_a_crash_loop_is_one_of_the_service() -> None:
    up, loop = InstanceRestarts(9), InstanceRestarts(3, "", (at(0),), is_crash_loop=True)

    assert not has_crash_loop({})
    assert not has_crash_loop({"up": up})
    assert has_crash_loop({"up": up, "loop": loop})


@pytest.mark.parametrize(
    ("now_s", "is_near"),
    [
        pytest.param(10, True, id="just-before-it"),
        pytest.param(70, True, id="just-after-it"),
        pytest.param(9, False, id="longer-before-it"),
        pytest.param(71, False, id="longer-after-it"),
    ],
)
def test_a_restart_is_near_on_both_sides(now_s: float, *, is_near: bool) -> None:
    restarts = {"none": InstanceRestarts(0), "web-0": InstanceRestarts(2, "", (at(-999), at(40)))}
    moment, within = EPOCH + timedelta(seconds=now_s), timedelta(seconds=30)

    assert has_restart_near(restarts, moment, within) is is_near


def told(restarts: dict[str, InstanceRestarts], now_s: float = 300.0) -> str:
    return describe_restarts(restarts, EPOCH + timedelta(seconds=now_s), RULES)


@pytest.mark.parametrize(
    ("known", "words"),
    [
        pytest.param(InstanceRestarts(1, "exit status 1", (at(0),)),
                     "web-0 restarted once, last: exit status 1", id="once"),
        pytest.param(InstanceRestarts(2, "exit status 1", (at(-900), at(0))),
                     "web-0 restarted 2 times, last: exit status 1", id="again"),
        pytest.param(InstanceRestarts(9, "exit status 1", (at(-900),), is_crash_loop=True),
                     "web-0 restarted 9 times and is in a crash loop, last: exit status 1",
                     id="a-crash-loop-however-long-ago"),
        pytest.param(InstanceRestarts(1, "exit status 1", (at(-1),)), "", id="too-long-ago"),
        pytest.param(InstanceRestarts(4, "exit status 1"), "", id="before-anybody-looked"),
    ],
)  # fmt: skip
def test_a_restart_is_told_for_five_minutes(known: InstanceRestarts, words: str) -> None:
    assert told({"web-0": known}) == words


def test_three_are_named_crash_loops_first_and_the_others_are_counted() -> None:
    once = InstanceRestarts(1, "killed", (at(200),))
    loop = InstanceRestarts(3, "killed", (at(200),), is_crash_loop=True)

    three = told({"c": loop, "a": once, "b": once})
    five = told({"e": loop, "d": once, "c": loop, "b": once, "a": once})

    assert [each.partition(" ")[0] for each in three.split("; ")] == ["c", "a", "b"]
    assert [each.partition(" ")[0] for each in five.split("; ")] == ["c", "e", "a", "2"]
    assert five.endswith("; 2 other instances restarted too")
