"""The arguments and results of the activities."""

from datetime import datetime

from shared.contracts.values import ComputeTargetKind
from shared.kernel.dataclass import dataclass


@dataclass(frozen=True)
class DrainWait:
    """The external event that is waited for until a drain ends, and until when; None: no longer."""

    wait_name: str
    until: datetime | None


@dataclass(frozen=True)
class RunProgress:
    """The run of the stack has ended well, or goes on; a run that failed is raised."""

    is_done: bool


@dataclass(frozen=True)
class MadeBoundaries:
    """The targets on which a tenant is isolated, and what the surfaces call its part of them."""

    kinds: tuple[ComputeTargetKind, ...]
    namespace: str | None
    identity: str | None
