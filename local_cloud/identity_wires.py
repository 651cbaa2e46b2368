"""The ports for identities: https or TLS with the certificate of this machine, and their tokens."""

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from local_cloud.broker.broker import Broker
from local_cloud.cosmos_endpoint.server import CosmosEndpoint
from local_cloud.identity_services import IdentityServices
from local_cloud.key_vault_endpoint.authorization import RESOURCE, VaultAuthorization
from local_cloud.key_vault_endpoint.server import KeyVaultEndpoint
from local_cloud.storage_endpoint.authorization import RESOURCE as STORAGE
from local_cloud.storage_endpoint.authorization import RoleAuthorization
from local_cloud.storage_endpoint.server import StorageEndpoint
from local_cloud.token_endpoint.server import TokenEndpoint
from local_cloud.wire_endpoints import StorageWire, Wire
from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy


class TokenWire(Wire):
    """What gives the apps tokens, as App Service does."""

    service = "tokens"
    option = "--token-port"

    def __init__(self, services: IdentityServices, port: int) -> None:
        self._tokens = TokenEndpoint(services.identities, tuple(services.names), port)
        super().__init__(self._tokens, port)

    @property
    def connection(self) -> str:
        return self._tokens.url

    def environ_of(self, name: str) -> Mapping[str, str]:
        """Return the variables that make a process the identity *name*."""
        return self._tokens.environ_of(name)


class VaultWire(Wire):
    """The vault on a port, for clients of Key Vault."""

    setting = "KeyVault__vaultUri"
    service = "Key Vault"
    option = "--key-vault-port"

    def __init__(self, services: IdentityServices, port: int) -> None:
        authorization = VaultAuthorization(services.callers([RESOURCE]))
        self._vault = KeyVaultEndpoint(services.vault, authorization, services.certificates, port)
        super().__init__(self._vault, port)

    @property
    def connection(self) -> str:
        return self._vault.url


class CosmosTlsWire(Wire):
    """The Cosmos account once more, by https: for tokens, and for the key as in Azure."""

    setting = "CosmosDB__accountEndpoint"
    service = "Cosmos DB by identity"
    option = "--cosmos-https-port"

    def __init__(self, account: CosmosEndpoint, port: int, tls: ssl.SSLContext) -> None:
        self._second = _SecondPort(account, port, tls)
        super().__init__(self._second, port)

    @property
    def connection(self) -> str:
        return f"https://localhost:{self._second.port}/"


class ServiceBusTlsWire(Wire):
    """The broker by TLS, for identities. Raises ImportError where this Python has no AMQP."""

    setting = "ServiceBus__fullyQualifiedNamespace"
    service = "Service Bus by identity"
    option = "--service-bus-tls-port"

    def __init__(
        self, broker: Broker, services: IdentityServices, port: int, clock: Clock, entropy: Entropy
    ) -> None:
        from local_cloud.service_bus_endpoint import authorization  # noqa: PLC0415  proton
        from local_cloud.service_bus_endpoint.server import ServiceBusEndpoint  # noqa: PLC0415

        callers = services.callers([authorization.RESOURCE])
        self._bus = ServiceBusEndpoint(
            broker, port, None, clock=clock, entropy=entropy,
            authorization=authorization.RoleAuthorization(callers),
            certificates=services.certificates,
        )  # fmt: skip
        super().__init__(self._bus, port)

    @property
    def connection(self) -> str:
        return self._bus.fully_qualified_namespace

    @property
    def addresses(self) -> Mapping[str, str]:
        return {self.service: f"amqps://localhost:{self._bus.port}"}


class _StorageTlsWire(Wire):
    """One service of the storage account by https."""

    def __init__(self, endpoint: StorageEndpoint, port: int) -> None:
        self._storage = endpoint
        super().__init__(endpoint, port)

    @property
    def connection(self) -> str:
        return self._storage.url


class TablesTlsWire(_StorageTlsWire):
    setting = "Storage__tableServiceUri"
    service = "Table storage by identity"
    option = "--table-https-port"


class BlobsTlsWire(_StorageTlsWire):
    setting = "Storage__blobServiceUri"
    service = "Blob storage by identity"
    option = "--blob-https-port"


def storage_wires(
    wire: StorageWire, services: IdentityServices, tables: int, blobs: int, tls: ssl.SSLContext
) -> Sequence[Wire]:
    """Return the account of *wire* on two more ports, for identities."""
    authorization = RoleAuthorization(services.callers([STORAGE]))
    table_service, blob_service = (
        StorageEndpoint(service, wire.key, port, authorization=authorization, tls=tls)
        for service, port in ((wire.tables, tables), (wire.blobs, blobs))
    )
    return TablesTlsWire(table_service, tables), BlobsTlsWire(blob_service, blobs)


@dataclass
class _SecondPort:
    account: CosmosEndpoint
    port: int
    tls: ssl.SSLContext

    async def start(self) -> None:
        self.port = await self.account.listen(self.port, self.tls)

    async def stop(self) -> None:
        """Do nothing: the account closes all its ports."""
