"""The output of a revision that is kept when it is removed: how much, and which of two. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from shared.kernel.dataclass import dataclass

LINES_MAX: Final = 2000
"""Of all instances of a revision."""
BYTES_MAX: Final = 256 * 1024
"""Of all instances of a revision, in UTF-8."""
INSTANCES_MAX: Final = 20


@dataclass(frozen=True)
class InstanceOutput:
    """The last lines of one instance, oldest first, or why there are none."""

    instance: str
    lines: tuple[str, ...] = ()
    reason: str | None = None


@dataclass(frozen=True)
class StoredOutput:
    """The output that the instances of a revision had when an operation removed it."""

    operation_id: str
    stored_at: datetime
    instances: tuple[InstanceOutput, ...]
    token: int = 0
    """The operation's, as its writes to the surface have it."""

    @property
    def has_lines(self) -> bool:
        return any(each.lines for each in self.instances)

    def is_final(self, operation_id: str) -> bool:
        """Return whether *operation_id* need not read again: its instances may be gone by now."""
        return self.has_lines and self.operation_id == operation_id

    def replaces(self, known: "StoredOutput | None") -> bool:
        """Return whether this is to be kept instead of *known*, which another removal left.

        That of a later operation stays, and so does what the same one kept first.
        """
        if known is None:
            return True
        if known.token > self.token or known.is_final(self.operation_id):
            return False
        return self.has_lines or not known.has_lines


@dataclass(frozen=True)
class Share:
    """The part of the bounds that each instance of a revision has."""

    lines: int
    size_bytes: int

    @classmethod
    def of(cls, instances: int) -> "Share":
        count = max(1, min(instances, INSTANCES_MAX))
        return cls(LINES_MAX // count, BYTES_MAX // count)


def newest_lines(lines: Sequence[str], share: Share) -> tuple[str, ...]:
    """Return the last of *lines* that fit into *share*; of one that alone does not, its end."""
    kept: list[str] = []
    room = share.size_bytes
    for line in reversed(lines[-share.lines :]):
        written = line.encode(errors="replace")
        if len(written) > room:
            if not kept:
                kept.append(written[-room:].decode(errors="ignore"))
            break
        kept.append(written.decode())
        room -= len(written) + 1
    return tuple(reversed(kept))
