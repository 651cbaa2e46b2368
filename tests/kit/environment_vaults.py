"""The vaults of environments, in a folder of a test."""

from pathlib import Path

from local_cloud.vault.local_vaults import LocalVaults
from local_cloud.vault.vault import Vaults
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy


def local_vaults(folder: Path) -> LocalVaults:
    """Return them; each is made when it is first used, and closed when nobody has it any more."""
    return LocalVaults(Vaults(folder / "vaults", SystemClock(), SystemEntropy()), "runtime")
