"""What health needs from outside."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from shared.contracts.health import HealthDefaults
from shared.persistence.tables import Table
from shared.probing.result import ProbeResult
from shared.service import Service
from shared.surfaces.port import SurfaceReader


class Prober(Protocol):
    """Asks workloads over HTTP; 200 to 399 passes, redirects are not followed."""

    async def probe(self, url: str, timeout_s: float) -> ProbeResult:
        """Return what came back. Nothing is raised: no answer is an answer here."""
        ...


@dataclass(frozen=True)
class GateRules:
    """How a gate looks. `probes_per_look` are sent one after the other to each instance."""

    look_every: timedelta = timedelta(seconds=5)
    probes_per_look: int = 5


@dataclass(frozen=True)
class HealthApp:
    """The service's own parts, the surface it reads, its prober and its samples.

    `samples` has a row for every look, in a partition per service.
    """

    service: Service
    surface: SurfaceReader
    prober: Prober
    samples: Table
    rules: HealthDefaults = field(default_factory=HealthDefaults)
    gate_rules: GateRules = field(default_factory=GateRules)
    reference: str | None = None
    """A URL that answers as long as the prober itself is well; asked when something fails."""
    forget_every: timedelta = timedelta(days=1)
