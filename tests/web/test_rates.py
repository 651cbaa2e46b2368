"""GCRA: a burst at once, a rate in the long run, each tenant by itself."""

import pytest

from shared.web.rate_limit import RateLimit, TooManyRequests
from tests.kit.stores import HandClock


def _taken(limit: RateLimit, tenant: str, count: int) -> int:
    taken = 0
    for _ in range(count):
        try:
            limit.take(tenant)
        except TooManyRequests:
            continue
        taken += 1
    return taken


def test_a_burst_passes_at_once_and_no_more() -> None:
    limit = RateLimit(10, 30, HandClock())

    assert _taken(limit, "acme", 100) == 30


def test_the_rate_passes_in_the_long_run_whatever_is_refused() -> None:
    clock = HandClock()
    limit = RateLimit(10, 30, clock)
    taken = 0
    for _ in range(1000):
        clock.pass_by(0.02)
        taken += _taken(limit, "acme", 3)

    assert 20 * 10 <= taken <= 20 * 10 + 30


def test_tenants_do_not_take_from_each_other() -> None:
    limit = RateLimit(10, 30, HandClock())
    _taken(limit, "acme", 100)

    assert _taken(limit, "globex", 100) == 30


def test_who_waits_as_long_as_told_is_let_through() -> None:
    clock = HandClock()
    limit = RateLimit(3, 2, clock)
    _taken(limit, "acme", 2)
    with pytest.raises(TooManyRequests) as refused:
        limit.take("acme")

    clock.pass_by(refused.value.retry_after_s)

    limit.take("acme")


def test_idle_tenants_are_forgotten() -> None:
    clock = HandClock()
    limit = RateLimit(1000, 10, clock)
    for number in range(10_000):
        limit.take(f"tenant-{number}")
    clock.pass_by(1)
    limit.take("acme")

    assert len(limit._empty_at_s) == 1
