"""A process that sets secrets until it is killed: prints each version once it was acknowledged.

Run as `python -m tests.kit.vault_writer FOLDER NAME`; a version's value is `<name> <number>`.
"""

import asyncio
import sys
from pathlib import Path

from local_cloud.vault.vault import Vaults
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.vault.port import SecretValue


async def main(folder: Path, name: str) -> None:
    vault = Vaults(folder, SystemClock(), SystemEntropy()).open("v")
    number = 0
    while True:
        made = await vault.set(name, SecretValue(f"{name} {number}"))
        sys.stdout.write(f"{number} {made.version}\n")
        sys.stdout.flush()
        number += 1


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
