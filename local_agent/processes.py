"""Processes of this machine that outlive the agent: start, identify, terminate.

A process is identified by pid, start time in ticks and boot, because the system reuses pids. Where
the environment of the process can be read, the token of its start is checked too. Each process has
a session of its own and writes to files, so it survives the agent that started it.
"""

import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryFile
from types import MappingProxyType
from typing import Any, Final

import psutil

from local_agent import launcher
from local_agent.launcher import TOKEN_VARIABLE
from local_agent.sandbox.order import SandboxOrder, StartOrder, write
from shared.persistence.plain_files import (
    append_to,
    read_plain,
    remove,
    write_new,
)

NOT_OURS: Final = -1000
"""In place of an exit code, which is at least -64."""
_STATUS_BYTES: Final = 16
_ENVIRON_BYTES: Final = 2 * 2**20
"""More than a program of ours gets; a process may show one without an end (PR_SET_MM_MAP)."""
_KILL_ROUNDS: Final = 50
"""More than a workload that forks all the time can win; in a PID namespace one is enough."""


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


def this_process() -> ProcessIdentity:
    pid = os.getpid()
    token = os.environ.get(TOKEN_VARIABLE, "")
    return ProcessIdentity(pid, start_ticks(pid) or 0, boot(), token)


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


def claim_file(folder: Path, token: str) -> Path:
    """Return the claim file of one start in *folder*."""
    return folder / f"claim-{token}"


def _exit_file(folder: Path, token: str) -> Path:
    """Return the file in which the shim of one start in *folder* writes how that ended."""
    return folder / f"exit-{token}"


def _read_exit(folder: Path, token: str) -> int | None:
    """Return the exit code that the shim of a start wrote; None where it wrote none."""
    try:
        status = int(read_plain(_exit_file(folder, token), at_most=_STATUS_BYTES))
        return os.waitstatus_to_exitcode(status)
    except (OSError, ValueError):
        return None


