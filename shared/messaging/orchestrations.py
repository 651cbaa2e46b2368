"""The port to a Durable task hub: what the outbox relay asks of it."""

from collections.abc import Mapping
from typing import Any, Protocol


class Orchestrations(Protocol):
    """Starts instances and raises events to them."""

    async def start(
        self, orchestration: str, instance_id: str, argument: Mapping[str, Any]
    ) -> None:
        """Start *instance_id*; one that is already running counts as started.

        Raises:
            Unavailable: the hub is away.
        """
        ...

    async def raise_event(self, instance_id: str, name: str) -> None:
        """Raise the external event *name*; an instance that is gone or ended needs none.

        Raises:
            Unavailable: the hub is away.
        """
        ...
