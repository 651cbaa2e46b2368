"""The traffic of a deployment's releases, as the API answers it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.kernel.clock import parse_instant
from shared.surfaces.traffic import Histogram, RevisionTraffic, TrafficSample


@dataclass(frozen=True)
class ModuleTraffic:
    """Counters of one module; `candidate` is the release revision that the deployment brings."""

    module: str
    candidate: int
    sample: TrafficSample

    def since(self, earlier: "ModuleTraffic | None") -> Mapping[int, RevisionTraffic]:
        """Return the traffic after *earlier*; all of it for None."""
        return self.sample.since(earlier.sample) if earlier else self.sample.revisions


def parse_traffic(body: Mapping[str, Any]) -> list[ModuleTraffic]:
    """Return the modules in a response of `/deployments/{id}/traffic`."""
    return [
        ModuleTraffic(
            module["moduleId"],
            module["releaseRevision"],
            TrafficSample(
                parse_instant(module["takenAt"]),
                module["epoch"],
                {
                    revision["releaseRevision"]: _parse_counters(revision)
                    for revision in module["revisions"]
                },
            ),
        )
        for module in body["value"]
        if module["takenAt"] is not None
    ]


def not_ready_of(body: Mapping[str, Any]) -> list[str]:
    """Return why new instances do not come, in a response of `/deployments/{id}/traffic`."""
    return [
        " ".join(reason.split())
        for module in body["value"]
        for reason in module.get("notReady", ())  # an older system does not say it
    ]


def format_traffic(counters: RevisionTraffic) -> str:
    """Return requests, errors, median and 95th percentile."""
    return (
        f"{counters.requests} requests, {counters.errors} errors, "
        f"p50 {format_ms(counters.latency.quantile_ms(0.5))}, "
        f"p95 {format_ms(counters.latency.quantile_ms(0.95))}"
    )


def format_ms(value: float | None) -> str:
    """Return a latency with three significant digits, or a dash."""
    if value is None:
        return "-"
    return f"{value:.1f} ms" if value < 100 else f"{value:.0f} ms"  # noqa: PLR2004


def _parse_counters(body: Mapping[str, Any]) -> RevisionTraffic:
    latency = body["latency"]
    return RevisionTraffic(
        body["requests"],
        body["byClass"],
        body["noAnswer"],
        body["retries"],
        Histogram(tuple(latency["boundsMs"]), tuple(latency["counts"])),
    )
