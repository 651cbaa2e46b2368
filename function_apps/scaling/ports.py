"""The ports of scaling, and the numbers of its rules."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from shared.composition.service import Service
from shared.contracts.metrics import MetricSource
from shared.contracts.scaling import ScalingDefaults
from shared.contracts.values import ComputeTargetKind
from shared.metrics.port import Metrics
from shared.persistence.tables import Table
from shared.surfaces.port import Surface

_DEFAULTS: Final = ScalingDefaults()


@dataclass(frozen=True)
class ScalingRules:
    """The numbers of the service; the local profile shortens the waits."""

    scaling: ScalingDefaults = field(default_factory=ScalingDefaults)
    measured_over: timedelta = timedelta(seconds=60)
    """The window of a signal that is counted or averaged."""
    alert_after: timedelta = timedelta(minutes=5)
    """Signals that are lost for so long are told to a person."""
    delete_samples_every: timedelta = timedelta(days=1)


LOCAL_RULES: Final = ScalingRules(
    scaling=ScalingDefaults(evaluation=timedelta(seconds=5)),
    measured_over=timedelta(seconds=15),
    alert_after=timedelta(minutes=1),
)


@dataclass(frozen=True)
class ScalingApp:
    """The service's own parts, the surfaces whose numbers it writes, and who measures signals.

    `samples` has a row for every evaluation, in a partition per policy.
    """

    service: Service
    surfaces: Mapping[ComputeTargetKind, Surface]
    metrics: Callable[[MetricSource], Metrics]
    """Gives a provider of measurements, the same one each time.

    Raises PartNotSupported where it is not set up.
    """
    samples: Table
    rules: ScalingRules = field(default_factory=ScalingRules)
