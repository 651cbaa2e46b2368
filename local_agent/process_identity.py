"""Which process it is: known on this machine whoever reads it, and not mistaken for another.

A process is identified by pid, start time in ticks and boot, because the system reuses pids. Where
the environment of the process can be read, the token of its start is checked too.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import psutil

from local_agent import launcher
from local_agent.launcher import TOKEN_VARIABLE

NOT_OURS: Final = -1000
"""In place of an exit code, which is at least -64."""
_ENVIRON_BYTES: Final = 2 * 2**20
"""More than a program of ours gets; a process may show one without an end (PR_SET_MM_MAP)."""


@dataclass(frozen=True)
class ProcessIdentity:
    """Equal identities are the same process, whoever reads them on this machine."""

    pid: int
    ticks: int
    boot: str
    token: str
    is_shim: bool = False
    """It is the shim of a workload: its descendants are the workload, and end with it."""
    is_namespaced: bool = False
    """The workload is in a PID namespace, of which the kernel ends all when the shim ends."""


@lru_cache(maxsize=1)
def boot() -> str:
    """Return an id that changes with each start of the machine."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return str(int(psutil.boot_time()))


def start_ticks(pid: int) -> int | None:
    """Return when *pid* started; None when it is gone or a zombie."""
    return launcher.start_ticks(pid) if sys.platform == "linux" else _portable_start(pid)


def _portable_start(pid: int) -> int | None:
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return int(process.create_time() * 100)
    except psutil.Error:
        return None


def machine_processes() -> Iterator[psutil.Process]:
    """Yield each process of this machine, zombies too.

    Not `psutil.process_iter`: it remembers a process of an earlier call, and after the system has
    reused its pid that one neither runs nor can be signalled.
    """
    for pid in psutil.pids():
        with suppress(psutil.NoSuchProcess):
            yield psutil.Process(pid)


def environ_of(pid: int) -> dict[str, str]:
    """Return the environment *pid* was started with; empty when it cannot be read."""
    try:
        if sys.platform != "linux":
            return dict(psutil.Process(pid).environ())
        with Path(f"/proc/{pid}/environ").open("rb") as file:
            content = file.read(_ENVIRON_BYTES).decode("utf-8", errors="replace")
    except (OSError, psutil.Error):
        return {}
    pairs = (entry.partition("=") for entry in content.split("\0") if "=" in entry)
    return {name: value for name, _, value in pairs}


def is_alive(identity: ProcessIdentity) -> bool:
    """Return whether exactly that process runs, and not another with the same pid."""
    if identity.boot != boot():
        return False
    ticks = start_ticks(identity.pid)
    if ticks is None or (identity.ticks and ticks != identity.ticks):
        return False
    # A program may overwrite its environment (setproctitle does): no token proves nothing.
    token = environ_of(identity.pid).get(TOKEN_VARIABLE)
    return token is None or token == identity.token


def reap(pid: int) -> int | None:
    """Return the exit code of our child *pid* when it has ended; None while it runs.

    NOT_OURS when it is not our child: the exit code of an adopted process is unknown.
    """
    try:
        reaped, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return NOT_OURS
    return os.waitstatus_to_exitcode(status) if reaped else None
