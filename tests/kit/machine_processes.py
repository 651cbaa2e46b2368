"""Which processes of this machine belong to a test."""

import os
from contextlib import suppress
from pathlib import Path

import psutil

from local_agent.process_identity import environ_of, machine_processes


def with_argument(word: str) -> list[psutil.Process]:
    """Return the processes of which one argument is exactly *word*."""
    found = []
    for process in machine_processes():
        with suppress(psutil.Error):
            if word in process.cmdline():
                found.append(process)
    return found


def workloads_below(folder: Path) -> list[int]:
    """Return the pids that keep a workload whose instance is below *folder*."""
    return [process.pid for process in machine_processes() if _keeps_one(folder, process.pid)]


def _keeps_one(folder: Path, pid: int) -> bool:
    home = environ_of(pid).get("HOME", "")
    is_below = home.startswith(str(folder)) and "/instances/" in home
    with suppress(ProcessLookupError):
        return is_below and os.getsid(pid) == pid
    return False
