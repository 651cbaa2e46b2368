"""The ports for identities: https or TLS with the certificate of this machine, and their tokens."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass

from local_cloud.cosmos_endpoint.server import CosmosEndpoint
from local_cloud.identity_services import IdentityServices
from local_cloud.key_vault_endpoint.authorization import RESOURCE, VaultAuthorization
from local_cloud.key_vault_endpoint.server import KeyVaultEndpoint
from local_cloud.token_endpoint.server import TokenEndpoint
from local_cloud.wire_endpoints import Wire


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
    """The Cosmos account on a https port of its own, beside the one that takes the key only."""

    setting = "CosmosDB__accountEndpoint"
    service = "Cosmos DB by identity"
    option = "--cosmos-https-port"

    def __init__(self, account: CosmosEndpoint, port: int, tls: ssl.SSLContext) -> None:
        self._second = _SecondPort(account, port, tls)
        super().__init__(self._second, port)

    @property
    def connection(self) -> str:
        return f"https://localhost:{self._second.port}/"


@dataclass
class _SecondPort:
    account: CosmosEndpoint
    port: int
    tls: ssl.SSLContext

    async def start(self) -> None:
        self.port = await self.account.listen(self.port, self.tls)

    async def stop(self) -> None:
        """Do nothing: the account closes all its ports."""
