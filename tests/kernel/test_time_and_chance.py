"""One seed, one run; instants that sort as text; clocks that only go on."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.kernel.clock import SystemClock, isoformat, parse_instant
from shared.kernel.entropy import SystemEntropy
from tests.kit.seeded_entropy import SeededEntropy
from tests.kit.virtual_time import EPOCH, LoopClock, run_virtual

moments = st.floats(0, 10**9).map(lambda seconds: EPOCH + timedelta(seconds=seconds))


@given(moments)
def test_an_instant_is_read_back_equal(moment: datetime) -> None:
    assert parse_instant(isoformat(moment)) == moment


@given(moments, moments)
def test_instants_sort_as_text_as_they_do_in_time(one: datetime, two: datetime) -> None:
    assert (isoformat(one) < isoformat(two)) == (one < two)


def test_an_offset_is_read_and_written_as_utc() -> None:
    local = datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))

    assert isoformat(local) == "2026-01-01T00:00:00.000000Z"
    assert parse_instant("2026-01-01T02:00:00+02:00") == EPOCH


@pytest.mark.parametrize("text", ["2026-01-01T00:00:00", "2026-01-01", "yesterday", ""])
def test_what_names_no_instant_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_instant(text)


def test_a_virtual_hour_costs_nothing_and_all_clocks_agree() -> None:
    async def main() -> tuple[timedelta, float]:
        clock = LoopClock()
        at, started_s = clock.now(), clock.monotonic_s()
        await clock.sleep(3600)
        return clock.now() - at, clock.monotonic_s() - started_s

    assert run_virtual(main()) == (timedelta(hours=1), 3600)


async def test_the_machine_s_clock_is_aware_and_goes_on() -> None:
    clock = SystemClock()
    at, started_s = clock.now(), clock.monotonic_s()
    await clock.sleep(0)

    assert at.tzinfo is UTC
    assert clock.now() >= at
    assert clock.monotonic_s() >= started_s


def _drawn(entropy: SeededEntropy) -> list[object]:
    return [entropy.uuid(), entropy.fraction(), entropy.bits(64), entropy.uuid()]


def test_equal_seeds_draw_equally_and_others_do_not() -> None:
    assert _drawn(SeededEntropy(7)) == _drawn(SeededEntropy(7))
    assert _drawn(SeededEntropy(7)) != _drawn(SeededEntropy(8))


def test_the_system_s_randomness_does_not_repeat() -> None:
    entropy = SystemEntropy()

    assert len({entropy.uuid() for _ in range(5000)}) == 5000
    assert all(entropy.uuid().version == 4 for _ in range(10))
    assert all(0 <= entropy.fraction() < 1 for _ in range(1000))
    assert all(0 <= entropy.bits(30) < 2**30 for _ in range(1000))
    assert len({entropy.bits(64) for _ in range(1000)}) == 1000
