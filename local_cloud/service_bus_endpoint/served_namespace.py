"""What all connections of an endpoint share, and the end of their tokens."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from local_cloud.broker.broker import Broker
from local_cloud.notifications import EarliestTimer
from local_cloud.service_bus_endpoint.authorization import Authorization
from local_cloud.service_bus_endpoint.tokens import AccessKey
from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy

if TYPE_CHECKING:
    from local_cloud.service_bus_endpoint.connection import AmqpConnection


@dataclass
class ServedNamespace:
    """One namespace on a port."""

    broker: Broker
    key: AccessKey | None
    authorization: Authorization | None
    clock: Clock
    entropy: Entropy
    connections: set["AmqpConnection"] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.expiry = EarliestTimer(self.clock, self._end_links)
        """Fires when a token ends."""

    def expect_end(self, ends_at: float) -> None:
        """Look again at the epoch second *ends_at*, at which a token ends."""
        self.expiry.set(self.clock.monotonic_s() + ends_at - self.clock.now().timestamp())

    async def _end_links(self) -> None:
        for connection in list(self.connections):
            connection.links.end_expired()
            self.expect_end(connection.grants.next_end())
