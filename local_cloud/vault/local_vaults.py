"""The Vaults port on one machine: `https://<name>.vault.localhost` is the vault *name* of a folder.

A vault is made when it is first used.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import datetime
from threading import Lock
from typing import Final

from local_cloud.vault.vault import LocalVault, Vaults
from shared.kernel.ids import EnvironmentKey
from shared.vault.port import Secret, SecretProperties, SecretValue, SecretVault
from shared.vault.vault_uris import LOCAL_SUFFIX, NAME_OUTPUT, refuse_own, vault_name, vault_uri

KEPT_MAX: Final = 256
"""Open files of vaults, those used last. What nobody uses any more closes when it is collected."""


class LocalVaults:
    """The vaults in *files*, opened when first used. Close it when no vault is used any more.

    *own* is the name of the platform's vault, which is not given out.
    """

    def __init__(self, files: Vaults, own: str) -> None:
        self._files = files
        self._own = own
        self._vaults: OrderedDict[str, LocalVault] = OrderedDict()
        self._lock = Lock()

    def platform(self) -> SecretVault:
        """Return the vault of the platform's own secrets."""
        return _VaultByName(self, self._own)

    def at(self, uri: str) -> SecretVault:
        name = vault_name(uri, LOCAL_SUFFIX)
        refuse_own(name, self._own)
        return _VaultByName(self, name)

    def of_environment(self, environment: EnvironmentKey, outputs: Mapping[str, str]) -> str:
        """Return the URL of the vault of *environment*; *outputs* of this machine name none."""
        return vault_uri(outputs.get(NAME_OUTPUT, environment), LOCAL_SUFFIX)

    async def opened(self, name: str) -> LocalVault:
        """Return the vault *name*. Raises Unavailable and VaultNotAllowed, as the ports do."""
        refuse_own(name, self._own)
        return await self.kept_open(name)

    async def kept_open(self, name: str) -> LocalVault:
        """Return the vault *name*, also the platform's own. Raises Unavailable."""
        return await asyncio.to_thread(self._opened, name)

    def close(self) -> None:
        with self._lock:
            for vault in self._vaults.values():
                vault.close()
            self._vaults.clear()

    def _opened(self, name: str) -> LocalVault:
        with self._lock:
            vault = self._vaults.pop(name, None) or self._files.open(name)
            self._vaults[name] = vault
            if len(self._vaults) > KEPT_MAX:
                self._vaults.popitem(last=False)
            return vault


class _VaultByName:
    """The SecretVault *name* of *vaults*, opened at each use."""

    def __init__(self, vaults: LocalVaults, name: str) -> None:
        self._vaults = vaults
        self._name = name

    async def set(
        self,
        name: str,
        value: SecretValue,
        *,
        content_type: str | None = None,
        tags: Mapping[str, str] | None = None,
        expires_at: datetime | None = None,
        enabled: bool = True,
    ) -> SecretProperties:
        vault = await self._opened()
        return await vault.set(
            name,
            value,
            content_type=content_type,
            tags=tags,
            expires_at=expires_at,
            enabled=enabled,
        )

    async def get(self, name: str, version: str | None = None) -> Secret:
        return await (await self._opened()).get(name, version)

    async def versions(self, name: str) -> Sequence[SecretProperties]:
        return await (await self._opened()).versions(name)

    async def names(self) -> Sequence[str]:
        return await (await self._opened()).names()

    async def set_enabled(self, name: str, version: str, *, enabled: bool) -> SecretProperties:
        return await (await self._opened()).set_enabled(name, version, enabled=enabled)

    async def delete(self, name: str) -> None:
        await (await self._opened()).delete(name)

    async def recover(self, name: str) -> None:
        await (await self._opened()).recover(name)

    async def purge(self, name: str) -> None:
        await (await self._opened()).purge(name)

    async def _opened(self) -> LocalVault:
        return await self._vaults.kept_open(self._name)
