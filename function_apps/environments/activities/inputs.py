"""The arguments and results of the activities."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DrainWait:
    """The external event that a decommissioning waits for, and for how long; 0: no longer."""

    wait_name: str
    wait_s: float


@dataclass(frozen=True)
class RunProgress:
    """Whether the run of the stack has ended well; a run that failed is raised."""

    is_done: bool
