"""Fault injection: a test makes the endpoint fail as the real service does."""

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from local_cloud.key_vault_endpoint.errors import ErrorAnswer


class FaultMoment(Enum):
    """When during a request a fault happens."""

    BEFORE = auto()
    """The answer is an error; nothing has taken effect."""
    CUT_BEFORE = auto()
    """The connection breaks, nothing has taken effect."""
    CUT_AFTER = auto()
    """The connection breaks after the effect: the answer is lost."""
    TRUNCATED = auto()
    """The answer is half of what it is, after the effect."""
    STALLED = auto()
    """No answer comes, and nothing takes effect."""


_AWAY: Final = ErrorAnswer(503, "ServiceUnavailable", "injected fault")


@dataclass(frozen=True)
class Fault:
    """Makes one request fail, once its token was accepted."""

    moment: FaultMoment = FaultMoment.BEFORE
    answer: ErrorAnswer = _AWAY


FORBIDDEN: Final = Fault(
    answer=ErrorAnswer(403, "Forbidden", "the role assignment is not known yet", "ForbiddenByRbac")
)
"""As a vault answers for minutes after a role was assigned."""


class Faults:
    """The faults that are still to come, and how many requests had a good token."""

    def __init__(self) -> None:
        self._left: deque[Fault] = deque()
        self.seen = 0

    def add(self, fault: Fault, times: int = 1) -> None:
        """Make the next *times* requests fail, after the faults that were added before."""
        self._left.extend([fault] * times)

    def next_fault(self) -> Fault | None:
        """Count a request and return its fault, if it has one."""
        self.seen += 1
        return self._left.popleft() if self._left else None
