"""Reads what Prometheus' HTTP API answers: one number, a histogram by `le`, or times of points.

https://prometheus.io/docs/prometheus/latest/querying/api/
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from shared.kernel.errors import Unavailable
from shared.kernel.foreign_numbers import finite_number
from shared.metrics.measured_number import measured_number
from shared.surfaces.traffic import Histogram

BUCKETS_MAX: Final = 300
TIME_MAX_S: Final = 1.0
"""An instant query is answered for the time that was asked for; fractions may be cut."""
_LE: Final = "le"
_INFINITE: Final = frozenset({"+Inf", "Inf", "inf", "+inf"})


def series(answer: Mapping[str, Any]) -> Sequence[tuple[Mapping[str, str], Sequence[Any]]]:
    """Return labels and `[time, text]` of each series of an instant query's *answer*.

    Raises:
        Unavailable: it is none, or says that it is incomplete.
    """
    data = _data(answer)
    match data.get("resultType"), data.get("result"):
        case "scalar", [_, str()] as point:
            return [({}, point)]
        case "vector", list() as entries:
            return [_entry(each, "value") for each in entries]
        case other, _:
            raise Unavailable(f"the query has a result of type {str(other)[:40]}, not a vector")


def point_times(answer: Mapping[str, Any]) -> frozenset[float]:
    """Return the times at which a range query has any point. Raises Unavailable."""
    data = _data(answer)
    entries = data.get("result")
    if data.get("resultType") != "matrix" or not isinstance(entries, list):
        raise Unavailable("the range query has no matrix for a result")
    points = [point for each in entries for point in _entry(each, "values")[1]]
    return frozenset(_time(each[0] if isinstance(each, list) and each else None) for each in points)


def number(point: Sequence[Any], at_s: float) -> float:
    """Return the value of *point*, which is finite, not negative, and of the time *at_s*.

    Raises:
        Unavailable: it is something else.
    """
    match point:
        case [int() | float() as stated, str() as text]:
            time_s = _time(stated)
            if abs(time_s - at_s) > TIME_MAX_S:
                raise Unavailable(f"its value is of {time_s:.0f}, not of {at_s:.0f}")
            return measured_number(text)
        case _:
            raise Unavailable("its answer has a value that is no [time, text]")


def histogram(
    buckets: Sequence[tuple[Mapping[str, str], Sequence[Any]]], at_s: float, unit_ms: float
) -> Histogram:
    """Return the requests in *buckets*, which are cumulative, by the label `le` in *unit_ms*.

    Raises:
        Unavailable: a bucket has no `le`, two have the same, or the one of +Inf is not there.
    """
    if len(buckets) > BUCKETS_MAX:
        raise Unavailable(f"{len(buckets)} series, which are more than {BUCKETS_MAX} buckets")
    counts: dict[float, float] = {}
    for labels, point in buckets:
        bound = _bound(labels)
        if bound in counts:
            raise Unavailable(f"two series with le={labels[_LE]}: sum the query by (le)")
        counts[bound] = number(point, at_s)
    if counts.pop(math.inf, None) is None:
        raise Unavailable("no series with le=+Inf: the query of latency has to return all buckets")
    total = number(next(point for labels, point in buckets if math.isinf(_bound(labels))), at_s)
    bounds = sorted(counts)
    # `increase` extrapolates each bucket by itself, so one may be a little above the next.
    cumulative, highest = [], 0
    for value in [*(counts[bound] for bound in bounds), total]:
        highest = max(highest, round(value))
        cumulative.append(highest)
    steps = [high - low for low, high in zip([0, *cumulative], cumulative, strict=False)]
    bounds_ms = [measured_number(bound * unit_ms, "the bound of a bucket") for bound in bounds]
    return Histogram(tuple(round(bound, 6) for bound in bounds_ms), tuple(steps))


def _bound(labels: Mapping[str, str]) -> float:
    if _LE not in labels:
        raise Unavailable(
            "a series without the label le: the query of latency has to return buckets"
        )
    return math.inf if labels[_LE] in _INFINITE else measured_number(labels[_LE], "a bucket's le")


def _data(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    data = answer.get("data")
    if answer.get("status") != "success" or not isinstance(data, dict):
        raise Unavailable("its answer has no data")
    if warnings := answer.get("warnings"):
        # Thanos, Mimir and remote reads answer with what they have, and say here what they lack.
        raise Unavailable(f"its answer is incomplete: {str(warnings)[:150]}")
    return data


def _entry(entry: Any, key: str) -> tuple[Mapping[str, str], Sequence[Any]]:
    match entry:
        case {"metric": dict() as labels} if isinstance(entry.get(key), list):
            return {str(name): str(value) for name, value in labels.items()}, entry[key]
        case _:
            raise Unavailable("its answer has a series without labels or values")


def _time(stated: object) -> float:
    time_s = None if isinstance(stated, str) else finite_number(stated)
    if time_s is None:
        raise Unavailable("its answer has a point without a time")
    return time_s
