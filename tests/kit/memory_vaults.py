"""The Vaults port with the embedded vaults in memory: real ones, which share a key."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from local_cloud.sqlite.database import MEMORY, Database
from local_cloud.vault.cipher import VaultCipher
from local_cloud.vault.vault import LocalVault
from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy
from shared.kernel.ids import EnvironmentKey
from shared.vault.port import SecretVault
from shared.vault.vault_uris import LOCAL_SUFFIX, NAME_OUTPUT, refuse_own, vault_name, vault_uri


@dataclass
class MemoryVaults:
    """Vaults that outlive a host, as those of a cloud do."""

    clock: Clock
    entropy: Entropy
    vaults: dict[str, LocalVault] = field(default_factory=dict)

    def of_environment(self, environment: EnvironmentKey, outputs: Mapping[str, str]) -> str:
        return vault_uri(outputs.get(NAME_OUTPUT) or environment, LOCAL_SUFFIX)

    def at(self, uri: str) -> SecretVault:
        name = vault_name(uri, LOCAL_SUFFIX)
        refuse_own(name, "runtime")
        if name not in self.vaults:
            cipher = VaultCipher(name, b"k" * 32, self.entropy)
            self.vaults[name] = LocalVault(Database(MEMORY), cipher, self.clock)
        return self.vaults[name]


def platform_vault(vaults: MemoryVaults) -> SecretVault:
    """Return what stands for the vault of the platform's own secrets."""
    return vaults.at(vault_uri("platform", LOCAL_SUFFIX))
