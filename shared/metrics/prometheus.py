"""The Metrics port over Prometheus' HTTP API, and whatever else speaks it.

Each question is asked twice: for the whole window, and in short steps over it, which shows a series
that ended in it, or was not measured for a part. One that begins in it is taken as it is: counters
are born with the first request.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from shared.contracts.metrics import Dialect, Metric
from shared.kernel.concurrency import bounded_map
from shared.kernel.errors import Unavailable
from shared.metrics.port import (
    Measured,
    Measurement,
    MetricsQuery,
    Missing,
    Resolution,
    Stale,
    Unmeasurable,
)
from shared.metrics.prometheus_answer import histogram, number, point_times, series
from shared.metrics.provider_client import ProviderClient
from shared.metrics.query_text import filled

SCRAPE_INTERVAL: Final = timedelta(seconds=15)
RANGE_INTERVALS: Final = 4
"""A rate takes two samples; of four scrapes two may fail (as Grafana's `$__rate_interval`)."""
STEPS_MAX: Final = 60
AT_ONCE: Final = 6
"""As many as a gate asks: one that hangs costs the time of one question, not of all."""


class PrometheusMetrics:
    """Metrics that *client* gives, scraped every *scrape_interval*.

    *tenant_header* names the tenant to a server that confines each to its own series
    (`X-Scope-OrgID` of Mimir); without one, a query reads whatever the credentials may.
    """

    def __init__(
        self,
        client: ProviderClient,
        *,
        scrape_interval: timedelta = SCRAPE_INTERVAL,
        tenant_header: str | None = None,
    ) -> None:
        self._client = client
        self._tenant_header = tenant_header
        self._step = scrape_interval
        self._range = scrape_interval * RANGE_INTERVALS
        self.resolution = Resolution(window_least=self._range)

    async def measure(self, queries: Sequence[MetricsQuery]) -> Sequence[Measurement]:
        return await bounded_map(queries, self._measure, at_once=AT_ONCE)

    async def _measure(self, query: MetricsQuery) -> Measurement:
        try:
            text = _filled(query, query.window)
        except ValueError as problem:
            return Unmeasurable(f"the query cannot be asked: {problem}", query.text)
        try:
            return await self._answered(query, text)
        except Unavailable as problem:
            return Unmeasurable(problem.message, text)

    async def _answered(self, query: MetricsQuery, text: str) -> Measurement:
        at_s = query.until.timestamp()
        answer = await self._ask(query, "/api/v1/query", {"query": text, "time": f"{at_s:.3f}"})
        found = series(answer)
        if not found:
            return Missing("no series", text)
        if query.metric is Metric.LATENCY:
            value: Any = histogram(found, at_s, query.latency_unit_ms)
        elif len(found) > 1:
            raise Unavailable(f"{len(found)} series where one was expected: sum the query")
        else:
            value = number(found[0][1], at_s)
        gap = await self._gap(query, text)
        return gap or Measured(value, query.until, text)

    async def _gap(self, query: MetricsQuery, text: str) -> Measurement | None:
        """Return the part of the window that was not measured; None where all of it was."""
        if query.window <= self._range:
            return None  # it is so short that a series which ended in it is gone from it
        step_s = math.ceil(max(self._step, query.window / STEPS_MAX).total_seconds())
        until_s = query.until.timestamp()
        steps = int((query.window - self._range).total_seconds() // step_s)
        expected = [until_s - step_s * back for back in range(steps, -1, -1)]
        form = {
            "query": _filled(query, self._range),
            "start": f"{expected[0]:.3f}",
            "end": f"{expected[-1]:.3f}",
            "step": f"{step_s}s",
        }
        times = point_times(await self._ask(query, "/api/v1/query_range", form))
        present = [any(abs(at_s - each) < step_s / 2 for each in times) for at_s in expected]
        if not any(present):
            return Missing("no series in any part of the window", text)
        last = max(index for index, is_there in enumerate(present) if is_there)
        if last < steps:
            ended_at = datetime.fromtimestamp(expected[last], UTC)
            late_s = until_s - expected[last]
            return Stale(f"its newest value is {late_s:.0f} s old", ended_at, text)
        covered = present[present.index(True) :]
        if not all(covered):
            absent = covered.count(False)
            why = f"{absent} of {len(covered)} parts of the window were not measured"
            after = max(index for index, is_there in enumerate(present) if not is_there) + 1
            return Unmeasurable(why, text, datetime.fromtimestamp(expected[after], UTC))
        return None

    async def _ask(
        self, query: MetricsQuery, path: str, form: Mapping[str, str]
    ) -> Mapping[str, Any]:
        headers = {}
        if self._tenant_header is not None:
            headers[self._tenant_header] = query.subject.component.tenant
        timeout = f"{self._client.timeout_s:g}s"
        return await self._client.ask(path, {**form, "timeout": timeout}, headers)


def _filled(query: MetricsQuery, window: timedelta) -> str:
    length = f"{max(1, round(window.total_seconds()))}s"
    return filled(query.text, Dialect.PROMQL, query.subject, length)
