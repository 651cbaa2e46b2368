"""What no float holds is no measurement, wherever in an answer of a provider it stands."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.kernel.errors import Unavailable
from shared.metrics.azure_monitor import _number as azure_number
from shared.metrics.clock_skew import check_clock
from shared.metrics.log_analytics import _number as log_number
from shared.metrics.prometheus_answer import histogram, number, point_times

HUGE = 10**400


def matrix(at: Any) -> dict[str, Any]:
    series = [{"metric": {}, "values": [[at, "1"]]}]
    return {"status": "success", "data": {"resultType": "matrix", "result": series}}


def buckets(le: str, unit_ms: float = 1000.0) -> object:
    return histogram([({"le": le}, [0, "1"]), ({"le": "+Inf"}, [0, "2"])], 0, unit_ms)


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(lambda: number([HUGE, "1"], 0), id="time-of-a-value"),
        pytest.param(lambda: number([0, "1e999"], 0), id="value"),
        pytest.param(lambda: number([0, "1_0"], 0), id="value-of-python"),
        pytest.param(lambda: point_times(matrix(HUGE)), id="time-of-a-point"),
        pytest.param(lambda: point_times(matrix(True)), id="truth-as-a-time"),
        pytest.param(lambda: buckets("1e308"), id="bound-in-milliseconds"),
        pytest.param(lambda: buckets("nan"), id="bound"),
        pytest.param(lambda: azure_number(HUGE), id="azure"),
        pytest.param(lambda: log_number({"value": HUGE}, "value"), id="logs"),
    ],
)
def test_an_odd_number_is_no_measurement(read: Callable[[], object]) -> None:
    with pytest.raises(Unavailable):
        read()


def test_buckets_of_numbers_are_a_histogram() -> None:
    assert buckets("0.5")


def test_a_date_of_no_year_says_nothing_of_a_clock() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)

    check_clock(f"Tue, 01 Jan {'9' * 30} 00:00:00 GMT", now, now)
