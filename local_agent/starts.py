"""The starts of processes that outlive the agent: their orders, their claims, how they ended.

Each process has a session of its own and writes to files, so it survives the agent that started it.
"""

import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from types import MappingProxyType
from typing import IO, Any, Final

from local_agent import launcher, memory_place, process_trees
from local_agent.launcher import TOKEN_VARIABLE
from local_agent.process_identity import NOT_OURS, ProcessIdentity, boot, is_alive, reap
from local_agent.sandbox.order import SandboxOrder, StartOrder, write
from shared.persistence.plain_files import (
    append_to,
    read_plain,
    remove,
    write_new,
)

STARTED: Final = "started"
"""The file with the token of the latest start of what has no other record."""
_STATUS_BYTES: Final = 16
_NOT_KEPT: Final = frozenset({"environ", "secret_files"})
"""Of an order."""


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


def make_folders(folder: Path) -> None:
    """Make the folders that a start in *folder* has beside its working directory."""
    for name in ("home", "tmp", "root"):
        (folder / name).mkdir(parents=True, exist_ok=True)


def spawn(
    folder: Path,
    token: str,
    command: Sequence[str],
    *,
    environ: Mapping[str, str],
    workdir: Path,
    output: Path,
    limits: Mapping[str, int],
    secret_files: Mapping[str, str] = MappingProxyType({}),
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
        secret_files=dict(secret_files),
        sandbox=sandbox,
    )
    write_new(folder / "order.json", json.dumps(_document(order, about or {})).encode())
    log = append_to(output)
    try:
        with _unnamed_file(folder) as file:
            write(order, file)
            file.seek(0)
            return _spawn_launcher(token, environ.get("HOME", "/"), file.fileno(), log)
    finally:
        os.close(log)


def _unnamed_file(folder: Path) -> IO[bytes]:
    """Return a file for an order: without a name, and on no disk where the system has such."""
    if sys.platform == "linux":
        return os.fdopen(os.memfd_create("order"), "w+b")
    return TemporaryFile(dir=folder)


def _document(order: StartOrder, about: Mapping[str, object]) -> Mapping[str, object]:
    """Return what stays of *order*, which is without environ and files: they hold secrets."""
    kept = {name: value for name, value in vars(order).items() if name not in _NOT_KEPT}
    return {**kept, "sandbox": order.sandbox and vars(order.sandbox), "about": dict(about)}


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


def started_token(folder: Path) -> str:
    """Return the token of the latest start in *folder*, of a process that starts again and again.

    Empty before the first.
    """
    try:
        return read_plain(folder / STARTED).decode("ascii")
    except FileNotFoundError:
        return ""


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
            process_trees.kill(identity)
            process_trees.kill_orphans(identity)
            self._collect(identity.pid, token)
        memory_place.forget_start(folder, token)
        self._pids.pop(token, None)
        code = self._exits.pop(token, None)
        return _read_exit(folder, token) if code is None else code

    def _collect(self, pid: int, token: str) -> int | None:
        code = reap(pid)
        if code is not None and code != NOT_OURS:
            self._exits[token] = code
        return code
