"""The providers that the contract suite runs against, and the faults that each can show."""

from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, cast

from shared.contracts.metrics import Metric
from shared.kernel.clock import SystemClock
from shared.kernel.ids import EnvironmentId, ModuleId, TenantId
from shared.kernel.observation import Absent, Present, Reading, Unknown
from shared.metrics.credentials import token_in
from shared.metrics.port import Measurement, Metrics, MetricsQuery, Subject
from shared.metrics.prometheus import PrometheusMetrics
from shared.metrics.provider_client import ProviderClient
from shared.metrics.surface_metrics import SurfaceMetrics
from shared.persistence.plain_files import write_private
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
TIMEOUT_S: Final = 0.5
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


PROVIDERS: Final[Mapping[str, Callable[[StandIn, Path], Provider]]] = {
    "surface": surface_provider,
    "prometheus": prometheus_provider,
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
