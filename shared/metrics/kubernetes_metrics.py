"""The Metrics port over the metrics API of a cluster (`metrics.k8s.io`): CPU and memory of pods.

It has one window, its own, of the last 15 to 60 s: a longer one that is asked for is answered by
that. https://kubernetes.io/docs/reference/external-api/metrics.v1beta1/
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from shared.contracts.metrics import Metric
from shared.kernel.clock import Clock, parse_instant
from shared.kernel.concurrency import bounded_map
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Refused, Unavailable
from shared.metrics.clock_skew import SKEW_MAX_S, check_clock
from shared.metrics.measured_number import measured_number
from shared.metrics.port import (
    Measured,
    Measurement,
    MetricsQuery,
    Missing,
    Resolution,
    Stale,
    Subject,
    Unmeasurable,
)
from shared.metrics.provider_client import BODY_MAX, TIMEOUT_S, check_status, json_object
from shared.metrics.throttle import THROTTLED, Throttle
from shared.surfaces.aks.cluster_api import connection_of
from shared.surfaces.aks.names import Installation, selector
from shared.surfaces.aks.quantities import amount

if TYPE_CHECKING:
    from httpx2 import Response
    from lightkube import AsyncClient

PODS_MAX: Final = 1000
"""Of one component: as many as it may have replicas."""
STALE_AFTER: Final = timedelta(seconds=90)
"""metrics-server asks every 15 s, at the rarest every 60; of a node that is gone it keeps nothing
longer than that."""
_AT_ONCE: Final = 4
_USAGE: Final = {Metric.CPU: "cpu", Metric.MEMORY: "memory"}


@dataclass(frozen=True)
class PodSelection:
    """The pods of something: a namespace, and a selector of labels in it."""

    namespace: str
    selector: str


def pods_of(subject: Subject, installation: Installation | None = None) -> PodSelection:
    """Return the pods that the surface AKS makes for a component, or for a revision of it."""
    names, component = installation or Installation(), subject.component
    labels = names.of_component(component)
    if subject.revision is not None:
        labels = names.of_revision(component, subject.revision)
    namespace = names.namespace(component.environment, component.tenant)
    return PodSelection(namespace, selector(labels))


class KubernetesMetrics:
    """Metrics of the pods of a cluster; an instance is a pod, by its name.

    *connect* gives the client of the cluster, *close* closes its connections.
    """

    resolution = Resolution(window_least=timedelta(seconds=15))

    def __init__(
        self,
        connect: "Callable[[], Awaitable[AsyncClient]]",
        close: Callable[[], Awaitable[None]],
        clock: Clock,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._connect = connect
        self.close = close
        self._clock = clock
        self._timeout_s = timeout_s
        self._throttle = Throttle(clock)

    async def measure(self, queries: Sequence[MetricsQuery]) -> Sequence[Measurement]:
        asked = list(dict.fromkeys(pods_of(each.subject) for each in queries))
        answers = dict(
            zip(asked, await bounded_map(asked, self._pods, at_once=_AT_ONCE), strict=True)
        )
        return [self._measured(each, answers[pods_of(each.subject)]) for each in queries]

    async def _pods(self, selection: PodSelection) -> "Sequence[Any] | Unmeasurable":
        try:
            self._throttle.check()
            async with asyncio.timeout(self._timeout_s):
                answer = await self._answer(selection)
        except TimeoutError:
            return Unmeasurable(f"no answer within {self._timeout_s:g} s")
        except (Refused, Unavailable) as problem:
            return Unmeasurable(problem.message)
        match answer:
            case {"items": list() as pods, "metadata": dict() as metadata}:
                if metadata.get("continue") or len(pods) > PODS_MAX:
                    return Unmeasurable(f"its answer is incomplete: more than {PODS_MAX} pods")
                return pods
            case _:
                return Unmeasurable("its answer is no list of pods")

    async def _answer(self, selection: PodSelection) -> Mapping[str, Any]:
        # lightkube shows the headers of no answer, and its own models ignore what they cannot read.
        connection = connection_of(await self._connect())
        import httpx2  # noqa: PLC0415  heavy: where used

        path = f"/apis/metrics.k8s.io/v1beta1/namespaces/{selection.namespace}/pods"
        params = {"labelSelector": selection.selector, "limit": str(PODS_MAX)}
        sent_at = self._clock.now()
        try:
            request = connection.build_request("GET", path, params=params)
            response = await connection.send(request, stream=True)
            try:
                body = await _bounded(response)
            finally:
                await response.aclose()
        except httpx2.HTTPError as problem:
            raise Unavailable(f"it cannot be reached: {type(problem).__name__}") from problem
        if response.status_code in THROTTLED:
            raise self._throttle.pause(response.headers.get("Retry-After"))
        check_status(response.status_code, body)
        check_clock(response.headers.get("Date"), sent_at, self._clock.now())
        return json_object(body)

    def _measured(self, query: MetricsQuery, pods: "Sequence[Any] | Unmeasurable") -> Measurement:
        if query.metric not in _USAGE:
            return Missing(f"the metrics API of a cluster has no {query.metric}")
        if isinstance(pods, Unmeasurable):
            return pods
        try:
            return self._sum(query, [_usage(each, _USAGE[query.metric]) for each in pods])
        except Unavailable as problem:
            return Unmeasurable(problem.message)

    def _sum(self, query: MetricsQuery, usages: "Sequence[_Usage]") -> Measurement:
        names = [each.pod for each in usages]
        if len(set(names)) < len(names):
            raise Unavailable("two entries of one pod where one was expected")
        instance = query.subject.instance
        chosen = [each for each in usages if instance in (None, each.pod)]
        if not chosen:
            return Missing("no pod of it is measured")
        oldest, newest = min(each.at for each in chosen), max(each.at for each in chosen)
        if (newest - self._clock.now()).total_seconds() > SKEW_MAX_S:
            raise Unavailable("its values are of a time to come: clocks differ")
        if query.until - oldest > STALE_AFTER:
            late_s = (query.until - oldest).total_seconds()
            return Stale(f"its oldest value is {late_s:.0f} s old", oldest)
        expected = query.instances
        if expected is not None and instance is None and len(chosen) < expected:
            raise Unavailable(f"{len(chosen)} of {expected} pods are measured")
        total = measured_number(sum(each.amount for each in chosen), "the sum over its pods")
        return Measured(total, oldest)


async def _bounded(response: "Response") -> bytes:
    """Return the body of *response*. Raises Unavailable where it is longer than `BODY_MAX`."""
    body = bytearray()
    async for part in response.aiter_bytes():
        body += part
        if len(body) > BODY_MAX:
            raise Unavailable(f"its answer is longer than {BODY_MAX} bytes")
    return bytes(body)


@dataclass(frozen=True)
class _Usage:
    pod: str
    at: datetime
    amount: float


def _usage(entry: Any, resource: str) -> _Usage:
    """Return what one pod uses, over its containers. Raises Unavailable."""
    match entry:
        case {
            "metadata": {"name": str() as name},
            "timestamp": str() as timestamp,
            "containers": [_, *_] as containers,
        }:
            amounts = [_quantity(each, resource) for each in containers]
        case _:
            raise Unavailable("its answer has a pod without name, time or containers")
    try:
        return _Usage(name, parse_instant(timestamp), sum(amounts))
    except ValueError as problem:
        raise Unavailable(f"the time of a pod's values is {timestamp[:40]}") from problem


def _quantity(container: Any, resource: str) -> float:
    """Return the quantity of *resource*, as Kubernetes writes it. Raises Unavailable."""
    usage = container.get("usage") if isinstance(container, dict) else None
    text = usage.get(resource) if isinstance(usage, dict) else None
    try:
        used = amount(text) if isinstance(text, str) else None
    except ValueError:
        used = None
    if used is None or used.is_signed():
        raise Unavailable(f"the {resource} of a container is {str(text)[:40]}")
    return measured_number(str(used), resource)
