"""Fencing: a writer that was overtaken changes nothing."""

from dataclasses import dataclass

from shared.kernel.errors import Stale


@dataclass(frozen=True, order=True)
class Fence:
    """The right to write one thing, as given out by its aggregate.

    `token` grows each time the right passes on (a deployment is admitted to a line, a rollback
    interrupts, an operation is started anew); whoever is written to keeps the highest it has seen
    and refuses a lower one. `operation` and `step` say whose it is, for tags and audit.
    Kleppmann, "How to do distributed locking", 2016.
    """

    token: int
    operation: str
    step: str


class StaleFence(Stale):
    """A writer with a higher token has been here; this one was overtaken and changed nothing."""

    code = "StaleFence"

    def __init__(self, what: str, fence: Fence, highest: int) -> None:
        super().__init__(
            f"{fence.operation} ({fence.step}) holds token {fence.token} for {what}, "
            f"but token {highest} has written there"
        )
        self.fence = fence
        self.highest = highest
