"""Where services that are not yet in the new shape find causes; goes with the last of them."""

from shared.kernel.cause import (
    MARKER_TTL,
    UNKEYED_TTL,
    Cause,
    caused_by_timer,
    idempotency_marker,
    request_marker,
)

__all__ = [
    "MARKER_TTL", "UNKEYED_TTL", "Cause", "caused_by_timer", "idempotency_marker", "request_marker",
]  # fmt: skip
