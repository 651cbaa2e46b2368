"""The dependencies of health, as protocols."""

from collections.abc import Callable
from dataclasses import field
from datetime import timedelta
from typing import Final, Protocol

from shared.composition.parts import PartNotSupported
from shared.composition.service import Service
from shared.contracts.health import LOCAL_HEALTH, HealthDefaults
from shared.contracts.metrics import MetricSource
from shared.kernel.dataclass import dataclass
from shared.messaging.fair_runs import FairRuns
from shared.metrics.port import Metrics
from shared.persistence.tables import Table
from shared.probing.result import ProbeResult
from shared.surfaces.port import ComponentReader

PROVIDERS_AT_ONCE: Final = 16


class Prober(Protocol):
    """Asks workloads over HTTP; 200 to 399 passes, redirects are not followed."""

    async def probe(self, url: str, timeout_s: float) -> ProbeResult:
        """Return the result. Nothing is raised: no answer is a result too."""
        ...


@dataclass(frozen=True)
class HealthRules:
    """The numbers of the service; the local profile shortens the waits."""

    probing: HealthDefaults = field(default_factory=HealthDefaults)
    observe_every: timedelta = timedelta(seconds=5)
    """Between two observations of a gate."""
    probes_per_observation: int = 5
    """To each instance of a gate."""
    delete_samples_every: timedelta = timedelta(days=1)
    measure_every: timedelta = timedelta(seconds=30)
    """Of objectives that a provider measures."""
    read_within: timedelta = timedelta(seconds=10)
    """A provider that has not answered by then is asked again, with the window after it."""


LOCAL_RULES: Final = HealthRules(
    probing=LOCAL_HEALTH,
    observe_every=timedelta(seconds=0.5),
    measure_every=timedelta(seconds=5),
    read_within=timedelta(seconds=2.5),
)


def no_metrics(source: MetricSource) -> Metrics:
    """Raises PartNotSupported: there is none but the surface's own."""
    raise PartNotSupported(f"there is no provider {source} here")


@dataclass(frozen=True)
class HealthApp:
    """The parts of the service; `surface` reads all surfaces of the installation.

    `samples` has a row for every probe, in a partition per service.
    """

    service: Service
    surface: ComponentReader
    prober: Prober
    samples: Table
    rules: HealthRules = field(default_factory=HealthRules)
    reference: str | None = None
    """A URL that is probed when a service fails: no answer means that the prober is cut off."""
    metrics: Callable[[MetricSource], Metrics] = no_metrics
    """Gives a provider of measurements, the same one each time: it knows when it may ask again.

    Raises PartNotSupported where it is not set up.
    """
    runs: FairRuns = field(default_factory=lambda: FairRuns(PROVIDERS_AT_ONCE))
    """Those of the timer that asks providers about objectives."""
