"""What the outbox relay asks of a Durable task hub."""

from collections.abc import Mapping
from typing import Any, Protocol


class Orchestrations(Protocol):
    """Starts and wakes instances."""

    async def start(
        self, orchestration: str, instance_id: str, argument: Mapping[str, Any]
    ) -> None:
        """Start *instance_id*; one that is already running counts as started.

        Raises:
            Unavailable: the hub is away.
        """
        ...

    async def wake(self, instance_id: str, name: str) -> None:
        """Raise the external event *name*; an instance that is gone or ended needs no waking.

        Raises:
            Unavailable: the hub is away.
        """
        ...
