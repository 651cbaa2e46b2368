"""The Metrics port over a Log Analytics workspace: Application Insights' requests, in Kusto.

A query returns one row with `value` and `latest`, the time of its newest record; for latency a row
for each bucket, with its upper bound `le` and the `count` of requests in it, not cumulative.
https://learn.microsoft.com/azure/azure-monitor/logs/api/response-format
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from shared.contracts.metrics import Dialect, Metric
from shared.kernel.clock import Clock
from shared.kernel.concurrency import bounded_map
from shared.kernel.errors import Unavailable
from shared.metrics.azure_calls import AzureCalls, Hook, client_options
from shared.metrics.clock_skew import SKEW_MAX_S
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
from shared.metrics.prometheus_answer import BUCKETS_MAX
from shared.metrics.provider_client import TIMEOUT_S
from shared.metrics.query_text import filled
from shared.surfaces.traffic import Histogram

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.monitor.query.aio import LogsQueryClient

PUBLIC: Final = "https://api.loganalytics.io"
DELAY: Final = timedelta(minutes=5)
"""Records are there after two to five minutes:
https://learn.microsoft.com/azure/azure-monitor/logs/data-ingestion-time"""
_AT_ONCE: Final = 4
"""Of five that a user may have running."""


class LogAnalyticsMetrics:
    """Metrics that queries find in *workspace*, by its id. Close it."""

    resolution = Resolution(delay=DELAY, window_least=timedelta(minutes=1))

    def __init__(
        self,
        workspace: str,
        credential: "Callable[[], AsyncTokenCredential]",
        clock: Clock,
        *,
        endpoint: str = PUBLIC,
        ca_file: Path | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._workspace = workspace
        self._credential = credential
        self._endpoint = endpoint
        self._ca_file = ca_file
        self._timeout_s = timeout_s
        self._calls = AzureCalls(self._opened, clock, timeout_s)

    async def close(self) -> None:
        """Close the connections; the next question opens others."""
        await self._calls.close()

    def _opened(self) -> "LogsQueryClient":
        from azure.monitor.query.aio import LogsQueryClient  # noqa: PLC0415  heavy: where used

        return LogsQueryClient(
            self._credential(), endpoint=self._endpoint, **client_options(self._ca_file)
        )

    async def measure(self, queries: Sequence[MetricsQuery]) -> Sequence[Measurement]:
        return await bounded_map(queries, self._measure, at_once=_AT_ONCE)

    async def _measure(self, query: MetricsQuery) -> Measurement:
        length = f"{max(1, round(query.window.total_seconds()))}s"
        try:
            text = filled(query.text, Dialect.KUSTO, query.subject, length)
        except ValueError as problem:
            return Unmeasurable(f"the query cannot be asked: {problem}", query.text)
        try:
            rows = await self._calls.call(lambda client, hook: self._ask(client, query, text, hook))
            return _measured(query, rows, text)
        except Unavailable as problem:
            return Unmeasurable(problem.message, text)

    async def _ask(
        self, client: "LogsQueryClient", query: MetricsQuery, text: str, hook: Hook
    ) -> Sequence[Mapping[str, Any]]:
        from azure.monitor.query import LogsQueryPartialResult  # noqa: PLC0415  heavy: where used

        result = await client.query_workspace(
            self._workspace,
            text,
            timespan=(query.since, query.until),
            server_timeout=max(1, round(self._timeout_s)),
            raw_response_hook=hook,
        )
        if isinstance(result, LogsQueryPartialResult):
            code = getattr(result.partial_error, "code", "PartialError")
            raise Unavailable(f"its answer is incomplete: {str(code)[:100]}")
        (table,) = result.tables
        return [dict(zip(table.columns, list(row), strict=True)) for row in table.rows]


def _measured(query: MetricsQuery, rows: Sequence[Mapping[str, Any]], text: str) -> Measurement:
    """Return the measurement in *rows*. Raises Unavailable."""
    if not rows:
        return Missing("no rows", text)
    if query.metric is not Metric.LATENCY and len(rows) > 1:
        raise Unavailable(f"{len(rows)} rows where one was expected: summarize the query")
    if not all("latest" in row for row in rows):
        raise Unavailable("no column latest: add latest=max(TimeGenerated)")
    times = [row["latest"] for row in rows if row["latest"] not in (None, "")]
    if not times:
        return Missing("no records", text)
    if not all(isinstance(each, datetime) for each in times):
        raise Unavailable("its column latest is no time")
    latest = max(times)
    if (latest - query.until).total_seconds() > SKEW_MAX_S:
        raise Unavailable("its newest record is of after the window: clocks differ")
    if query.until - latest > query.window / 2:
        late_s = (query.until - latest).total_seconds()
        return Stale(f"its newest record is {late_s:.0f} s old", latest, text)
    if query.metric is Metric.LATENCY:
        return Measured(_histogram(rows, query.latency_unit_ms), query.until, text)
    return Measured(_number(rows[0], "value"), query.until, text)


def _histogram(rows: Sequence[Mapping[str, Any]], unit_ms: float) -> Histogram:
    if len(rows) > BUCKETS_MAX:
        raise Unavailable(f"{len(rows)} rows, which are more than {BUCKETS_MAX} buckets")
    counts = [
        (measured_number(_number(row, "le") * unit_ms, "its le"), round(_number(row, "count")))
        for row in rows
    ]
    bounds = sorted(bound for bound, _ in counts)
    if len(set(bounds)) < len(bounds):
        raise Unavailable("two rows with the same le: summarize the query by le")
    by_bound = dict(counts)
    return Histogram(tuple(bounds), (*(by_bound[each] for each in bounds), 0))


def _number(row: Mapping[str, Any], column: str) -> float:
    """Return a number of *row*. Raises Unavailable."""
    if column not in row:
        raise Unavailable(f"no column {column}")
    return measured_number(row[column], f"its {column}")
