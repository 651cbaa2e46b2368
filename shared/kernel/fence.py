"""Fencing: a writer that was overtaken changes nothing."""

from dataclasses import dataclass


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
