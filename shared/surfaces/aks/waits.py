"""Waits for what the cluster does by itself, for a short time."""

from collections.abc import Awaitable, Callable
from typing import Final

from shared.kernel.clock import Clock
from shared.kernel.errors import Unavailable

WAIT_S: Final = 15.0
"""For what takes a second on an idle cluster; then the caller gets `Unavailable`."""
ENDS_WITHIN_S: Final = 60.0
"""For pods that drain, and for a namespace, which ends some seconds after its last one."""
_POLL_S: Final = 0.1


async def wait_until(
    holds: Callable[[], Awaitable[bool]],
    clock: Clock,
    message: str,
    within_s: float = WAIT_S,
    error: type[Unavailable] = Unavailable,
) -> None:
    """Return when *holds* says so.

    Raises:
        Unavailable: it did not *within_s*; it is an *error* with the *message*.
    """
    ends_at_s = clock.monotonic_s() + within_s
    while not await holds():
        if clock.monotonic_s() >= ends_at_s:
            raise error(message, retry_after_s=2.0)
        await clock.sleep(_POLL_S)
