"""The same digests to the next environment, once they have been healthy long enough."""

from datetime import timedelta
from typing import Final

from shared.contracts.gates import Gate, Wait
from shared.contracts.shape import Command, Value
from shared.contracts.strategies import OnConflict, Strategy
from shared.contracts.values import (
    DeploymentId,
    EnvironmentId,
    Instant,
    Stage,
)
from shared.kernel.dataclass import dataclass


class SoakEvidence(Value):
    """The verdict of health on the source of a promotion: Completed, and Healthy since when."""

    deployment_id: DeploymentId
    stage: Stage
    healthy_since: Instant
    checked_at: Instant
    required: Wait


class Promotion(Command):
    """POST …/promote: the same digests to the next environment."""

    to_environment_id: EnvironmentId
    strategy: Strategy | None = None
    gate: Gate | None = None
    on_conflict: OnConflict = OnConflict.QUEUE
    dry_run: bool = False


class PromoteDeployment(Promotion):
    deployment_id: DeploymentId
    evidence: SoakEvidence | None = None
    """Read from health before the command is handled, so that its handler makes no call."""


@dataclass(frozen=True)
class SoakDefaults:
    """How long a release is Completed and Healthy before it is promoted from a stage."""

    dev: timedelta = timedelta(0)
    test: timedelta = timedelta(minutes=5)
    staging: timedelta = timedelta(minutes=30)
    evidence_age_max: timedelta = timedelta(hours=1)
    """Of the soak evidence when the work starts: a promotion may have waited in a queue."""

    def of(self, stage: Stage) -> timedelta:
        """Return the soak time at *stage*; nothing is promoted from prod, so its is staging's."""
        match stage:
            case Stage.DEV:
                return self.dev
            case Stage.TEST:
                return self.test
            case Stage.STAGING | Stage.PROD:
                return self.staging


LOCAL_SOAK: Final = SoakDefaults(test=timedelta(seconds=10), staging=timedelta(seconds=30))
