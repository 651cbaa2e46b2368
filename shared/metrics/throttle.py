"""Leaves a provider alone for as long as it has asked."""

from typing import Any, Final

from shared.connections.retry_after import retry_after_s
from shared.kernel.clock import Clock
from shared.kernel.errors import Unavailable

THROTTLED: Final = frozenset({429, 503})
_PAUSE_S: Final = 10.0
"""Where it does not say how long."""


class Throttle:
    """The time before which a provider is not asked again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until_s = 0.0

    def check(self) -> None:
        """Raises Unavailable: it has asked to be left alone until later."""
        left_s = self._until_s - self._clock.monotonic_s()
        if left_s > 0:
            raise _throttled(left_s)

    def pause(self, asked: Any) -> Unavailable:
        """Return what to raise for an answer that says *asked* in `Retry-After`."""
        wait_s = retry_after_s(asked, _PAUSE_S)
        self._until_s = max(self._until_s, self._clock.monotonic_s() + wait_s)
        return _throttled(wait_s)


def _throttled(wait_s: float) -> Unavailable:
    message = f"it throttles, and is asked again in {max(wait_s, 0.1):.1f} s"
    return Unavailable(message, retry_after_s=wait_s, throttled=True)
