"""Waits until a service has heard of what another did just before: services hear by events."""

from collections.abc import Callable
from typing import Final, TypeVar

from cli.client import Client
from cli.failure import Failure
from cli.host_process import pause
from cli.output import note
from shared.kernel.clock import Clock

EVENT_WITHIN_S: Final = 30.0
"""An event takes a second or two; more on a busy machine, or while a host starts again."""
ASK_INTERVAL_S: Final = 0.5
"""Each time something is written, or planned as a write: a tenant has five of these a second."""
SAID_AFTER_S: Final = 2.0
_UNHEARD: Final = "EnvironmentNotProvisioned"
T = TypeVar("T")


class EventWait:
    """One wait, of which is said what for once it takes a while."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began_s = clock.monotonic_s()
        self._is_said = False

    @property
    def is_over(self) -> bool:
        return self._waited_s > EVENT_WITHIN_S

    def pause(self, unheard: str) -> None:
        """Sleep until it is time to ask again; *unheard* says who has not heard of what."""
        if not self._is_said and self._waited_s > SAID_AFTER_S:
            self._is_said = True
            note(f"{unheard} yet: waiting up to {EVENT_WITHIN_S:.0f} s")
        pause(self._clock, ASK_INTERVAL_S)

    @property
    def _waited_s(self) -> float:
        return self._clock.monotonic_s() - self._began_s


def send_once_heard(
    client: Client, clock: Clock, environment_id: str | None, send: Callable[[], T]
) -> T:
    """Return the result of *send*, once its service has heard of *environment_id*.

    Raises:
        Failure: of *send*; the environment is none that is provisioned, or is not heard of in time.
    """
    wait = EventWait(clock)
    while True:
        try:
            return send()
        except Failure as failure:
            is_new = failure.code == _UNHEARD and _is_provisioned(client, environment_id)
            if not is_new or wait.is_over:
                raise
        wait.pause(f"the service has not heard of {environment_id}, which is provisioned,")


def _is_provisioned(client: Client, environment_id: str | None) -> bool:
    """Return whether the caller's tenant has that environment, and it is there."""
    if environment_id is None:
        return False
    try:
        found = client.get(f"/v1/runtime/environments/{environment_id}").body
    except Failure:
        return False
    return bool(found["status"] == "Provisioned")
