"""Azure Monitor by Microsoft's clients: what is asked, what an answer means, what is refused."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from shared.contracts.metrics import Metric
from shared.kernel.clock import isoformat
from shared.metrics.port import Measured, MetricsQuery, Missing, Stale, Unmeasurable
from shared.surfaces.traffic import Histogram
from tests.kit.provider_stand_in import Reply, StandIn, stand_in
from tests.metrics.providers import (
    RESOURCE,
    Fault,
    Provider,
    azure_monitor_provider,
    log_analytics_provider,
)

pytestmark = pytest.mark.real


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[StandIn]:
    async with stand_in(tmp_path) as served:
        yield served


@pytest.fixture
async def opened(server: StandIn, tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    made: list[Any] = []

    async def open_provider(make: Callable[[StandIn, Path], Provider]) -> Provider:
        provider = make(server, tmp_path)
        made.append(provider.metrics)
        await provider.show(Fault.NONE)
        return provider

    yield open_provider
    for each in made:
        await each.close()


async def test_a_resource_is_asked_for_its_revision_minute_by_minute(
    server: StandIn, opened: Callable[..., Any]
) -> None:
    monitor = await opened(azure_monitor_provider)
    await monitor.measured()

    (asked,) = server.asked
    parts = urlsplit(asked.path)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    assert parts.path == f"/subscriptions/{RESOURCE.split('/')[2]}/metrics:getBatch"
    assert query["filter"] == "revisionName eq 'web--2'"
    assert (query["interval"], query["aggregation"], query["top"]) == ("PT1M", "Total", "50")
    assert query["metricnames"] == "Requests"
    assert RESOURCE in asked.body


@pytest.mark.parametrize(
    "resource",
    [
        RESOURCE.replace("/shop/", "/shop-of-others/"),
        RESOURCE.replace("0b1f6471", "11111111"),
        "/subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590/resourceGroups/shop2/providers/M.A/c/w",
    ],
    ids=["another-group", "another-subscription", "a-group-that-begins-alike"],
)
async def test_a_resource_outside_of_the_scopes_is_not_asked_for(
    server: StandIn, opened: Callable[..., Any], resource: str
) -> None:
    monitor = await opened(azure_monitor_provider)

    (measurement,) = await monitor.metrics.measure([replace(monitor.query(), resource=resource)])

    assert isinstance(measurement, Unmeasurable)
    assert "RUNTIME_MONITOR_SCOPES" in measurement.reason
    assert server.asked == []


@pytest.mark.parametrize(
    "out_of_it",
    [
        "/../../../../../../11111111-1bf0-4dda-aec3-cb9272f09590/resourceGroups/b/providers/M.A/c/w",
        "/%2e%2e/other",
        "?resourceId=other",
        "\\other",
    ],
    ids=["dots", "escaped-dots", "a-query", "a-backslash"],
)
async def test_an_id_that_begins_in_a_scope_and_leads_out_of_it_is_not_asked_for(
    server: StandIn, opened: Callable[..., Any], out_of_it: str
) -> None:
    monitor = await opened(azure_monitor_provider)
    asked = replace(monitor.query(), resource=f"{RESOURCE}{out_of_it}")

    (measurement,) = await monitor.metrics.measure([asked])

    assert isinstance(measurement, Unmeasurable)
    assert "no id of an Azure resource" in measurement.reason
    assert server.asked == []


@pytest.mark.parametrize(
    ("values", "metric", "expected"),
    [
        ([30.0, 10.0], Metric.REQUESTS, 40.0),
        ([30.0, 10.0], Metric.CPU, 20.0),
        ([0.0, 0.0], Metric.ERRORS, 0.0),
        ([None, 10.0], Metric.REQUESTS, Unmeasurable),
        ([10.0, None], Metric.REQUESTS, Stale),
        ([None, None], Metric.REQUESTS, Missing),
        ([-1.0, 10.0], Metric.REQUESTS, Unmeasurable),
        ([10.0, 10.0], Metric.LATENCY, Missing),
    ],
    ids=["a-sum", "a-mean", "nothing-happened", "a-minute-is-missing", "the-last-is-missing",
         "all-are-missing", "negative", "latency"],
)  # fmt: skip
async def test_a_minute_without_a_value_was_not_measured(
    server: StandIn, opened: Callable[..., Any], values: list[Any], metric: Metric, expected: Any
) -> None:
    monitor = await opened(azure_monitor_provider)
    body = server.replies["/subscriptions"].body
    for point, value in zip(
        body["values"][0]["value"][0]["timeseries"][0]["data"], values, strict=True
    ):
        point.pop("total")
        if value is not None:
            point["total"] = value

    (measurement,) = await monitor.metrics.measure([replace(monitor.query(), metric=metric)])

    if isinstance(expected, float):
        assert isinstance(measurement, Measured), measurement
        assert measurement.value == expected
    else:
        assert isinstance(measurement, expected), measurement


async def test_minutes_after_one_that_is_missing_can_be_asked_for_alone(
    server: StandIn, opened: Callable[..., Any]
) -> None:
    monitor = await opened(azure_monitor_provider)
    points = server.replies["/subscriptions"].body["values"][0]["value"][0]["timeseries"][0]["data"]
    points[0].pop("total")

    (measurement,) = await monitor.metrics.measure([monitor.query()])

    assert isinstance(measurement, Unmeasurable)
    assert measurement.covered_since == monitor.query().since + timedelta(minutes=1)


ERRORS = "Requests | Total | revisionName eq 'web--{{revision}}' | statusCodeCategory = 5xx"


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        ({"2xx": [50.0, 50.0], "5xx": [None, 3.0]}, 3.0),
        ({"2xx": [50.0, 50.0]}, 0.0),
        ({"2xx": [50.0, None], "5xx": [1.0, 2.0]}, 3.0),
        ({"2xx": [50.0, None], "5xx": [1.0, None]}, Stale),
        ({"2xx": [None, 50.0]}, Unmeasurable),
        ({}, Missing),
        ({f"{n}xx": [1.0, 1.0] for n in range(50)}, Unmeasurable),
    ],
    ids=["some-failed", "none-failed", "all-of-a-minute-failed", "the-last-minute-is-missing",
         "the-first-minute-is-missing", "no-requests", "too-many-values"],
)  # fmt: skip
async def test_no_failures_are_zero_only_in_a_minute_in_which_requests_were_measured(
    server: StandIn, opened: Callable[..., Any], split: dict[str, list[Any]], expected: Any
) -> None:
    monitor = await opened(azure_monitor_provider)
    metric = server.replies["/subscriptions"].body["values"][0]["value"][0]
    times = [each["timeStamp"] for each in metric["timeseries"][0]["data"]]
    metric["timeseries"] = [
        {
            "metadatavalues": [{"name": {"value": "statuscodecategory"}, "value": name}],
            "data": [
                {"timeStamp": at} | ({} if value is None else {"total": value})
                for at, value in zip(times, values, strict=True)
            ],
        }
        for name, values in split.items()
    ]
    query = replace(monitor.query(), metric=Metric.ERRORS, text=ERRORS)

    (measurement,) = await monitor.metrics.measure([query])

    if isinstance(expected, float):
        assert isinstance(measurement, Measured), measurement
        assert measurement.value == expected
    else:
        assert isinstance(measurement, expected), measurement
    asked = parse_qs(urlsplit(server.asked[0].path).query)["filter"]
    assert asked == ["revisionName eq 'web--2' and statusCodeCategory eq '*'"]


def table(columns: dict[str, str], *rows: list[Any]) -> Reply:
    named = [{"name": name, "type": of} for name, of in columns.items()]
    return Reply({"tables": [{"name": "PrimaryResult", "columns": named, "rows": list(rows)}]})


LATENCY = {"le": "real", "count": "long", "latest": "datetime"}
SCALAR = {"value": "real", "latest": "datetime"}


async def test_buckets_of_a_kusto_query_are_a_histogram_in_milliseconds(
    server: StandIn, opened: Callable[..., Any]
) -> None:
    logs = await opened(log_analytics_provider)
    query: MetricsQuery = replace(logs.query(), metric=Metric.LATENCY, latency_unit_ms=1.0)
    latest = isoformat(query.until)
    server.replies["/v1/workspaces"] = table(LATENCY, [100.0, 5, latest], [50.0, 90, latest])

    (measurement,) = await logs.metrics.measure([query])

    assert isinstance(measurement, Measured), measurement
    assert measurement.value == Histogram((50.0, 100.0), (90, 5, 0))


async def test_a_workspace_is_asked_for_the_window_and_the_revision(
    server: StandIn, opened: Callable[..., Any]
) -> None:
    logs = await opened(log_analytics_provider)
    query = logs.query()
    await logs.metrics.measure([query])

    (asked,) = server.asked
    assert "AppRoleName == 'module-web' and AppVersion == '2'" in asked.body
    assert isoformat(query.since)[:19] in asked.body
    assert asked.headers["prefer"].startswith("wait=")


@pytest.mark.parametrize(
    ("reply", "kind", "reason"),
    [
        (lambda at: table({"value": "real"}, [1.0]), Unmeasurable, "no column latest"),
        (lambda at: table({"latest": "datetime"}, [at]), Unmeasurable, "no column value"),
        (lambda at: table(SCALAR, [0, None]), Missing, "no records"),
        (lambda at: table(SCALAR, [None, at]), Unmeasurable, "its value is None"),
        (lambda at: table(SCALAR, ["x", at]), Unmeasurable, "its value is x"),
        (lambda at: table(SCALAR, [1, "noon"]), Unmeasurable, "no time"),
        (lambda at: Reply({"tables": []}), Unmeasurable, "documented form"),
        (lambda at: Reply({"tables": [{"rows": 5}]}), Unmeasurable, "documented form"),
    ],
    ids=["no-latest", "no-value", "no-records", "null", "text", "no-time", "no-table", "no-form"],
)
async def test_a_table_that_does_not_say_enough_measures_nothing(
    server: StandIn, opened: Callable[..., Any], reply: Any, kind: type, reason: str
) -> None:
    logs = await opened(log_analytics_provider)
    query = logs.query()
    server.replies["/v1/workspaces"] = reply(isoformat(query.until))

    (measurement,) = await logs.metrics.measure([query])

    assert isinstance(measurement, kind), measurement
    assert reason in measurement.reason


async def test_records_of_after_the_window_say_that_clocks_differ(
    server: StandIn, opened: Callable[..., Any]
) -> None:
    logs = await opened(log_analytics_provider)
    query = logs.query()
    later = isoformat(query.until + timedelta(minutes=1))
    server.replies["/v1/workspaces"] = table(SCALAR, [1.0, later])

    (measurement,) = await logs.metrics.measure([query])

    assert isinstance(measurement, Unmeasurable)
    assert "clocks differ" in measurement.reason
