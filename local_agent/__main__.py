"""`python -m local_agent --state DIR`: run the agent of a state folder.

SIGINT and SIGTERM end it; the workloads go on, and the next agent takes them over.
"""

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from local_agent.agent import StateRemoved, UnfitPlace, run
from local_agent.agent_lock import AgentRunning
from local_agent.archive_folder import ArchiveFolder
from local_agent.artifacts import ArchiveSource
from local_agent.vault_folder import VaultFolder
from shared.kernel.clock import SystemClock
from shared.kernel.cores import write_no_core
from shared.kernel.entropy import Entropy, SystemEntropy
from shared.kernel.open_files import allow_open_files

EXIT_UNFIT: Final = 2
EXIT_RUNNING: Final = 4
EXIT_STATE_REMOVED: Final = 5
"""As that of the host."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until told to end; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m local_agent", description="Run the workloads of this machine."
    )
    parser.add_argument(
        "--state", type=Path, default=Path(".factory"), help="its folder (default: %(default)s)"
    )
    parser.add_argument(
        "--archives",
        type=Path,
        metavar="FILE",
        help="settings that name the storage account of the archives (default: the folder's own)",
    )
    parser.add_argument(
        "--vaults",
        type=Path,
        metavar="DIR",
        help="the folder of the vaults (default: the folder's own)",
    )
    parser.add_argument(
        "--locked",
        action="store_true",
        help="descriptor 3 is the folder's lock, held by who started this process",
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("azure").setLevel(logging.WARNING)  # at INFO, each request with its headers
    # Specs hold the environ of workloads: for the eyes of who started the agent.
    os.umask(0o077)
    write_no_core()
    # A descriptor for each probe and each pipe: the usual soft limit is that of a shell.
    allow_open_files()
    try:
        asyncio.run(_run_until_signalled(options))
    except AgentRunning as running:
        logging.getLogger("local_agent").warning("%s", running)
        return EXIT_RUNNING
    except UnfitPlace as unfit:
        logging.getLogger("local_agent").critical("%s", unfit)
        return EXIT_UNFIT
    except StateRemoved as removed:
        logging.getLogger("local_agent").critical("%s", removed)
        return EXIT_STATE_REMOVED
    return 0


async def _run_until_signalled(options: argparse.Namespace) -> None:
    state: Path = options.state.resolve()
    entropy = SystemEntropy()
    archives = _archives(state, options.archives, entropy)
    clock = SystemClock()
    secrets = VaultFolder(options.vaults or state / "vaults", clock, entropy)
    running = run(state, archives, secrets, clock, entropy, is_locked=options.locked)
    agent = asyncio.ensure_future(running)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, agent.cancel)
    with suppress(asyncio.CancelledError):
        await agent


def _archives(state: Path, settings: Path | None, entropy: Entropy) -> ArchiveSource:
    if settings is None:
        return ArchiveFolder(state / "blobs" / "artifacts")
    from local_agent.archive_account import ArchiveAccount  # noqa: PLC0415  an SDK, when used

    return ArchiveAccount(settings.resolve(), entropy)


if __name__ == "__main__":
    sys.exit(main())
