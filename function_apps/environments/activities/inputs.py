"""The arguments and results of the activities."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class DrainWait:
    """The external event that a decommissioning waits for, and until when; None: no longer."""

    wait_name: str
    until: datetime | None


@dataclass(frozen=True)
class RunProgress:
    """The run of the stack has ended well, or goes on; a run that failed is raised."""

    is_done: bool
