"""What another policy would have done with the load that was recorded: asked, and answered."""

from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from shared.contracts.scaling import ScalingPolicyChange, ScalingReason
from shared.contracts.shape import Command, Resource, Value
from shared.contracts.values import Instant, Label, Replicas, Text


class WhatIf(Command):
    """POST /scaling-policies/{policyId}/what-if: this policy over recorded samples."""

    policy: ScalingPolicyChange
    from_at: Instant
    until_at: Instant

    @model_validator(mode="after")
    def _goes_forward(self) -> Self:
        if self.from_at >= self.until_at:
            raise ValueError("fromAt is before untilAt")
        return self


WHAT_IF_STEPS_MAX: Final = 1500
"""Of a replay: a day of evaluations, one a minute."""


class WhatIfStep(Value):
    """One recorded evaluation as the proposed policy would have decided it."""

    at: Instant
    recorded: Replicas
    """As many as there were."""
    desired: Replicas
    reason: ScalingReason
    load: Annotated[float, Field(ge=0)] | None
    """The worst of the rules' values as a share of its target, with as many as desired before;
    absent where none was recorded."""
    cost: Annotated[float, Field(ge=0)] | None
    """Until the next step, where there is a price list."""


class WhatIfResult(Resource):
    """What a proposed policy would have done. Nothing is changed by it."""

    steps: Annotated[tuple[WhatIfStep, ...], Field(max_length=WHAT_IF_STEPS_MAX)]
    replicas_max: Replicas
    replica_hours: Annotated[float, Field(ge=0)]
    recorded_replica_hours: Annotated[float, Field(ge=0)]
    objective_met: Annotated[float, Field(ge=0, le=1)] | None
    """The share of steps in which no rule was above its target by more than the tolerance."""
    cost: Annotated[float, Field(ge=0)] | None
    recorded_cost: Annotated[float, Field(ge=0)] | None
    currency: Label | None
    changes: Annotated[int, Field(ge=0)]
    """How often the number would have changed."""
    assumptions: Annotated[tuple[Text, ...], Field(max_length=10)]
    is_whole: bool
    """False where more was recorded than a replay takes."""
