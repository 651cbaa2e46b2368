"""Sends commands about an environment of which their service has not heard yet.

Services hear of environments by events, after the operation that provisions one has ended.
"""

from collections.abc import Callable
from typing import Final, TypeVar

from cli.client import Client
from cli.failure import Failure
from cli.host_process import pause
from shared.kernel.clock import Clock

HEARD_WITHIN_S: Final = 30.0
ASKED_EVERY_S: Final = 0.5
"""Each is a write, of which a tenant has five a second."""
_UNHEARD: Final = "EnvironmentNotProvisioned"
T = TypeVar("T")


def heard(client: Client, clock: Clock, environment_id: str | None, act: Callable[[], T]) -> T:
    """Return the result of *act*, which is asked for again while *environment_id* is unheard of.

    Raises:
        Failure: of *act*; the environment is none that is provisioned, or is not heard of in time.
    """
    until_s = clock.monotonic_s() + HEARD_WITHIN_S
    while True:
        try:
            return act()
        except Failure as failure:
            is_late = clock.monotonic_s() > until_s
            if failure.code != _UNHEARD or is_late or not _is_provisioned(client, environment_id):
                raise
        pause(clock, ASKED_EVERY_S)


def _is_provisioned(client: Client, environment_id: str | None) -> bool:
    """Return whether the caller's tenant has that environment, and it is there."""
    if environment_id is None:
        return False
    try:
        found = client.get(f"/v1/runtime/environments/{environment_id}").body
    except Failure:
        return False
    return bool(found["status"] == "Provisioned")
