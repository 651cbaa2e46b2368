"""What belongs to a process of ours: its workload is found, measured, and ended whole."""

import os
import signal
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

from local_agent.launcher import TOKEN_VARIABLE
from local_agent.process_identity import (
    ProcessIdentity,
    boot,
    environ_of,
    is_alive,
    start_ticks,
)

_KILL_ROUNDS: Final = 50
"""More than a workload that forks all the time can win; in a PID namespace one is enough."""


def session_processes(identity: ProcessIdentity) -> list[int]:
    """Return the processes of its session that have its token, itself included."""
    return [
        pid
        for pid in psutil.pids()
        if _session(pid) == identity.pid and _has_token(pid, identity, otherwise=is_alive(identity))
    ]


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _has_token(pid: int, identity: ProcessIdentity, *, otherwise: bool) -> bool:
    """Return whether *pid* runs with the token of *identity*; *otherwise* when it shows none."""
    if start_ticks(pid) is None:
        return False
    token = environ_of(pid).get(TOKEN_VARIABLE)
    return otherwise if token is None else token == identity.token


def workload_processes(identity: ProcessIdentity) -> list[int]:
    """Return the processes of the workload whose shim is *identity*, without shim and init.

    Of one that is no shim: its session.
    """
    if not identity.is_shim:
        return session_processes(identity)
    if not is_alive(identity):
        return []
    children = _children(identity.pid)
    # The only child of a shim with namespaces is the init, which ends with it.
    return (
        _descendants(children) if identity.is_namespaced else [*children, *_descendants(children)]
    )


def _children(pid: int) -> list[int]:
    try:
        tasks = [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]
        files = [Path(f"/proc/{pid}/task/{task}/children") for task in tasks]
        return [int(child) for file in files for child in file.read_text().split()]
    except OSError:  # it has ended, or the kernel has no such files
        return []


def _descendants(pids: Sequence[int]) -> list[int]:
    """Return the children of *pids*, their children, and so on, however long the line is."""
    descendants: list[int] = []
    generation = list(pids)
    while generation:
        generation = [child for pid in generation for child in _children(pid)]
        descendants += generation
    return descendants


def terminate(identity: ProcessIdentity) -> None:
    """Send SIGTERM to exactly that process, if it runs; a shim passes it on."""
    if is_alive(identity):
        with suppress(ProcessLookupError):
            os.kill(identity.pid, signal.SIGTERM)


def kill(identity: ProcessIdentity) -> None:
    """Kill that process and, of a shim, its workload; else the other processes of its session."""
    if identity.boot != boot():
        return
    rounds = _KILL_ROUNDS if identity.is_shim and is_alive(identity) else 0
    for _ in range(rounds):
        # Its shim lives, so whatever the workload forks meanwhile is found in the next round.
        descendants = _descendants([identity.pid])
        if not descendants:
            break
        _kill_all(descendants)
    if not identity.is_namespaced:
        _kill_all(session_processes(identity))
    elif is_alive(identity):
        _kill_all([identity.pid])


def kill_orphans(*identities: ProcessIdentity) -> None:
    """Kill what has the token of one of *identities*, whose shims have ended, in any session.

    Looks at every process of the machine, but for workloads of which the kernel leaves none.
    """
    tokens = {
        each.token
        for each in identities
        if each.is_shim and not each.is_namespaced and each.boot == boot()
    }
    if tokens:
        kill_by_token(tokens)


def kill_by_token(tokens: Collection[str]) -> None:
    """Kill every process of this machine that has one of *tokens*, in any session."""
    _kill_all([p for p in psutil.pids() if environ_of(p).get(TOKEN_VARIABLE) in tokens])


def _kill_all(pids: Sequence[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def resident_bytes(identity: ProcessIdentity) -> int:
    """Return the memory of the whole workload; shared pages count once per process."""
    total = 0
    for pid in workload_processes(identity):
        with suppress(psutil.Error):
            total += psutil.Process(pid).memory_info().rss
    return total
