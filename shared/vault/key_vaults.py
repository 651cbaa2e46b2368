"""The Vaults port over Azure Key Vault, and over the vaults of a local cloud."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from shared.kernel.ids import EnvironmentKey
from shared.vault.key_vault import TIMEOUT_S, KeyVault, vault_transport, verifies_challenges
from shared.vault.port import SecretVault
from shared.vault.vault_uris import (
    LOCAL_SUFFIX,
    NAME_OUTPUT,
    VaultMissing,
    refuse_own,
    vault_name,
    vault_uri,
)

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.core.pipeline.transport import AioHttpTransport

KEPT_MAX: Final = 256
"""Clients of vaults that are kept, those used last; the connections are of all."""


class KeyVaults:
    """The vaults below one suffix, by one identity. Close it when the app ends."""

    def __init__(
        self,
        suffix: str,
        *,
        own: str | None,
        credential: Callable[[], "AsyncTokenCredential"],
        ca_file: Path | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """*own* is the URL of the platform's vault, which is not given out.

        One at a loopback address is that of a local cloud: then `https://<name>.vault.localhost`
        is asked at its port, and nothing else.
        """
        address = urlsplit(own or "")
        is_local = own is not None and not verifies_challenges(own)
        self._suffix = LOCAL_SUFFIX if is_local else suffix
        self._port = f":{address.port}" if is_local and address.port else ""
        self._own = None if is_local else (address.hostname or "").partition(".")[0] or None
        self._credential = credential
        self._timeout_s = timeout_s
        self._open_transport = partial(vault_transport, ca_file, timeout_s)
        self._transport: AioHttpTransport | None = None
        self._vaults: OrderedDict[str, KeyVault] = OrderedDict()

    def at(self, uri: str) -> SecretVault:
        name = vault_name(uri, self._suffix)
        refuse_own(name, self._own)
        vault = self._vaults.pop(name, None) or KeyVault(
            vault_uri(name, self._suffix) + self._port,
            credential=self._credential,
            timeout_s=self._timeout_s,
            transport=self._shared_transport,
        )
        self._vaults[name] = vault
        if len(self._vaults) > KEPT_MAX:
            self._vaults.popitem(last=False)  # it has no connection of its own to close
        return vault

    def of_environment(self, environment: EnvironmentKey, outputs: Mapping[str, str]) -> str:
        if name := outputs.get(NAME_OUTPUT):
            return vault_uri(name, self._suffix)
        if self._suffix != LOCAL_SUFFIX:
            # Its key is a name that anybody could take.
            raise VaultMissing(
                f"environment {environment} has no vault of its own: name one",
                target="/vaultUri",
            )
        return vault_uri(environment, self._suffix)

    async def close(self) -> None:
        """Close the connections; no vault may be used afterwards."""
        self._vaults.clear()
        if self._transport is not None:
            await self._transport.close()

    def _shared_transport(self) -> "AioHttpTransport":
        if self._transport is None:
            self._transport = self._open_transport()
        return self._transport
