"""Why something happens: who asked, as part of which work, and the row that proves it was done."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from shared.kernel.entropy import Entropy
from shared.kernel.ids import correlation_id, trace_id

MARKER_TTL: Final = timedelta(days=7)
UNKEYED_TTL: Final = timedelta(hours=1)
"""A request without `Idempotency-Key` is recognised only by its own invocation."""


@dataclass(frozen=True)
class Cause:
    """`marker` is the id of the inbox or idempotency row; None where the aggregate itself shows it.

    `kind` and `reference` name the cause for the audit record (`event evt-…`, `command evt-…`,
    `request POST v1/runtime/environments`, `timer observe_due`, `operation op-…`).
    """

    actor: str
    kind: str
    reference: str
    trace_id: str
    correlation_id: str
    causation_id: str | None = None
    marker: str | None = None
    project: str | None = None
    """The envelope's project, where a message is the cause and names one."""
    marker_ttl: timedelta = MARKER_TTL
    fingerprint: str | None = None
    """Of the request's content: the marker's key with another content is refused."""
    if_match: tuple[str, ...] | None = None
    """The etags of which the aggregate must still have one; `*` is any: it must be there."""
    occurred_at: datetime | None = None
    """When the message that is the cause was written by its sender."""

    @property
    def is_keyed(self) -> bool:
        """Whether the same request may come again: under its caller's key, or as a message.

        An event is ordered by its revision and needs no row when it changes nothing. A command
        carries none: after what came later it would act.
        """
        may_come_again = self.fingerprint is not None or self.kind == "command"
        return self.marker is not None and may_come_again


def caused_by_timer(name: str, entropy: Entropy) -> Cause:
    """Return the cause of what a timer does."""
    return Cause(f"timer:{name}", "timer", name, trace_id(entropy), correlation_id(entropy))


def request_marker(entropy: Entropy) -> str:
    """Return the id of the row by which an invocation finds its own commit after a lost answer."""
    return f"request/{entropy.uuid()}"


def idempotency_marker(route: str, key: str) -> str:
    """Return the id of the row that remembers the answer to *key* on *route*."""
    return "idem/" + hashlib.sha256(f"{route}\0{key}".encode()).hexdigest()[:40]
