"""Samples the counters of the demo's proxy from its admin socket, also while the host is dead.

Per release revision: requests, errors and retries, and the weights as they changed. The counters of
a removed revision keep their last value.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from local_agent.envoy_admin import EnvoyAdmin
from shared.kernel.clock import Clock, isoformat, parse_instant
from shared.kernel.ids import ServiceId
from shared.surfaces.errors import TrafficUnavailable

SAMPLE_INTERVAL_S: Final = 0.2


@dataclass
class ProxyCounters:
    """`weights` has each change with its time; the counters are by release revision."""

    weights: list[tuple[datetime, Mapping[int, int]]] = field(default_factory=list)
    requests: dict[int, int] = field(default_factory=dict)
    errors: dict[int, int] = field(default_factory=dict)
    """Answers with a status of 500 and above, its own for want of one too."""
    retries: dict[int, int] = field(default_factory=dict)

    def weightless_since(self, revision: int, after: datetime) -> datetime | None:
        """Return when *revision* was first without weight after *after*."""
        for changed_at, weights in self.weights:
            if changed_at > after and not weights.get(revision):
                return changed_at
        return None


async def sample_counters(proxy: Path, service: str, file: Path, clock: Clock) -> None:
    """Sample until canceled, and write the counters to *file*."""
    admin, counters = EnvoyAdmin(proxy), ProxyCounters()
    while True:
        try:
            await _sample(admin, ServiceId(service), counters, clock)
        except TrafficUnavailable:
            # Without a proxy the requests fail, and the load generator counts those.
            pass
        else:
            await asyncio.to_thread(_write, file, counters)
        await clock.sleep(SAMPLE_INTERVAL_S)


async def _sample(
    admin: EnvoyAdmin, service: ServiceId, counters: ProxyCounters, clock: Clock
) -> None:
    weights = await admin.weights(service)
    if not counters.weights or counters.weights[-1][1] != weights:
        counters.weights.append((clock.now(), weights))
    for revision, traffic in (await admin.traffic(service)).items():
        counters.requests[revision] = max(traffic.requests, counters.requests.get(revision, 0))
        counters.errors[revision] = max(traffic.errors, counters.errors.get(revision, 0))
        counters.retries[revision] = max(traffic.retries, counters.retries.get(revision, 0))


def _write(file: Path, counters: ProxyCounters) -> None:
    content: Mapping[str, Any] = {
        "weights": [
            [isoformat(changed_at), dict(weights)] for changed_at, weights in counters.weights
        ],
        "requests": counters.requests,
        "errors": counters.errors,
        "retries": counters.retries,
    }
    draft = file.with_suffix(".new")
    draft.write_text(json.dumps(content), encoding="utf-8")
    draft.replace(file)


def read_counters(file: Path) -> ProxyCounters:
    """Return the counters in *file*; empty ones before it exists."""
    try:
        content: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ProxyCounters()
    return ProxyCounters(
        [
            (parse_instant(at), {int(number): percent for number, percent in weights.items()})
            for at, weights in content["weights"]
        ],
        {int(number): count for number, count in content["requests"].items()},
        {int(number): count for number, count in content["errors"].items()},
        {int(number): count for number, count in content["retries"].items()},
    )
