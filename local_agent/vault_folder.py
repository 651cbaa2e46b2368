"""The vaults of a state folder, which the host or the local cloud writes; here they are read."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from local_cloud.vault.vault import Vaults
from shared.contracts.storage import DATABASE
from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy
from shared.kernel.errors import Unavailable
from shared.kernel.ids import KEY_LENGTH, EnvironmentKey, environment_id
from shared.surfaces.spec import SurfaceComponent
from shared.vault.port import SecretVault
from shared.vault.vault_uris import LOCAL_SUFFIX, VaultNotAllowed, refuse_own, vault_name

_OF_AN_ENVIRONMENT: Final = re.compile(rf"[a-z2-7]{{{KEY_LENGTH}}}")
"""The name of the own vault of an environment: its key."""


class VaultFolder:
    """Reads the vaults in *folder*: `https://<name>.vault.localhost` is the file `<name>.db`.

    It is opened for each start, so that one that was restored or removed is seen.
    """

    def __init__(self, folder: Path, clock: Clock, entropy: Entropy) -> None:
        self._folder = folder
        self._vaults = Vaults(folder, clock, entropy)

    def paths(self) -> Sequence[Path]:
        return [self._folder, *sorted(self._folder.glob("*.db"))] if self._folder.exists() else []

    @asynccontextmanager
    async def opened(self, uri: str, component: SurfaceComponent) -> AsyncIterator[SecretVault]:
        name = vault_name(uri, LOCAL_SUFFIX)
        refuse_own(name, DATABASE)
        if _OF_AN_ENVIRONMENT.fullmatch(name) and component.environment != environment_id(
            EnvironmentKey(name)
        ):
            raise VaultNotAllowed(
                f"vault {name} has the name of another environment, which is {KEY_LENGTH} letters"
            )
        # One that is not there is not made: nobody has put a secret into it.
        if not await asyncio.to_thread((self._folder / f"{name}.db").exists):
            raise Unavailable(f"there is no vault {name} in {self._folder}")
        vault = await asyncio.to_thread(self._vaults.open, name)
        try:
            yield vault
        finally:
            await asyncio.to_thread(vault.close)
