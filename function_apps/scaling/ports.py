"""The ports of scaling, and the numbers of its rules."""

from collections.abc import Callable, Mapping
from dataclasses import field
from datetime import timedelta
from typing import Final

from shared.composition.service import Service
from shared.contracts.metrics import MetricSource
from shared.contracts.scaling import ScalingDefaults
from shared.contracts.values import ComputeTargetKind
from shared.kernel.concurrency import FairTurns
from shared.kernel.dataclass import dataclass
from shared.messaging.fair_runs import FairRuns
from shared.metrics.port import Metrics
from shared.persistence.tables import Table
from shared.policies.prod_policy import ProdPolicy
from shared.surfaces.port import Surface

POLICIES_AT_ONCE: Final = 16
REPLAYS_AT_ONCE: Final = 2
"""Of one tenant half as many."""


@dataclass(frozen=True)
class ScalingRules:
    """The numbers of the service; the local profile shortens the waits."""

    scaling: ScalingDefaults = field(default_factory=ScalingDefaults)
    measured_over: timedelta = timedelta(seconds=60)
    """The window of a signal that is counted or averaged."""
    alert_after: timedelta = timedelta(minutes=5)
    """Signals that are lost for so long are told to a person."""
    delete_samples_every: timedelta = timedelta(days=1)
    read_within: timedelta = timedelta(seconds=10)
    """A target that has not answered by then is not known in this evaluation."""
    evaluate_within: timedelta = timedelta(seconds=30)
    """An evaluation that takes longer is ended and has failed; its policy waits for a while."""
    replay_waits_at_most: timedelta = timedelta(seconds=20)
    """A what-if for its turn: `runtimectl` waits for 30 s."""


LOCAL_RULES: Final = ScalingRules(
    scaling=ScalingDefaults(evaluation=timedelta(seconds=5)),
    measured_over=timedelta(seconds=15),
    alert_after=timedelta(minutes=1),
    read_within=timedelta(seconds=2.5),
    evaluate_within=timedelta(seconds=4.5),
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
    prod_policy: ProdPolicy | None = None
    """Without one everything is allowed."""
    runs: FairRuns = field(default_factory=lambda: FairRuns(POLICIES_AT_ONCE))
    """Those of the timer that evaluates all policies."""
    replays: FairTurns = field(default_factory=lambda: FairTurns(REPLAYS_AT_ONCE))
    """The turns of what-ifs, which compute in threads."""
