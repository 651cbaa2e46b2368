"""What the metrics API of a cluster says of pods: quantities, whose pods, and what it has not."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from shared.contracts.metrics import Metric
from shared.kernel.clock import SystemClock, isoformat
from shared.kernel.ids import TenantId
from shared.metrics.kubernetes_metrics import pods_of
from shared.metrics.port import Measured, Measurement, Missing, Subject, Unmeasurable
from tests.kit.provider_stand_in import Reply, StandIn, stand_in
from tests.metrics.providers import COMPONENT, Fault, Provider, kubernetes_provider

pytestmark = pytest.mark.real


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[StandIn]:
    async with stand_in(tmp_path) as served:
        yield served


@pytest.fixture
async def cluster(server: StandIn, tmp_path: Path) -> AsyncIterator[Provider]:
    provider = kubernetes_provider(server, tmp_path)
    await provider.show(Fault.NONE)
    yield provider
    closing: Any = provider.metrics
    await closing.close()


def pods(*usages: tuple[str, str]) -> Reply:
    at = isoformat(SystemClock().now())
    containers = [{"name": f"c{n}", "usage": {"cpu": cpu, "memory": memory}}
                  for n, (cpu, memory) in enumerate(usages)]  # fmt: skip
    item = {"metadata": {"name": "a"}, "timestamp": at, "window": "15s", "containers": containers}
    return Reply({"metadata": {}, "items": [item]})


async def measured(cluster: Provider, metric: Metric) -> Measurement:
    query = replace(cluster.query(), metric=metric, instances=1)
    (measurement,) = await cluster.metrics.measure([query])
    return measurement


@pytest.mark.parametrize(
    ("text", "cores"),
    [("0", 0.0), ("3", 3.0), ("250m", 0.25), ("1500u", 0.0015), ("12345678n", 0.012345678),
     ("1e-1", 0.1), (".5", 0.5), ("2k", 2000.0)],
)  # fmt: skip
async def test_cpu_is_in_cores_however_it_is_written(
    server: StandIn, cluster: Provider, text: str, cores: float
) -> None:
    server.replies["/apis/metrics.k8s.io"] = pods((text, "1Mi"))

    measurement = await measured(cluster, Metric.CPU)

    assert isinstance(measurement, Measured), measurement
    assert measurement.value == pytest.approx(cores)


async def test_memory_is_in_bytes_over_all_containers(server: StandIn, cluster: Provider) -> None:
    server.replies["/apis/metrics.k8s.io"] = pods(("0", "1Ki"), ("0", "2M"), ("0", "3"))

    measurement = await measured(cluster, Metric.MEMORY)

    assert isinstance(measurement, Measured), measurement
    assert measurement.value == 1024 + 2e6 + 3


@pytest.mark.parametrize(
    "text",
    ["", "-1", "1.2.3", "1 Mi", "1Zi", "0x10", "1e999m", None, 5,
     "1e999", "1e-999e9", "9" * 5000, "9" * 305 + "Ei", "1e\u0669"],
    ids=lambda text: str(text)[:12],
)  # fmt: skip
async def test_what_is_no_quantity_is_not_measured(
    server: StandIn, cluster: Provider, text: Any
) -> None:
    server.replies["/apis/metrics.k8s.io"] = pods(("1", text))

    assert isinstance(await measured(cluster, Metric.MEMORY), Unmeasurable)


async def test_a_sum_that_no_number_holds_is_not_measured(
    server: StandIn, cluster: Provider
) -> None:
    server.replies["/apis/metrics.k8s.io"] = pods(*[("9e307", "0")] * 4)

    assert isinstance(await measured(cluster, Metric.CPU), Unmeasurable)


async def test_a_time_before_all_years_is_not_measured(server: StandIn, cluster: Provider) -> None:
    page = pods(("1", "1Mi"))
    page.body["items"][0]["timestamp"] = "0001-01-01T00:00:00+23:59"
    server.replies["/apis/metrics.k8s.io"] = page

    assert isinstance(await measured(cluster, Metric.CPU), Unmeasurable)


@pytest.mark.parametrize("metric", [Metric.REQUESTS, Metric.LATENCY, Metric.QUEUE_LENGTH])
async def test_what_the_api_does_not_have_is_missing(cluster: Provider, metric: Metric) -> None:
    assert isinstance(await measured(cluster, metric), Missing)


async def test_one_instance_is_one_pod(cluster: Provider) -> None:
    query = cluster.query()
    of_one = [
        replace(query, subject=replace(query.subject, instance=name)) for name in ("a", "gone")
    ]

    one, gone = await cluster.metrics.measure(of_one)

    assert isinstance(one, Measured)
    assert one.value == 60 * 2**20
    assert isinstance(gone, Missing)


async def test_the_pods_of_several_questions_are_asked_for_once(
    server: StandIn, cluster: Provider
) -> None:
    query = cluster.query()
    other = replace(query, subject=Subject(COMPONENT))

    await cluster.metrics.measure([query, replace(query, metric=Metric.CPU), other])

    assert len(server.asked) == 2


async def test_only_the_pods_of_the_tenant_are_asked_for(
    server: StandIn, cluster: Provider
) -> None:
    await cluster.measured()

    parts = urlsplit(server.asked[0].path)
    mine, theirs = (
        pods_of(Subject(replace(COMPONENT, tenant=TenantId(tenant)), 2))
        for tenant in ("acme", "other")
    )
    assert parts.path == f"/apis/metrics.k8s.io/v1beta1/namespaces/{mine.namespace}/pods"
    assert parse_qs(parts.query)["labelSelector"] == [mine.selector]
    assert "factory-runtime/revision=2" in mine.selector
    assert (mine.namespace, mine.selector) != (theirs.namespace, theirs.selector)


async def test_more_pods_than_a_page_are_not_a_part_of_them(
    server: StandIn, cluster: Provider
) -> None:
    page = pods(("1", "1Mi"))
    page.body["metadata"]["continue"] = "next"
    server.replies["/apis/metrics.k8s.io"] = page

    measurement = await measured(cluster, Metric.CPU)

    assert isinstance(measurement, Unmeasurable)
    assert "incomplete" in measurement.reason


async def test_a_cluster_without_the_metrics_api_says_so(
    server: StandIn, cluster: Provider
) -> None:
    server.replies.clear()

    measurement = await measured(cluster, Metric.CPU)

    assert isinstance(measurement, Unmeasurable)
    assert measurement.reason == "it answered 404: no such path"


async def test_values_that_are_old_beside_fresh_ones_are_stale(
    server: StandIn, cluster: Provider
) -> None:
    page = pods(("1", "1Mi"))
    old = isoformat(SystemClock().now() - timedelta(minutes=2))
    (fresh,) = page.body["items"]
    page.body["items"].append({**fresh, "metadata": {"name": "b"}, "timestamp": old})
    server.replies["/apis/metrics.k8s.io"] = page

    measurement = await measured(cluster, Metric.CPU)

    assert "old" in getattr(measurement, "reason", "")
