"""Whatever a service, or something before it, asks its callers to wait."""

from typing import Any

import pytest

from shared.connections.retry_after import retry_after_s


@pytest.mark.parametrize(
    ("asked", "wait_s"),
    [
        pytest.param("17", 17, id="seconds"),
        pytest.param(0.5, 0.5, id="number"),
        pytest.param("86400", 60, id="a-day"),
        pytest.param("-5", 0, id="negative"),
        pytest.param("Wed, 21 Oct 2026 07:28:00 GMT", 15, id="date"),
        pytest.param("nan", 15, id="no-number"),
        pytest.param("1e999", 15, id="endless"),
        pytest.param(None, 15, id="absent"),
    ],
)
def test_a_wait_is_a_minute_at_most_and_a_default_where_none_is_asked(
    asked: Any, wait_s: float
) -> None:
    assert retry_after_s(asked, 15) == wait_s


def test_a_wait_in_milliseconds_is_one_in_seconds() -> None:
    assert retry_after_s("700", per_s=1000) == 0.7
    assert retry_after_s("9999999", per_s=1000) == 60
