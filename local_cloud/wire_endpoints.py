"""The ports on which official SDKs reach the local cloud, opened when asked for."""

import logging
from abc import ABC, abstractmethod
from typing import ClassVar, Final, Protocol

from local_cloud.broker.broker import Broker
from local_cloud.storage import LocalStorage
from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy

_log = logging.getLogger(__name__)
EMULATOR_KEY: Final = (
    "C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw=="
)
"""The key of every Cosmos DB emulator, published and no secret.
https://learn.microsoft.com/azure/cosmos-db/emulator#authentication"""


EMULATOR_KEY_NAME: Final = "RootManageSharedAccessKey"
EMULATOR_SAS_KEY: Final = "SAS_KEY_VALUE"
"""The key of every Service Bus emulator, published and no secret.
https://learn.microsoft.com/azure/service-bus-messaging/test-locally-with-service-bus-emulator"""


class PortTaken(Exception):
    """A wire endpoint cannot listen on its port; another program does."""


class NotInstalled(Exception):
    """What a wire endpoint is made of is not installed."""


class _Endpoint(Protocol):
    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class Wire(ABC):
    """One endpoint on a port. `setting` is what apps call the connection to it."""

    setting: ClassVar[str]
    service: ClassVar[str]
    option: ClassVar[str]
    """The option that chooses the port."""

    def __init__(self, endpoint: _Endpoint, port: int) -> None:
        self._endpoint = endpoint
        self._port = port

    @property
    @abstractmethod
    def connection(self) -> str:
        """The connection string; the port is known once it listens."""

    async def start(self) -> None:
        """Begin to listen. Raises PortTaken."""
        try:
            await self._endpoint.start()
        except OSError as problem:
            raise PortTaken(
                f"cannot serve {self.service} on port {self._port}: {problem.strerror};"
                f" choose another with {self.option}"
            ) from problem
        _log.info("%s: %s", self.service, self.connection)

    async def stop(self) -> None:
        await self._endpoint.stop()


class ServiceBusWire(Wire):
    """The embedded broker on a port, for azure-servicebus clients."""

    setting = "ServiceBus"
    service = "Service Bus"
    option = "--service-bus-port"

    def __init__(self, broker: Broker, port: int, *, clock: Clock, entropy: Entropy) -> None:
        """Raises NotInstalled where this Python has no AMQP."""
        try:
            from local_cloud.service_bus_endpoint.server import (  # noqa: PLC0415  where used
                ServiceBusEndpoint,
            )
            from local_cloud.service_bus_endpoint.tokens import AccessKey  # noqa: PLC0415
        except ImportError as problem:
            raise NotInstalled(
                "the local Service Bus needs python-qpid-proton, which a C compiler builds:"
                " pip install -r requirements/cloud.txt"
            ) from problem
        key = AccessKey(EMULATOR_KEY_NAME, EMULATOR_SAS_KEY)
        self._bus = ServiceBusEndpoint(broker, port, key, clock=clock, entropy=entropy)
        super().__init__(self._bus, port)

    @property
    def connection(self) -> str:
        return self._bus.connection_string


class CosmosWire(Wire):
    """The embedded Cosmos account on a port, for azure-cosmos clients."""

    setting = "CosmosDB"
    service = "Cosmos DB"
    option = "--cosmos-port"

    def __init__(self, storage: LocalStorage, port: int) -> None:
        from local_cloud.cosmos_endpoint.server import CosmosEndpoint  # noqa: PLC0415  aiohttp

        self._account = CosmosEndpoint(storage, port, EMULATOR_KEY)
        super().__init__(self._account, port)

    @property
    def connection(self) -> str:
        return f"AccountEndpoint={self._account.url};AccountKey={EMULATOR_KEY}"
