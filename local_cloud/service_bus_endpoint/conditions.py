"""Errors as AMQP conditions, by the names from which the SDKs make their exceptions.

https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-troubleshoot
"""

import logging
from collections.abc import Mapping
from typing import Final

from proton import Condition, symbol

from local_cloud.broker.message import LockLost, SessionRequired
from local_cloud.broker.sessions import NoSession, SessionBusy, SessionLost
from shared.kernel.errors import Conflict, Invalid, NotFound, TooLarge, Unauthenticated, Unavailable

_log = logging.getLogger(__name__)
NOT_IMPLEMENTED: Final = "amqp:not-implemented"
NOT_ALLOWED: Final = "amqp:not-allowed"
LIMIT_EXCEEDED: Final = "amqp:resource-limit-exceeded"
MESSAGE_NOT_FOUND: Final = "com.microsoft:message-not-found"
LOCK_LOST: Final = "com.microsoft:message-lock-lost"
SESSION_LOST: Final = "com.microsoft:session-lock-lost"
_INFO: Final = {symbol("com.microsoft:origin"): "local Service Bus"}
_CONDITIONS: Final[Mapping[type[Exception], tuple[str, int]]] = {
    Unauthenticated: ("amqp:unauthorized-access", 401),
    SessionRequired: (NOT_ALLOWED, 400),
    SessionBusy: ("com.microsoft:session-cannot-be-locked", 409),
    SessionLost: (SESSION_LOST, 410),
    NoSession: ("com.microsoft:timeout", 408),
    Conflict: ("com.microsoft:entity-already-exists", 409),
    TooLarge: ("amqp:link:message-size-exceeded", 413),
    Invalid: ("com.microsoft:argument-error", 400),
    LockLost: (LOCK_LOST, 410),
    Unavailable: ("com.microsoft:server-busy", 503),
}
"""Condition, and status of a management answer, by what is raised."""


class AmqpRefused(Exception):
    """A client asks for what is not done here; `status` is that of a management answer."""

    def __init__(self, condition: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.condition = condition
        self.description = description
        self.status = status


def refusal_of(problem: Exception) -> AmqpRefused:
    """Return *problem* as a client is told of it; a defect is logged."""
    if isinstance(problem, AmqpRefused):
        return problem
    if isinstance(problem, NotFound):
        # The JavaScript SDK knows a missing entity by these words.
        absent = f"The messaging entity asked for could not be found: {problem}"
        return AmqpRefused("amqp:not-found", absent, 404)
    for kind, (condition, status) in _CONDITIONS.items():
        if isinstance(problem, kind):
            return AmqpRefused(condition, str(problem), status)
    _log.error("the local Service Bus failed", exc_info=problem)
    return AmqpRefused("amqp:internal-error", "the local Service Bus failed: see its log", 500)


def condition_of(refusal: AmqpRefused) -> Condition:
    """Return *refusal* with some information: pyamqp hangs on an error that ends before it."""
    return Condition(refusal.condition, refusal.description, _INFO)  # type: ignore[arg-type]  # a map
