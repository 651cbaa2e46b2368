"""The providers that the contract suite runs against, and the faults that each can show."""

import json
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, cast

import azure.monitor.query.aio
import azure.monitor.querymetrics.aio  # noqa: F401
import lightkube  # noqa: F401

from shared.contracts.metrics import Metric
from shared.kernel.clock import SystemClock, isoformat
from shared.kernel.ids import EnvironmentId, ModuleId, TenantId
from shared.kernel.observation import Absent, Present, Reading, Unknown
from shared.metrics.azure_monitor import AzureMonitorMetrics
from shared.metrics.credentials import token_in
from shared.metrics.kubernetes_metrics import KubernetesMetrics
from shared.metrics.log_analytics import LogAnalyticsMetrics
from shared.metrics.port import Measurement, Metrics, MetricsQuery, Subject
from shared.metrics.prometheus import PrometheusMetrics
from shared.metrics.provider_client import ProviderClient
from shared.metrics.surface_metrics import SurfaceMetrics
from shared.persistence.plain_files import read_plain, write_private
from shared.surfaces.aks.cluster_access import ClusterAccess, KubeconfigSource
from shared.surfaces.port import ComponentReader
from shared.surfaces.spec import SurfaceComponent
from shared.surfaces.traffic import NO_TRAFFIC, TrafficSample
from tests.kit.provider_stand_in import Asked, Reply, StandIn

COMPONENT: Final = SurfaceComponent(
    EnvironmentId("env-aaaaaaaaaaaa"), TenantId("acme"), ModuleId("module-web")
)
WINDOW: Final = timedelta(minutes=2)
FAR: Final = timedelta(minutes=5)
"""How far a clock is off, and how old a stale value is."""
TIMEOUT_S: Final = 2.0
"""For an answer; what clients import at their first use is imported here, as it takes longer."""
WAIT_S: Final = 7.0
"""What a provider that throttles asks for."""


class Fault(StrEnum):
    NONE = "well"
    DOWN = "down"
    SLOW_BODY = "slow body"
    HUGE_BODY = "huge body"
    NOT_JSON = "not JSON"
    SERVER_ERROR = "500"
    REDIRECT = "redirect"
    NAN = "NaN"
    INFINITE = "+Inf"
    EMPTY = "no series"
    TWO_SERIES = "two series"
    STALE = "stale"
    AHEAD = "clock ahead"
    BEHIND = "clock behind"
    THROTTLED = "429"
    TOKEN_EXPIRED = "token expired"
    PARTIAL = "partial"


class TurnedClock(SystemClock):
    """The machine's clock, whose seconds a test may let pass."""

    passed_s: float = 0.0

    def monotonic_s(self) -> float:
        return super().monotonic_s() + self.passed_s


@dataclass
class Provider:
    """One adapter, a question that it answers while all is well, and how it comes to faults."""

    metrics: Metrics
    query: Callable[[], MetricsQuery]
    show: Callable[[Fault], Awaitable[None]]
    clock: TurnedClock
    value: float
    """What is measured while all is well."""

    async def measured(self) -> Measurement:
        (measurement,) = await self.metrics.measure([self.query()])
        return measurement


def window(clock: SystemClock) -> tuple[datetime, datetime]:
    until = clock.now().replace(microsecond=0)
    return until - WINDOW, until


BROKEN: Final[Mapping[Fault, Reply]] = {
    Fault.NOT_JSON: Reply("<html>Bad Gateway</html>"),
    Fault.SERVER_ERROR: Reply({"message": "boom"}, status=500),
    Fault.REDIRECT: Reply("", status=302, headers={"Location": "http://127.0.0.1:1/"}),
    Fault.HUGE_BODY: Reply("", is_huge=True),
    Fault.THROTTLED: Reply({}, status=429, headers={"Retry-After": f"{WAIT_S:.0f}"}),
}
"""What any server can do to any client."""


