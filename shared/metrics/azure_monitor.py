"""The Metrics port over Azure Monitor's metrics of resources (metrics:getBatch).

A query is `metric | aggregation | filter | dimension = value` (`AzureMetric`). Values come per
minute; one without a value was not measured. There are no histograms, so no latency for a gate.
https://learn.microsoft.com/rest/api/monitor/metrics-batch/batch
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from shared.contracts.gate_metrics import AzureMetric, azure_metric
from shared.contracts.metrics import RESOURCE_ID, Dialect, Metric
from shared.kernel.clock import Clock
from shared.kernel.concurrency import bounded_map
from shared.kernel.errors import Unavailable
from shared.metrics.azure_calls import AzureCalls, Hook, client_options
from shared.metrics.measured_number import measured_number
from shared.metrics.port import (
    Measured,
    Measurement,
    MetricsQuery,
    Missing,
    Resolution,
    Stale,
    Unmeasurable,
)
from shared.metrics.provider_client import TIMEOUT_S
from shared.metrics.query_text import filled

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.monitor.querymetrics.aio import MetricsClient

GRAIN: Final = timedelta(minutes=1)
DELAY: Final = timedelta(minutes=3)
"""Most metrics are there after that: https://learn.microsoft.com/azure/azure-monitor/platform/data-platform-metrics"""
_AT_ONCE: Final = 6
_SERIES_MAX: Final = 50
"""Values of a dimension; the service returns so many at most, and says nothing of others."""
_COUNTED: Final = frozenset({Metric.REQUESTS, Metric.ERRORS})


