"""What the local cloud has for identities: certificates, tokens, a vault, and one table of roles.

Everything is kept in the state folder, so an app's identity and what it trusts outlive a restart.
"""

import asyncio
import ssl
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Final

from local_cloud.callers import Callers
from local_cloud.certificates import LocalCertificates
from local_cloud.roles import assignments
from local_cloud.token_endpoint.identities import LocalIdentities
from local_cloud.vault.local_vaults import LocalVaults
from local_cloud.vault.vault import LocalVault, Vaults
from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy

VAULT: Final = "runtime"
"""The vault for the platform's own secrets; others are of environments."""


class IdentityServices:
    """Opened in *folder*, the state folder. Close it when the endpoints are closed.

    Raises Unavailable where the key of the vault is lost.
    """

    def __init__(self, folder: Path, clock: Clock, entropy: Entropy) -> None:
        self.certificates = LocalCertificates(folder / "certificates", clock)
        self.identities = LocalIdentities(folder / "identities", clock, entropy)
        files = Vaults(folder / "vaults", clock, entropy)
        self.vault: LocalVault = files.open(VAULT)
        self.vaults = LocalVaults(files, VAULT)
        self._clock = clock
        self._assigned = assignments()
        self._renewal: asyncio.Task[None] | None = None

    @property
    def names(self) -> Collection[str]:
        """The identities, in their order in the table of roles."""
        return tuple(dict.fromkeys(each.identity for each in self._assigned))

    def callers(self, audiences: Collection[str]) -> Callers:
        """Return the callers with tokens for one of *audiences*."""
        return Callers(self.identities, self._assigned, audiences, self._clock)

    async def tls(self) -> ssl.SSLContext:
        """Return the context of all servers, whose certificate is renewed until `close`."""
        context = await asyncio.to_thread(self.certificates.server_context)
        self._renewal = asyncio.create_task(self.certificates.keep_fresh(context))
        return context

    async def close(self) -> None:
        if self._renewal is not None:
            self._renewal.cancel()
            with suppress(asyncio.CancelledError):
                await self._renewal
        self.vaults.close()
        self.vault.close()
