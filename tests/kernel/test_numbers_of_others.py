"""A number of a foreign answer is a float, or it is none; nothing of it raises."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.connections.retry_after import retry_after_s
from shared.kernel.clock import parse_instant
from shared.kernel.foreign_numbers import finite_number


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (7, 7.0),
        (-1.5, -1.5),
        ("0.25", 0.25),
        (".5", 0.5),
        ("3.", 3.0),
        ("1e3", 1000.0),
        ("+2", 2.0),
    ],
)
def test_numbers_and_their_texts_are_read(value: Any, number: float) -> None:
    assert finite_number(value) == number


@pytest.mark.parametrize(
    "value",
    [10**400, -(10**400), math.inf, math.nan, "1e999", "9" * 5000, "NaN", "Infinity", "1_0",
     "\u0661", "0x10", " 1", "", True, None, [], {}],
    ids=lambda value: str(value)[:12],
)  # fmt: skip
def test_what_no_float_holds_is_none(value: Any) -> None:
    assert finite_number(value) is None


@given(st.integers() | st.floats() | st.text() | st.booleans() | st.none())
def test_whatever_it_is_given_it_returns_a_finite_number_or_none(value: Any) -> None:
    number = finite_number(value)

    assert number is None or math.isfinite(number)


def test_a_service_that_asks_for_a_wait_without_end_is_asked_again_as_one_that_says_nothing() -> (
    None
):
    assert retry_after_s(10**400, 5.0) == 5.0
    assert retry_after_s("1e999", 5.0) == 5.0


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_an_instant_outside_of_all_years_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="year"):
        parse_instant(text)