def read_claim(claim: Path) -> ProcessIdentity | None:
    """Return the process that took *claim*; None when none did, or the claim is void."""
    try:
        content = json.loads(read_plain(claim))
        return ProcessIdentity(
            content["pid"],
            content["ticks"],
            # A launcher of before 2026-11-28 wrote none.
            content.get("boot") or boot(),
            content["token"],
            content.get("shim", False) is True,
            content.get("namespaced", False) is True,
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def void_claim(claim: Path) -> bool:
    """Prevent every process from taking *claim*; return False when one has already taken it.

    Without its folder no process can take it, so it is void already.
    """
    try:
        claim.touch(exist_ok=False)
    except FileExistsError:
        return read_claim(claim) is None
    except FileNotFoundError:
        return True
    return True


def start(
    folder: Path,
    token: str,
    command: Sequence[str],
    *,
    environ: Mapping[str, str],
    workdir: Path,
    output: Path,
    limits: Mapping[str, int],
    sandbox: SandboxOrder | None = None,
    about: Mapping[str, object] | None = None,
) -> int:
    """Start *command* through the launcher, in a session of its own; return its pid.

    With a *sandbox* it is the pid of the shim, the parent of the workload.
    The order and the claim of this start are in *folder*; *about* is kept with the order, see
    `read_about`. The process exists even if this agent ends now; the next agent finds it by its
    claim.
    """
    order = StartOrder(
        claim=str(claim_file(folder, token)),
        boot=boot(),
        exit=str(_exit_file(folder, token)),
        output=str(output),
        workdir=str(workdir),
        limits=dict(limits),
        command=list(command),
        environ={**environ, TOKEN_VARIABLE: token},
        sandbox=sandbox,
    )
    write_new(folder / "order.json", json.dumps(_document(order, about or {})).encode())
    log = append_to(output)
    try:
        with TemporaryFile(dir=folder) as file:  # without a name, as it has the environ
            write(order, file)
            file.seek(0)
            return _spawn_launcher(token, environ.get("HOME", "/"), file.fileno(), log)
    finally:
        os.close(log)


def _document(order: StartOrder, about: Mapping[str, object]) -> Mapping[str, object]:
    """Return what stays of *order*, which is without the environ: that may hold secrets."""
    kept = {name: value for name, value in vars(order).items() if name != "environ"}
    return {**kept, "sandbox": order.sandbox and vars(order.sandbox), "about": dict(about)}


def status_of_trial(
    folder: Path,
    script: str,
    sandbox: SandboxOrder | None,
    limits: Mapping[str, int] = MappingProxyType({}),
    *,
    within_s: float = 10.0,
) -> int:
    """Run the shell's *script* in *folder*, which has `tmp`, to its end; return its exit code.

    One that does not end *within_s* is killed, and counts as not started.
    """
    pid = start(
        folder,
        "trial",
        ["/bin/sh", "-c", script],
        environ={},
        workdir=folder / "tmp",
        output=folder / "output",
        limits=limits,
        sandbox=sandbox,
    )
    try:
        return int(psutil.Process(pid).wait(within_s))
    except psutil.TimeoutExpired:
        kill(read_claim(claim_file(folder, "trial")) or ProcessIdentity(pid, 0, boot(), "trial"))
        os.waitpid(pid, 0)
        return launcher.NOT_STARTED


def _spawn_launcher(token: str, home: str, order: int, log: int) -> int:
    """Start the launcher, and return its pid; *order* and *log* are descriptors of open files.

    The environ of the workload is in its order: what that names for the loader of programs
    (`LD_PRELOAD`) would be code of the workload in a process that no sandbox holds.
    """
    os.set_blocking(log, True)
    return os.posix_spawn(
        sys.executable,
        # Paths mean the same bytes to us and to it, whatever the locale: see also `agent_process`.
        [sys.executable, "-X", "utf8", "-I", "-S", launcher.__file__, token],
        {TOKEN_VARIABLE: token, "HOME": home},
        file_actions=[
            (os.POSIX_SPAWN_DUP2, order, 0),
            (os.POSIX_SPAWN_DUP2, log, 1),
            (os.POSIX_SPAWN_DUP2, log, 2),
        ],
        setsid=True,
        setsigdef=[signal.SIGPIPE, signal.SIGINT, signal.SIGTERM],
    )


def read_about(folder: Path, token: str) -> Mapping[str, Any] | None:
    """Return what was recorded about the start *token* in *folder*; None for another start."""
    try:
        order = json.loads(read_plain(folder / "order.json"))
        is_this = order["claim"] == str(claim_file(folder, token))
        return dict(order.get("about", {})) if is_this else None
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def delete_starts(folder: Path) -> None:
    """Delete the order, the claims and the exits of all starts in *folder*."""
    for path in [*folder.glob("claim-*"), *folder.glob("exit-*"), folder / "order.json"]:
        remove(path)


class SpawnedProcesses:
    """The processes that this agent spawned, by token; others are known by their claims."""

    def __init__(self) -> None:
        self._pids: dict[str, int] = {}
        self._exits: dict[str, int] = {}

    def add(self, token: str, pid: int) -> None:
        self._pids[token] = pid

    def find(self, folder: Path, token: str) -> ProcessIdentity | None:
        """Return the live process of a start in *folder*; None when it is dead or never existed.

        A start without a claim, which this agent did not spawn, is made void.
        """
        claim = claim_file(folder, token)
        identity = read_claim(claim)
        if identity is not None:
            if is_alive(identity):
                return identity
            self._collect(identity.pid, token)
            return None
        pid = self._pids.get(token)
        if pid is not None:
            # The launcher takes a few milliseconds to write the claim.
            if self._collect(pid, token) is None:
                return ProcessIdentity(pid, 0, boot(), token)
            del self._pids[token]
        return None if void_claim(claim) else self.find(folder, token)

    def end(self, folder: Path, token: str) -> int | None:
        """Kill the remaining processes of that start's session; return the exit code of the start.

        None where it is not known: an earlier agent started it and its shim was killed, or its end
        was told already.
        """
        identity = read_claim(claim_file(folder, token))
        if identity is not None:
            kill(identity)
            kill_orphans(identity)
            self._collect(identity.pid, token)
        self._pids.pop(token, None)
        code = self._exits.pop(token, None)
        return _read_exit(folder, token) if code is None else code

    def _collect(self, pid: int, token: str) -> int | None:
        code = reap(pid)
        if code is not None and code != NOT_OURS:
            self._exits[token] = code
        return code
