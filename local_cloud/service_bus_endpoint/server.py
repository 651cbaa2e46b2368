"""Serves the embedded broker on a port of its own, to clients that speak AMQP 1.0.

What clients send was taken from the official SDKs for Python, JavaScript, Java and Go, and from
https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-protocol-guide. Sessions,
rules over AMQP, transactions, Entra tokens and TLS are not served.
"""

import asyncio
from typing import Final

from local_cloud.broker.broker import Broker
from local_cloud.service_bus_endpoint.connection import AmqpConnection, ServedNamespace
from local_cloud.service_bus_endpoint.tokens import AccessKey
from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy

_END_WITHIN_S: Final = 5.0


class ServiceBusEndpoint:
    """The namespace at `amqp://<host>:<port>`; the broker stays its owner's to start and stop."""

    def __init__(
        self,
        broker: Broker,
        port: int,
        key: AccessKey,
        *,
        clock: Clock,
        entropy: Entropy,
        host: str = "127.0.0.1",
    ) -> None:
        """*port* 0 takes a free one."""
        self._namespace = ServedNamespace(broker, key, clock, entropy)
        self._host = host
        self.port = port
        self._server: asyncio.Server | None = None

    @property
    def connection_string(self) -> str:
        """How clients connect; known after `start`. It has the key: not for a log."""
        key = self._namespace.key
        return (
            f"Endpoint=sb://{self._host}:{self.port};SharedAccessKeyName={key.name};"
            f"SharedAccessKey={key.key};UseDevelopmentEmulator=true"
        )

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._namespace.connections)

    async def start(self) -> None:
        """Begin to listen; returns when ready. Raises OSError when the port is taken."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: AmqpConnection(self._namespace), self._host, self.port
        )
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening, cut every connection, and wait for what they had begun."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        self.cut_connections()
        ended = [connection.ended for connection in self._namespace.connections]
        if ended:
            await asyncio.wait(ended, timeout=_END_WITHIN_S)

    def cut_connections(self) -> None:
        """Cut every connection, as a network does: clients connect again."""
        for connection in list(self._namespace.connections):
            connection.abort()
