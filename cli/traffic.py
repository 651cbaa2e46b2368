"""What the traffic layer counted for each release, as the API tells it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.kernel.clock import parse_instant
from shared.surfaces.traffic import Histogram, RevisionTraffic, TrafficSample


@dataclass(frozen=True)
class ModuleTraffic:
    """Counters of one module of a deployment; `candidate` is the release revision it brings."""

    module: str
    candidate: int
    sample: TrafficSample

    def since(self, earlier: "ModuleTraffic | None") -> Mapping[int, RevisionTraffic]:
        """Return what came after *earlier*, everything where there is none."""
        return self.sample.since(earlier.sample) if earlier else self.sample.revisions


def read_traffic(answer: Mapping[str, Any]) -> list[ModuleTraffic]:
    """Return the modules of an answer of `/deployments/{id}/traffic`."""
    return [
        ModuleTraffic(
            each["moduleId"],
            each["releaseRevision"],
            TrafficSample(
                parse_instant(each["takenAt"]),
                each["epoch"],
                {one["releaseRevision"]: _counters(one) for one in each["revisions"]},
            ),
        )
        for each in answer["value"]
        if each["takenAt"] is not None
    ]


def said(counters: RevisionTraffic) -> str:
    """Return counters in words: requests, errors, median and 95th percentile."""
    return (
        f"{counters.requests} requests, {counters.errors} errors, "
        f"p50 {milliseconds(counters.latency.quantile_ms(0.5))}, "
        f"p95 {milliseconds(counters.latency.quantile_ms(0.95))}"
    )


def milliseconds(value: float | None) -> str:
    """Return a latency with the digits that mean something."""
    if value is None:
        return "-"
    return f"{value:.1f} ms" if value < 100 else f"{value:.0f} ms"  # noqa: PLR2004  three digits


def _counters(told: Mapping[str, Any]) -> RevisionTraffic:
    latency = told["latency"]
    return RevisionTraffic(
        told["requests"],
        told["byClass"],
        told["noAnswer"],
        told["retries"],
        Histogram(tuple(latency["boundsMs"]), tuple(latency["counts"])),
    )


def retries_of(modules: Sequence[ModuleTraffic]) -> int:
    """Return how often the proxy asked another instance, over all releases it still knows."""
    return sum(one.retries for module in modules for one in module.sample.revisions.values())
