"""What environments refuses, by name."""

from collections.abc import Sequence

from shared.contracts.environments import EnvironmentStatus
from shared.kernel.errors import (
    Conflict,
    NotFound,
    PlanRefused,
    PreconditionRequired,
    Stale,
    Violation,
)


class EnvironmentNotFound(NotFound):
    """No such environment in the caller's tenant."""

    code = "EnvironmentNotFound"

    def __init__(self, environment_id: str) -> None:
        super().__init__(f"no environment {environment_id!r}")


class TransitionRefused(Conflict):
    """The environment's state does not allow what was asked."""

    code = "TransitionRefused"

    def __init__(self, state: EnvironmentStatus, asked: str, allowed: Sequence[str]) -> None:
        states = ", ".join(sorted(allowed)) or "no state"
        super().__init__(
            f"{asked} is not possible while the environment is {state}; it is from {states}"
        )
        self.state = state
        self.asked = asked


class EnvironmentExists(Conflict):
    """The natural key is active with other content."""

    code = "EnvironmentExists"

    def __init__(self, environment_id: str, differing: Sequence[Violation]) -> None:
        names = ", ".join(each.target for each in differing)
        super().__init__(
            f"{environment_id} exists with another {names}; change it with PUT",
            details=differing,
        )


class FixedOnceProvisioned(Conflict):
    """Stage and region of an environment never change."""

    code = "FixedOnceProvisioned"


class ConfirmationMissing(PreconditionRequired):
    """A protected environment is decommissioned only with its name as confirmation."""

    code = "ConfirmationMissing"

    def __init__(self, name: str, received: str | None) -> None:
        super().__init__(
            f"the environment is protected: repeat with confirm={name}, got {received!r}",
            target="confirm",
        )


class PlanMoved(Stale):
    """What was approved is no longer what would happen."""

    code = "PlanMoved"

    def __init__(self, approved: str, current: str) -> None:
        super().__init__(
            f"the plan is now {current}, approved was {approved}; look at the plan again",
            target="/planId",
        )


class NotOffered(PlanRefused):
    """Asked for something that this version of the platform does not do."""

    code = "NotOffered"
