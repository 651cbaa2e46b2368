"""How traffic moves to a new version, and the default numbers of a rollout."""

from datetime import timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from shared.contracts.gates import Wait
from shared.contracts.shape import Value
from shared.kernel.dataclass import dataclass


class OnConflict(StrEnum):
    """What to do when another deployment changes a module."""

    QUEUE = "queue"
    SUPERSEDE = "supersede"
    """Cancels the queued, rolls the running one back first."""
    REJECT = "reject"
    """409 with the holder."""


class StrategyKind(StrEnum):
    CANARY = "canary"
    BLUE_GREEN = "blueGreen"
    ROLLING = "rolling"
    RECREATE = "recreate"


class TrafficStep(Value):
    """Weight of the new version for all components, dependencies first, then the gate."""

    weight: Annotated[int, Field(ge=1, le=100)]
    """Percent of requests."""
    pause: Wait | None = None
    """At least this long at this weight."""


class Strategy(Value):
    """How traffic moves to the new version. Canary without steps has the default ones."""

    kind: StrategyKind = StrategyKind.CANARY
    """`blueGreen` and `rolling` are refused: not built yet."""
    steps: Annotated[tuple[TrafficStep, ...], Field(max_length=20)] = ()
    """Weights that rise, the last 100; 10, 50, 100 when not given. A first release has one step,
    100: there is no old version to compare with."""

    @model_validator(mode="after")
    def _weights_rise_to_all(self) -> Self:
        weights = [step.weight for step in self.steps]
        if weights and self.kind is StrategyKind.RECREATE:
            raise ValueError("a recreate has no steps: it stops the old version first")
        if any(later <= earlier for earlier, later in pairwise(weights)):
            raise ValueError("weights rise from step to step")
        if weights and weights[-1] != 100:  # noqa: PLR2004  percent
            raise ValueError("the last step has weight 100")
        return self


@dataclass(frozen=True)
class RolloutDefaults:
    """The default numbers of a rollout; the local profile shortens the waits."""

    canary_weights: tuple[int, ...] = (10, 50, 100)
    drain: timedelta = timedelta(seconds=30)
    """Old instances stay this long after the last shift."""
    environment_wait: timedelta = timedelta(hours=24)
    """For an environment that is being provisioned or updated."""
    unknown_environment_wait: timedelta = timedelta(minutes=2)
    """Then Failed with `EnvironmentUnknown`."""

    def steps(self) -> tuple[TrafficStep, ...]:
        """Return the canary's default steps."""
        return tuple(TrafficStep(weight=weight) for weight in self.canary_weights)


LOCAL_ROLLOUT: Final = RolloutDefaults(drain=timedelta(seconds=3))
