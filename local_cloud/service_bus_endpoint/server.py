"""Serves the embedded broker on a port of its own, to clients that speak AMQP 1.0.

What clients send was taken from the official SDKs for Python, JavaScript, Java and Go, and from
https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-protocol-guide. Actions
of rules and transactions are not served.
"""

import asyncio
import ssl
from typing import Final

from local_cloud.broker.broker import Broker
from local_cloud.service_bus_endpoint.authorization import Authorization
from local_cloud.service_bus_endpoint.connection import AmqpConnection
from local_cloud.service_bus_endpoint.served_namespace import ServedNamespace
from local_cloud.service_bus_endpoint.tokens import AccessKey
from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy

_AMQPS_PORT: Final = 5671
_END_WITHIN_S: Final = 5.0
_HANDSHAKE_WITHIN_S: Final = 10.0


class ServiceBusEndpoint:
    """The namespace at `amqp://<host>:<port>`; the broker stays its owner's to start and stop."""

    def __init__(
        self,
        broker: Broker,
        port: int,
        key: AccessKey | None,
        *,
        clock: Clock,
        entropy: Entropy,
        host: str = "127.0.0.1",
        authorization: Authorization | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """*port* 0 takes a free one. With *tls* clients come by TLS only.

        Without *key* no signature is taken, and without *authorization* no token of an identity.
        """
        self._namespace = ServedNamespace(broker, key, authorization, clock, entropy)
        self._tls = tls
        self._host = host
        self.port = port
        self._server: asyncio.Server | None = None

    @property
    def connection_string(self) -> str:
        """How clients connect; known after `start`. It has the key: not for a log."""
        key = self._namespace.key
        assert key is not None, "clients come with tokens of identities only"
        return (
            f"Endpoint=sb://{self._host}:{self.port};SharedAccessKeyName={key.name};"
            f"SharedAccessKey={key.key};UseDevelopmentEmulator=true"
        )

    @property
    def fully_qualified_namespace(self) -> str:
        """How clients with a credential name it; known after `start`.

        Without the port that AMQP has by TLS: the clients of .NET and JavaScript know no other.
        """
        return "localhost" if self.port == _AMQPS_PORT else f"localhost:{self.port}"

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._namespace.connections)

    async def start(self) -> None:
        """Begin to listen; returns when ready. Raises OSError when the port is taken."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: AmqpConnection(self._namespace),
            self._host,
            self.port,
            ssl=self._tls,
            ssl_handshake_timeout=None if self._tls is None else _HANDSHAKE_WITHIN_S,
        )
        self.port = int(self._server.sockets[0].getsockname()[1])
        self._namespace.expiry.start()

    async def stop(self) -> None:
        """Stop listening, cut every connection, and wait for what they had begun."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        await self._namespace.expiry.stop()
        self.cut_connections()
        ended = [connection.ended for connection in self._namespace.connections]
        if ended:
            await asyncio.wait(ended, timeout=_END_WITHIN_S)

    def cut_connections(self) -> None:
        """Cut every connection, as a network does: clients connect again."""
        for connection in list(self._namespace.connections):
            connection.abort()
