"""Fault injection: a test makes the endpoint fail as the real service does."""

from dataclasses import dataclass
from enum import Enum, auto

from local_cloud.cosmos_endpoint.errors import CosmosError


class FaultKind(Enum):
    """What a request does."""

    READ = auto()
    WRITE = auto()
    BATCH = auto()
    QUERY = auto()
    FEED = auto()
    METADATA = auto()


class FaultMoment(Enum):
    """When during a request a fault happens."""

    BEFORE = auto()
    """Nothing has taken effect."""
    INSIDE = auto()
    """A batch answers 207 with this status for one operation; nothing has taken effect."""
    CUT_BEFORE = auto()
    """The connection breaks, nothing has taken effect."""
    CUT_AFTER = auto()
    """The connection breaks after the commit: the answer is lost."""


@dataclass(frozen=True)
class Fault:
    """Makes the next `times` requests of *kind* fail."""

    kind: FaultKind
    moment: FaultMoment = FaultMoment.BEFORE
    status: int = 503
    retry_after_ms: int = 0
    times: int = 1


class ConnectionCut(Exception):
    """An injected fault cuts the connection here."""


class Faults:
    """The faults that are still to come, and how many requests were seen."""

    def __init__(self) -> None:
        self._left: list[tuple[Fault, int]] = []
        self.seen: dict[FaultKind, int] = dict.fromkeys(FaultKind, 0)

    def add(self, fault: Fault) -> None:
        """Make the next matching requests fail, after the faults that were added before."""
        self._left.append((fault, fault.times))

    def next_fault(self, kind: FaultKind) -> Fault | None:
        """Count a request of *kind* and return its fault, if it has one.

        Raises:
            CosmosError: the fault is an error answer given before anything was done.
        """
        self.seen[kind] += 1
        fault = self._next(kind)
        if fault is not None and fault.moment is FaultMoment.BEFORE:
            headers = {"x-ms-retry-after-ms": str(fault.retry_after_ms)}
            code = "TooManyRequests" if fault.status == 429 else "ServiceUnavailable"  # noqa: PLR2004
            substatus = 3200 if fault.status == 429 else 0  # noqa: PLR2004  user request rate
            raise CosmosError(
                fault.status, code, "injected fault", substatus=substatus, headers=headers
            )
        return fault

    def _next(self, kind: FaultKind) -> Fault | None:
        for index, (fault, left) in enumerate(self._left):
            if fault.kind is kind:
                if left > 1:
                    self._left[index] = (fault, left - 1)
                else:
                    del self._left[index]
                return fault
        return None
