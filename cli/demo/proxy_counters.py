"""What the demo's proxy does, asked from its admin port: it answers also while the host is dead.

Per release revision: requests, retries, and the weights as they changed. Counters of a release
that was taken away stay as they were seen last.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from shared.kernel.clock import Clock, isoformat, parse_instant
from shared.kernel.ids import ServiceId
from shared.surfaces.errors import TrafficUnavailable
from shared.surfaces.local_process.envoy_admin import EnvoyAdmin

LOOK_EVERY_S: Final = 0.2


@dataclass
class Seen:
    """`weights` are those in force since an instant; counters are by release revision."""

    weights: list[tuple[datetime, Mapping[int, int]]] = field(default_factory=list)
    requests: dict[int, int] = field(default_factory=dict)
    retries: dict[int, int] = field(default_factory=dict)

    def weightless_since(self, revision: int, after: datetime) -> datetime | None:
        """Return when *revision* was first seen without weight after *after*."""
        for at, weights in self.weights:
            if at > after and not weights.get(revision):
                return at
        return None


async def observe(admin_port: int, service: str, file: Path, clock: Clock) -> None:
    """Look until cancelled, and keep what was seen in *file*."""
    admin, seen = EnvoyAdmin(admin_port), Seen()
    while True:
        try:
            await _look(admin, ServiceId(service), seen, clock)
        except TrafficUnavailable:
            # A proxy that does not answer shows as failed requests, not here.
            pass
        else:
            await asyncio.to_thread(_write, file, seen)
        await clock.sleep(LOOK_EVERY_S)


async def _look(admin: EnvoyAdmin, service: ServiceId, seen: Seen, clock: Clock) -> None:
    _, table = await admin.route_table()
    weights = {n: percent for n, percent in table.get(service, {}).items() if percent}
    if not seen.weights or seen.weights[-1][1] != weights:
        seen.weights.append((clock.now(), weights))
    for revision, counters in (await admin.traffic(service)).items():
        seen.requests[revision] = max(counters.requests, seen.requests.get(revision, 0))
        seen.retries[revision] = max(counters.retries, seen.retries.get(revision, 0))


def _write(file: Path, seen: Seen) -> None:
    told: Mapping[str, Any] = {
        "weights": [[isoformat(at), dict(weights)] for at, weights in seen.weights],
        "requests": seen.requests,
        "retries": seen.retries,
    }
    draft = file.with_suffix(".new")
    draft.write_text(json.dumps(told), encoding="utf-8")
    draft.replace(file)


def read_seen(file: Path) -> Seen:
    """Return what was seen so far; nothing yet where there is no file."""
    try:
        told: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Seen()
    return Seen(
        [
            (parse_instant(at), {int(number): percent for number, percent in weights.items()})
            for at, weights in told["weights"]
        ],
        {int(number): count for number, count in told["requests"].items()},
        {int(number): count for number, count in told["retries"].items()},
    )