def showing(
    server: StandIn, token: Path, paths: Mapping[str, Callable[[Fault], Any]]
) -> Callable[[Fault], Awaitable[None]]:
    """Return what makes *server* show a fault: *paths* has what each path answers to a fault."""

    async def show(fault: Fault) -> None:
        write_private(token, b"old" if fault is Fault.TOKEN_EXPIRED else b"good")
        for path, answer in paths.items():
            reply = BROKEN.get(fault) or Reply(answer(fault))
            ahead = {Fault.AHEAD: FAR, Fault.BEHIND: -FAR}.get(fault, timedelta(0))
            server.replies[path] = replace(reply, stalls=fault is Fault.SLOW_BODY, ahead=ahead)
        if fault is Fault.DOWN:
            await server.stop()
        elif server.is_stopped:
            await server.start()

    return show


def prometheus_provider(server: StandIn, folder: Path) -> Provider:
    """Prometheus' API as https with a bearer token, and each of its faults."""
    clock, token = TurnedClock(), folder / "token"
    server.takes_token = "Bearer good"
    client = ProviderClient(
        server.url, clock, token_in(token), server.ca_file, TIMEOUT_S, body_max=256 * 1024
    )
    since, until = window(clock)
    text = 'sum(increase(http_requests_total{module="{{component}}"}[{{window}}]))'

    def instant(fault: Fault) -> Any:
        def body(asked: Asked) -> Any:
            value = {Fault.NAN: "NaN", Fault.INFINITE: "+Inf"}.get(fault, "120")
            count = {Fault.EMPTY: 0, Fault.TWO_SERIES: 2}.get(fault, 1)
            points = [{"metric": {}, "value": [float(asked.form["time"]), value]}] * count
            return answered("vector", points, fault)

        return body

    def ranged(fault: Fault) -> Any:
        def body(asked: Asked) -> Any:
            form = asked.form
            start, end, step = float(form["start"]), float(form["end"]), float(form["step"][:-1])
            times = [start + step * index for index in range(int((end - start) / step) + 1)]
            if fault is Fault.STALE:
                times = times[: len(times) // 2]
            points = [[at, "60"] for at in times]
            return answered("matrix", [{"metric": {}, "values": points}], fault)

        return body

    def answered(kind: str, result: Any, fault: Fault) -> Any:
        partial = {"warnings": ["store 2 is away"]} if fault is Fault.PARTIAL else {}
        return {"status": "success", "data": {"resultType": kind, "result": result}, **partial}

    paths = {"/api/v1/query_range": ranged, "/api/v1/query": instant}
    return Provider(
        PrometheusMetrics(client),
        lambda: MetricsQuery(Metric.REQUESTS, Subject(COMPONENT, 2), since, until, text),
        showing(server, token, paths),
        clock,
        120.0,
    )


class ScriptedSurface:
    """A surface whose counters are what a test says, in order; the last one stays."""

    def __init__(self) -> None:
        self.readings: deque[Reading[TrafficSample]] = deque()

    async def traffic(self, _component: SurfaceComponent) -> Reading[TrafficSample]:
        return self.readings.popleft() if len(self.readings) > 1 else self.readings[0]


def surface_provider(_server: StandIn, _folder: Path) -> Provider:
    """The proxy of a surface, that has counted 120 requests in the window."""
    clock, surface = TurnedClock(), ScriptedSurface()
    metrics = SurfaceMetrics(cast("ComponentReader", surface), clock)
    since, until = window(clock)

    def sample(at: datetime, requests: int, epoch: str = "one") -> Present[TrafficSample]:
        traffic = replace(NO_TRAFFIC, requests=requests, by_class={"2xx": requests})
        return Present(TrafficSample(at, epoch, {2: traffic}))

    async def show(fault: Fault) -> None:
        surface.readings.clear()
        surface.readings.append(sample(since, 80, "zero" if fault is Fault.PARTIAL else "one"))
        metrics._samples.clear()
        await metrics.measure([query()])
        surface.readings.clear()
        surface.readings.append(
            {
                Fault.DOWN: Unknown("the agent does not answer"),
                Fault.EMPTY: Absent(),
                Fault.STALE: sample(until - FAR, 200),
                Fault.AHEAD: sample(clock.now() + FAR, 200),
                Fault.BEHIND: sample(until - FAR, 200),
            }.get(fault, sample(until, 200))
        )

    def query() -> MetricsQuery:
        return MetricsQuery(Metric.REQUESTS, Subject(COMPONENT, 2), since, until)

    return Provider(metrics, query, show, clock, 120.0)


def kubernetes_provider(server: StandIn, folder: Path) -> Provider:
    """The metrics API of a cluster that a kubeconfig names: two pods of 60 MiB each."""
    clock, token = TurnedClock(), folder / "token"
    server.takes_token = "Bearer good"
    write_private(token, b"good")
    kubeconfig = folder / "kubeconfig"
    write_private(
        kubeconfig,
        json.dumps(
            {
                "current-context": "here",
                "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
                "clusters": [
                    {
                        "name": "c",
                        "cluster": {
                            "server": server.url, "certificate-authority": str(server.ca_file),
                        },
                    }
                ],
                "users": [{"name": "u", "user": {"tokenFile": str(token)}}],
            }
        ).encode(),
    )  # fmt: skip
    access = ClusterAccess(KubeconfigSource(kubeconfig, None, clock), clock)
    metrics = KubernetesMetrics(access.client, access.close, clock, TIMEOUT_S)

    def pods(fault: Fault) -> Any:
        at = clock.now() + {Fault.STALE: -FAR, Fault.AHEAD: FAR}.get(fault, timedelta(0))
        memory = {Fault.NAN: "NaN", Fault.INFINITE: "+Inf"}.get(fault, "60Mi")
        names = {
            Fault.EMPTY: [], Fault.TWO_SERIES: ["a", "a"], Fault.PARTIAL: ["a"],
        }.get(fault, ["a", "b"])  # fmt: skip
        return {
            "kind": "PodMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": {},
            "items": [
                {
                    "metadata": {"name": name}, "timestamp": isoformat(at), "window": "15.2s",
                    "containers": [{"name": "app", "usage": {"cpu": "120m", "memory": memory}}],
                }
                for name in names
            ],
        }  # fmt: skip

    def query() -> MetricsQuery:
        return MetricsQuery(
            Metric.MEMORY, Subject(COMPONENT, 2), clock.now() - WINDOW, clock.now(), instances=2
        )

    return Provider(
        metrics, query, showing(server, token, {"/apis/metrics.k8s.io": pods}), clock, 120 * 2.0**20
    )


class Credential:
    """A credential of azure-identity whose token is in a file, and is asked for each time."""

    def __init__(self, token: Path) -> None:
        self._token = token

    async def get_token(self, *_scopes: str, **_options: Any) -> Any:
        from azure.core.credentials import AccessToken

        return AccessToken(read_plain(self._token).decode(), 0)

    async def close(self) -> None:
        """Close nothing."""


RESOURCE: Final = (
    "/subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590/resourceGroups/shop"
    "/providers/Microsoft.App/containerApps/web"
)


def azure_monitor_provider(server: StandIn, folder: Path) -> Provider:
    """Metrics:getBatch in its documented form: 60 requests in each of two minutes."""
    clock, token = TurnedClock(), folder / "token"
    server.takes_token = "Bearer good"
    credential: Any = Credential(token)
    metrics = AzureMonitorMetrics(
        server.url, lambda: credential, [RESOURCE.rpartition("/providers")[0]], clock,
        ca_file=server.ca_file, timeout_s=TIMEOUT_S,
    )  # fmt: skip
    until = clock.now().replace(second=0, microsecond=0)
    since = until - WINDOW

    def batch(fault: Fault) -> Any:
        number = {Fault.NAN: "NaN", Fault.INFINITE: "Infinity"}.get(fault, 60.0)
        minutes = [since, since + timedelta(minutes=1)][: 1 if fault is Fault.STALE else 2]
        series = {
            "metadatavalues": [{"name": {"value": "revisionname"}, "value": "web--2"}],
            "data": [{"timeStamp": isoformat(each), "total": number} for each in minutes],
        }
        count = {Fault.EMPTY: 0, Fault.TWO_SERIES: 2}.get(fault, 1)
        code = "PartialData" if fault is Fault.PARTIAL else "Success"
        return {
            "values": [
                {
                    "starttime": isoformat(since), "endtime": isoformat(until), "interval": "PT1M",
                    "namespace": "microsoft.app/containerapps", "resourceregion": "westeurope",
                    "resourceid": RESOURCE,
                    "value": [
                        {
                            "id": f"{RESOURCE}/providers/Microsoft.Insights/metrics/Requests",
                            "type": "Microsoft.Insights/metrics", "unit": "Count",
                            "name": {"value": "Requests", "localizedValue": "Requests"},
                            "displayDescription": "Requests processed", "errorCode": code,
                            "timeseries": [series] * count,
                        }
                    ],
                }
            ]
        }  # fmt: skip

    return Provider(
        metrics,
        lambda: MetricsQuery(
            Metric.REQUESTS, Subject(COMPONENT, 2), since, until,
            "Requests | Total | revisionName eq 'web--{{revision}}'", resource=RESOURCE,
            namespace="Microsoft.App/containerApps",
        ),
        showing(server, token, {"/subscriptions": batch}),
        clock,
        120.0,
    )  # fmt: skip


def log_analytics_provider(server: StandIn, folder: Path) -> Provider:
    """A workspace's query API in its documented form: 120 requests, the newest of just now."""
    clock, token = TurnedClock(), folder / "token"
    server.takes_token = "Bearer good"
    credential: Any = Credential(token)
    metrics = LogAnalyticsMetrics(
        "0b1f6471-1bf0-4dda-aec3-cb9272f09590", lambda: credential, clock, endpoint=server.url,
        ca_file=server.ca_file, timeout_s=TIMEOUT_S,
    )  # fmt: skip
    since, until = window(clock)

    def table(fault: Fault) -> Any:
        number = {Fault.NAN: "NaN", Fault.INFINITE: "Infinity"}.get(fault, 120)
        latest = since if fault is Fault.STALE else until
        count = {Fault.EMPTY: 0, Fault.TWO_SERIES: 2}.get(fault, 1)
        columns = [{"name": "value", "type": "real"}, {"name": "latest", "type": "datetime"}]
        rows = [[number, isoformat(latest)]] * count
        answer: dict[str, Any] = {
            "tables": [{"name": "PrimaryResult", "columns": columns, "rows": rows}]
        }
        if fault is Fault.PARTIAL:
            answer["error"] = {
                "code": "PartialError", "message": "There were some errors when processing",
                "details": [{"code": "EngineError", "message": "Query truncated"}],
            }  # fmt: skip
        return answer

    text = (
        "AppRequests | where AppRoleName == '{{component}}' and AppVersion == '{{revision}}'"
        " | summarize value=sum(ItemCount), latest=max(TimeGenerated)"
    )
    return Provider(
        metrics,
        lambda: MetricsQuery(Metric.REQUESTS, Subject(COMPONENT, 2), since, until, text),
        showing(server, token, {"/v1/workspaces": table}),
        clock,
        120.0,
    )


PROVIDERS: Final[Mapping[str, Callable[[StandIn, Path], Provider]]] = {
    "surface": surface_provider,
    "prometheus": prometheus_provider,
    "kubernetes": kubernetes_provider,
    "azureMonitor": azure_monitor_provider,
    "logAnalytics": log_analytics_provider,
}
_TYPED: Final = "its counters are whole numbers of one component, read through the surface's port"
_ITS_OWN: Final = "the surface's own adapter bounds and proves its calls: tests/surfaces"
CANNOT: Final[Mapping[str, Mapping[Fault, str]]] = {
    "surface": {
        **dict.fromkeys([Fault.NAN, Fault.INFINITE, Fault.TWO_SERIES], _TYPED),
        **dict.fromkeys(
            [Fault.SLOW_BODY, Fault.HUGE_BODY, Fault.NOT_JSON, Fault.SERVER_ERROR, Fault.REDIRECT,
             Fault.THROTTLED, Fault.TOKEN_EXPIRED],
            _ITS_OWN,
        ),
    },
}  # fmt: skip
"""The faults that a provider cannot have, each with why."""
