"""How long a service keeps what has ended: the spans, by what it is that ended."""

from datetime import timedelta
from enum import StrEnum
from typing import Final

from shared.kernel.dataclass import dataclass


class Kept(StrEnum):
    """A document that ends, by how long it is kept then."""

    ENDED = "ended"
    """A deployment, an operation, a version of a configuration, a binding, a rotation."""
    RETIRED = "retired"
    """What a service knows of a module that was removed from its environment."""
    RESULT = "result"
    """A result of health: the answer to a gate, a sample; the output of a removed release."""
    MESSAGE = "message"
    """A message that nobody could handle, and the memory of what ended elsewhere."""


MESSAGES_KEPT: Final = timedelta(days=30)
"""No message is replayed later. Whoever remembers something of another service that has ended, so
that no late message brings it back, may forget it then; its own service keeps it for longer, so
that it is not begun anew, with the first revision, while somebody remembers a later one."""


@dataclass(frozen=True)
class Retention:
    """The spans, counted from the last write of a document, which is its end.

    `ended` and `retired` are longer than MESSAGES_KEPT. `retired` is longer than `results`: a timer
    finds the samples of a service by what is known of the service, so that has to go last.
    """

    ended: timedelta = timedelta(days=365)
    retired: timedelta = timedelta(days=90)
    results: timedelta = timedelta(days=30)

    def span(self, kept: Kept) -> timedelta:
        """Return for how long a document that is *kept* so stays."""
        return {
            Kept.ENDED: self.ended,
            Kept.RETIRED: self.retired,
            Kept.RESULT: self.results,
            Kept.MESSAGE: MESSAGES_KEPT,
        }[kept]