class AzureMonitorMetrics:
    """Metrics of the resources below *scopes*, asked at the regional *endpoint*. Close it."""

    resolution = Resolution(delay=DELAY, grain=GRAIN, window_least=GRAIN)

    def __init__(
        self,
        endpoint: str,
        credential: "Callable[[], AsyncTokenCredential]",
        scopes: Sequence[str],
        clock: Clock,
        *,
        ca_file: Path | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._endpoint = endpoint
        self._credential = credential
        self._scopes = tuple(f"{each.rstrip('/').lower()}/" for each in scopes)
        self._ca_file = ca_file
        self._calls = AzureCalls(self._opened, clock, timeout_s)

    async def close(self) -> None:
        """Close the connections; the next question opens others."""
        await self._calls.close()

    def _opened(self) -> "MetricsClient":
        from azure.monitor.querymetrics.aio import MetricsClient  # noqa: PLC0415  heavy

        return MetricsClient(self._endpoint, self._credential(), **client_options(self._ca_file))

    async def measure(self, queries: Sequence[MetricsQuery]) -> Sequence[Measurement]:
        return await bounded_map(queries, self._measure, at_once=_AT_ONCE)

    async def _measure(self, query: MetricsQuery) -> Measurement:
        try:
            text = filled(query.text, Dialect.ODATA, query.subject, "")
            asked = azure_metric(text)
        except ValueError as problem:
            return Unmeasurable(f"the query cannot be asked: {problem}", query.text)
        if not re.fullmatch(RESOURCE_ID, query.resource):
            return Unmeasurable("its resource is named by no id of an Azure resource", text)
        if not f"{query.resource.lower()}/".startswith(self._scopes):
            return Unmeasurable(
                "its resource is in none of the scopes of RUNTIME_MONITOR_SCOPES", text
            )
        if query.metric is Metric.LATENCY:
            return Missing("Azure Monitor has no histogram of latency", text)
        try:
            answer = await self._calls.call(lambda client, hook: _asked(client, query, asked, hook))
            return _measured(query, answer, asked, text)
        except Unavailable as problem:
            return Unmeasurable(problem.message, text)


async def _asked(
    client: "MetricsClient", query: MetricsQuery, asked: AzureMetric, hook: Hook
) -> tuple[Any, Sequence[str]]:
    split = f"{asked.dimension} eq '*'" if asked.dimension else ""
    condition = " and ".join(each for each in (asked.condition, split) if each)
    bodies: list[Any] = []

    def keep(response: Any) -> None:
        hook(response)
        bodies.append(response.http_response)

    (result,) = await client.query_resources(
        resource_ids=[query.resource],
        metric_namespace=query.namespace,
        metric_names=[asked.name],
        timespan=(query.since, query.until),
        granularity=GRAIN,
        aggregations=[asked.aggregation],
        filter=condition or None,
        max_results=_SERIES_MAX if condition else None,
        raw_response_hook=keep,
    )
    # The SDK leaves out what the service says of a metric that it could not read whole.
    (entry,) = bodies[-1].json()["values"]
    return result, [each.get("errorCode", "Success") for each in entry["value"]]


def _measured(
    query: MetricsQuery, answer: tuple[Any, Sequence[str]], asked: AzureMetric, text: str
) -> Measurement:
    """Return the sum over the minutes of a count, the mean of anything else. Raises Unavailable."""
    result, codes = answer
    bad = [code for code in codes if code != "Success"]
    if bad:
        raise Unavailable(f"its answer is incomplete: {str(bad[0])[:100]}")
    series = [each for metric in result.metrics for each in metric.timeseries]
    if not series:
        return Missing("no series", text)
    if len(series) >= _SERIES_MAX:
        raise Unavailable(f"its answer is incomplete: {_SERIES_MAX} series or more")
    minutes = _minutes(query.since, query.until)
    found = _by_minute(series, asked, minutes)
    measured = [each for each in found if each is not None]
    if not measured:
        return Missing("no value in any minute of the window", text)
    last = max(index for index, value in enumerate(found) if value is not None)
    if last < len(found) - 1:
        ended_at = minutes[last] + GRAIN
        late_s = (query.until - ended_at).total_seconds()
        return Stale(f"its newest value is {late_s:.0f} s old", ended_at, text)
    if len(measured) < len(found):
        absent = len(found) - len(measured)
        why = f"{absent} of {len(found)} minutes of the window were not measured"
        after = max(index for index, value in enumerate(found) if value is None) + 1
        return Unmeasurable(why, text, minutes[after])
    total = measured_number(sum(measured), "the sum of its values")
    value = total if query.metric in _COUNTED else total / len(measured)
    return Measured(value, query.until, text)


def _by_minute(
    series: Sequence[Any], asked: AzureMetric, minutes: Sequence[datetime]
) -> Sequence[float | None]:
    """Return the value of each minute, None for one that was not measured. Raises Unavailable."""
    member = asked.aggregation.lower()
    tables = [{each.timestamp: getattr(each, member) for each in one.data} for one in series]
    values = [[_number(table.get(each)) for each in minutes] for table in tables]
    chosen = [
        row
        for row, one in zip(values, series, strict=True)
        if not asked.dimension or _is_of(one.metadata_values, asked)
    ]
    if len(chosen) > 1:
        raise Unavailable(f"{len(chosen)} series where one was expected: filter the query")
    if not asked.dimension:
        return chosen[0]
    # What happened in a minute is split by the dimension: where there is another value, ours is 0.
    ours = chosen[0] if chosen else [None] * len(minutes)
    anything = [any(row[index] is not None for row in values) for index in range(len(minutes))]
    return [
        0.0 if each is None and is_there else each
        for each, is_there in zip(ours, anything, strict=True)
    ]


def _is_of(labels: Mapping[str, Any], asked: AzureMetric) -> bool:
    named = {name.casefold(): str(value).casefold() for name, value in labels.items()}
    return named.get(asked.dimension.casefold()) == asked.value.casefold()


def _minutes(since: datetime, until: datetime) -> Sequence[datetime]:
    return [since + GRAIN * each for each in range((until - since) // GRAIN)]


def _number(value: Any) -> float | None:
    """Return a value that was measured. Raises Unavailable for one that is no number."""
    return None if value is None else measured_number(value)
