"""The arguments and results of the activities."""

from datetime import datetime

from shared.kernel.dataclass import dataclass


@dataclass(frozen=True)
class Progress:
    """The external event that the next proof raises, and until when it is waited for.

    Without `until` every consumer has proved the new version.
    """

    wait_name: str
    until: datetime | None


@dataclass(frozen=True)
class Overlap:
    """Until when old versions stay enabled, and the event that ends the wait for that."""

    wait_name: str
    until: datetime
