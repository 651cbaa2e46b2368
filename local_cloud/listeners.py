"""The ports on which official SDKs reach the local cloud, opened when asked for."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple, Protocol

from local_cloud.broker.broker import Broker
from local_cloud.storage import LocalStorage
from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy
from shared.persistence.disk_errors import reason_of

if TYPE_CHECKING:
    from local_cloud.callers import Callers

_log = logging.getLogger(__name__)
KEY_NAME: Final = "RootManageSharedAccessKey"
STORAGE_ACCOUNT: Final = "devstoreaccount1"
"""As emulators call them."""


class PortTaken(Exception):
    """The listener of *service* cannot listen on its *port*; another program does."""

    def __init__(self, message: str, service: str, port: int) -> None:
        super().__init__(message)
        self.service, self.port = service, port


class NotInstalled(Exception):
    """What a listener is made of is not installed."""


class _Endpoint(Protocol):
    async def start(self) -> None: ...

    async def stop(self) -> None: ...


async def listen(endpoint: _Endpoint, service: str, port: int, option: str) -> None:
    """Start *endpoint* of *service*; *option* chooses its *port*. Raises PortTaken."""
    try:
        await endpoint.start()
    except OSError as problem:
        raise PortTaken(
            f"cannot serve {service} on port {port}: {reason_of(problem)};"
            f" choose another with {option}, and start apps that use it anew",
            service,
            port,
        ) from problem


class Listener(ABC):
    """One endpoint on a port."""

    setting: ClassVar[str | None] = None
    """What apps call the connection to it; None: they have none."""
    service: ClassVar[str]
    option: ClassVar[str]
    """The option that chooses the port."""

    def __init__(self, endpoint: _Endpoint, port: int) -> None:
        self._endpoint = endpoint
        self._port = port

    @property
    @abstractmethod
    def connection(self) -> str:
        """What an app is given: an address or a connection string, known once it listens."""

    @property
    def addresses(self) -> Mapping[str, str]:
        """Where each service of it listens, as a URL without a key."""
        return {self.service: self.connection}

    async def start(self) -> None:
        """Begin to listen. Raises PortTaken."""
        await listen(self._endpoint, self.service, self._port, self.option)
        for service, address in self.addresses.items():  # a connection may have a key
            _log.info("%s: %s", service, address)

    async def stop(self) -> None:
        await self._endpoint.stop()


class ServiceBusListener(Listener):
    """The embedded broker on a port, for azure-servicebus clients."""

    setting = "ServiceBus"
    service = "Service Bus"
    option = "--service-bus-port"

    def __init__(
        self, broker: Broker, port: int, key: str, *, clock: Clock, entropy: Entropy
    ) -> None:
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
        access = AccessKey(KEY_NAME, key)
        self._bus = ServiceBusEndpoint(broker, port, access, clock=clock, entropy=entropy)
        super().__init__(self._bus, port)

    @property
    def connection(self) -> str:
        return self._bus.connection_string

    @property
    def addresses(self) -> Mapping[str, str]:
        return {self.service: f"amqp://127.0.0.1:{self._bus.port}"}


class CosmosListener(Listener):
    """The embedded Cosmos account on a port, for azure-cosmos clients."""

    setting = "CosmosDB"
    service = "Cosmos DB"
    option = "--cosmos-port"

    def __init__(
        self, storage: LocalStorage, port: int, key: str, *, callers: "Callers | None" = None
    ) -> None:
        """*callers* are identities; None: the account takes its key only."""
        from local_cloud.cosmos_endpoint.server import CosmosEndpoint  # noqa: PLC0415  aiohttp

        self._key = key
        self.account = CosmosEndpoint(storage, port, key, callers=callers)
        super().__init__(self.account, port)

    @property
    def connection(self) -> str:
        return f"AccountEndpoint={self.account.url};AccountKey={self._key}"

    @property
    def addresses(self) -> Mapping[str, str]:
        return {self.service: self.account.url}


class StoragePorts(NamedTuple):
    """Where the account's two services listen; 0 takes a free one."""

    blobs: int = 0
    tables: int = 0


class StorageListener(Listener):
    """The embedded tables and blobs on two ports, for the SDKs of Azure Storage."""

    setting = "Storage"
    service = "Blob storage"
    option = "--blob-port"

    def __init__(
        self,
        storage: LocalStorage,
        ports: StoragePorts,
        key: str,
        *,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        """*storage* is in a folder: blobs in memory are served to nobody."""
        from local_cloud.storage_endpoint.blobs import BlobService  # noqa: PLC0415  aiohttp
        from local_cloud.storage_endpoint.server import StorageEndpoint  # noqa: PLC0415
        from local_cloud.storage_endpoint.shared_key import SharedKey  # noqa: PLC0415
        from local_cloud.storage_endpoint.tables import TableService  # noqa: PLC0415

        self._account_key = key
        self.key = SharedKey(STORAGE_ACCOUNT, key)
        self.blobs, self.tables = BlobService(storage, clock), TableService(storage, entropy)
        self._blobs = StorageEndpoint(self.blobs, self.key, ports.blobs)
        self._tables = StorageEndpoint(self.tables, self.key, ports.tables)
        self._table_port = ports.tables
        super().__init__(self._blobs, ports.blobs)

    @property
    def connection(self) -> str:
        return (
            f"DefaultEndpointsProtocol=http;AccountName={STORAGE_ACCOUNT};AccountKey={self._account_key};"
            f"BlobEndpoint={self._blobs.url};TableEndpoint={self._tables.url};"
        )

    @property
    def addresses(self) -> Mapping[str, str]:
        return {"Blob storage": self._blobs.url, "Table storage": self._tables.url}

    async def start(self) -> None:
        await listen(self._tables, "Table storage", self._table_port, "--table-port")
        await super().start()

    async def stop(self) -> None:
        await super().stop()
        await self._tables.stop()
