"""An embedded vault behind its https endpoint, with the official SDK and a real credential."""

import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest

from local_cloud.callers import Callers
from local_cloud.certificates import LocalCertificates
from local_cloud.key_vault_endpoint.authorization import RESOURCE, VaultAuthorization
from local_cloud.key_vault_endpoint.server import KeyVaultEndpoint
from local_cloud.roles import ENVIRONMENT_VAULTS, KEY_VAULT, Assignment, Role
from local_cloud.token_endpoint.identities import LocalIdentities
from local_cloud.token_endpoint.server import TokenEndpoint
from local_cloud.vault.local_vaults import LocalVaults
from local_cloud.vault.vault import LocalVault, Vaults
from shared.kernel.clock import Clock, SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.vault.key_vault import TIMEOUT_S, KeyVault
from shared.vault.key_vaults import KeyVaults
from shared.vault.vault_uris import AZURE_SUFFIX
from tests.kit.cut_proxy import CutProxy, Tls

OFFICER: Final = "secret-bindings"
USER: Final = "surfaces"
READER: Final = "drift"
STRANGER: Final = "catalog"
ROLES: Final = {
    OFFICER: Role.SECRETS_OFFICER,
    USER: Role.SECRETS_USER,
    READER: Role.VAULT_READER,
}


@dataclass
class VaultWire:
    vault: LocalVault
    endpoint: KeyVaultEndpoint
    tokens: TokenEndpoint
    identities: LocalIdentities
    certificates: LocalCertificates
    client: KeyVault
    vaults: KeyVaults
    """The others of the endpoint, as an app reaches them."""
    proxy: CutProxy
    """On their way to it."""
    others: LocalVaults
    """They themselves."""


@asynccontextmanager
async def wired_vault(
    folder: Path,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    identity: str = OFFICER,
    *,
    timeout_s: float = TIMEOUT_S,
) -> AsyncIterator[VaultWire]:
    """Serve a vault on *clock*, and connect to it as the managed identity *identity*.

    Calls to the others of the endpoint are given up after *timeout_s*.
    """
    from azure.identity.aio import ManagedIdentityCredential

    # The SDKs read the machine's clock, so tokens and certificates are on it too.
    machine, entropy = SystemClock(), SystemEntropy()
    files = Vaults(folder / "vaults", clock, entropy)
    vault = files.open("environment-vault")
    others = LocalVaults(files, "environment-vault")
    identities = LocalIdentities(folder / "identities", machine, entropy)
    assigned = [Assignment(name, role, KEY_VAULT) for name, role in ROLES.items()]
    assigned.append(Assignment(OFFICER, Role.SECRETS_OFFICER, ENVIRONMENT_VAULTS))
    authorization = VaultAuthorization(Callers(identities, assigned, [RESOURCE], machine))
    certificates = LocalCertificates(folder / "certificates", machine)
    context = certificates.server_context()
    endpoint = KeyVaultEndpoint(vault, authorization, 0, context, others=others)
    tokens = TokenEndpoint(identities, [*ROLES, STRANGER], 0)
    async with AsyncExitStack() as opened:
        opened.callback(vault.close)
        opened.callback(others.close)
        for each in (endpoint, tokens):
            await each.start()
            opened.push_async_callback(each.stop)
        for name, value in tokens.environ_of(identity).items():
            monkeypatch.setenv(name, value)
        port = urlsplit(endpoint.url).port
        assert port is not None, endpoint.url
        tls = Tls(context, trusting(certificates))
        proxy = await opened.enter_async_context(CutProxy(port, tls=tls))
        credential = ManagedIdentityCredential()
        opened.push_async_callback(credential.close)
        ca_file = certificates.ca_file
        client = KeyVault(endpoint.url, credential=lambda: credential, ca_file=ca_file)
        opened.push_async_callback(client.close)
        vaults = KeyVaults(
            AZURE_SUFFIX,
            own=f"https://localhost:{proxy.port}",
            credential=lambda: credential,
            ca_file=ca_file,
            timeout_s=timeout_s,
        )
        opened.push_async_callback(vaults.close)
        yield VaultWire(
            vault, endpoint, tokens, identities, certificates, client, vaults, proxy, others
        )


def trusting(certificates: LocalCertificates) -> ssl.SSLContext:
    """Return the context of a client that trusts the local cloud and nobody else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certificates.ca_file)
    return context
