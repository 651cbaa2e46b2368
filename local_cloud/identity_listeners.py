"""The ports for identities: https or TLS with the certificate of this machine, and their tokens."""

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from local_cloud.broker.broker import Broker
from local_cloud.cosmos_endpoint.server import CosmosEndpoint
from local_cloud.identity_services import IdentityServices
from local_cloud.key_vault_endpoint.authorization import RESOURCE, VaultAuthorization
from local_cloud.key_vault_endpoint.server import KeyVaultEndpoint
from local_cloud.listeners import Listener, StorageListener
from local_cloud.storage_endpoint.authorization import RESOURCE as STORAGE
from local_cloud.storage_endpoint.authorization import RoleAuthorization
from local_cloud.storage_endpoint.server import StorageEndpoint
from local_cloud.token_endpoint.server import TokenEndpoint
from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy


class TokenListener(Listener):
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


class VaultListener(Listener):
    """The vault on a port, for clients of Key Vault."""

    setting = "KeyVault__vaultUri"
    service = "Key Vault"
    option = "--key-vault-port"

    def __init__(self, services: IdentityServices, port: int, tls: ssl.SSLContext) -> None:
        authorization = VaultAuthorization(services.callers([RESOURCE]))
        self._vault = KeyVaultEndpoint(
            services.vault, authorization, port, tls, others=services.vaults
        )
        super().__init__(self._vault, port)

    @property
    def connection(self) -> str:
        return self._vault.url


class CosmosTlsListener(Listener):
    """The Cosmos account once more, by https: for tokens, and for the key as in Azure."""

    setting = "CosmosDB__accountEndpoint"
    service = "Cosmos DB by identity"
    option = "--cosmos-https-port"

    def __init__(self, account: CosmosEndpoint, port: int, tls: ssl.SSLContext) -> None:
        self._https = _HttpsPort(account, port, tls)
        super().__init__(self._https, port)

    @property
    def connection(self) -> str:
        return f"https://localhost:{self._https.port}/"


class ServiceBusTlsListener(Listener):
    """The broker by TLS, for identities. Raises ImportError where this Python has no AMQP."""

    setting = "ServiceBus__fullyQualifiedNamespace"
    service = "Service Bus by identity"
    option = "--service-bus-tls-port"

    def __init__(
        self,
        broker: Broker,
        services: IdentityServices,
        port: int,
        tls: ssl.SSLContext,
        *,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        from local_cloud.service_bus_endpoint import authorization  # noqa: PLC0415  proton
        from local_cloud.service_bus_endpoint.server import ServiceBusEndpoint  # noqa: PLC0415

        callers = services.callers([authorization.RESOURCE])
        self._bus = ServiceBusEndpoint(
            broker, port, None, clock=clock, entropy=entropy,
            authorization=authorization.RoleAuthorization(callers), tls=tls,
        )  # fmt: skip
        super().__init__(self._bus, port)

    @property
    def connection(self) -> str:
        return self._bus.fully_qualified_namespace

    @property
    def addresses(self) -> Mapping[str, str]:
        return {self.service: f"amqps://localhost:{self._bus.port}"}


class _StorageTlsListener(Listener):
    """One service of the storage account by https."""

    def __init__(self, endpoint: StorageEndpoint, port: int) -> None:
        self._storage = endpoint
        super().__init__(endpoint, port)

    @property
    def connection(self) -> str:
        return self._storage.url


class TablesTlsListener(_StorageTlsListener):
    setting = "Storage__tableServiceUri"
    service = "Table storage by identity"
    option = "--table-https-port"


class BlobsTlsListener(_StorageTlsListener):
    setting = "Storage__blobServiceUri"
    service = "Blob storage by identity"
    option = "--blob-https-port"


def storage_listeners(
    listener: StorageListener,
    services: IdentityServices,
    tables: int,
    blobs: int,
    tls: ssl.SSLContext,
) -> Sequence[Listener]:
    """Return the account of *listener* on two more ports, for identities."""
    authorization = RoleAuthorization(services.callers([STORAGE]))
    table_service, blob_service = (
        StorageEndpoint(service, listener.key, port, authorization=authorization, tls=tls)
        for service, port in ((listener.tables, tables), (listener.blobs, blobs))
    )
    return TablesTlsListener(table_service, tables), BlobsTlsListener(blob_service, blobs)


@dataclass
class _HttpsPort:
    account: CosmosEndpoint
    port: int
    tls: ssl.SSLContext

    async def start(self) -> None:
        self.port = await self.account.listen(self.port, self.tls)

    async def stop(self) -> None:
        """Do nothing: the account closes all its ports."""
