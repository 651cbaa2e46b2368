"""Fencing: a writer that was overtaken changes nothing."""

from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Stale


@dataclass(frozen=True, order=True)
class Fence:
    """The right to write one thing, as given out by its aggregate.

    `token` grows with each owner: when a deployment starts, when a rollback or a cancellation
    interrupts it, when a drain takes the environment's workloads, with each command that changes an
    environment or gives its operation up. An operation that is started again keeps its token. The
    system that is written to keeps the highest token it has seen and refuses a lower one.
    `operation` and `step` name the writer, for tags and audit.
    Kleppmann, "How to do distributed locking", 2016.
    """

    token: int
    operation: str
    step: str


class StaleFence(Stale):
    """A writer with a higher token has been here; this one was overtaken and changed nothing."""

    def __init__(self, what: str, fence: Fence, highest: int) -> None:
        super().__init__(
            f"{fence.operation} ({fence.step}) holds token {fence.token} for {what}, "
            f"but token {highest} has written there"
        )
