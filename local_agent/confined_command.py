"""Runs a command over foreign files to its end: in a sandbox without network, bounded in all ways.

For installers: what a wheel makes them do reaches the target only. What they wrote belongs to the
platform afterwards.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import psutil

from local_agent import process_trees, starts
from local_agent.process_identity import is_alive, reap
from local_agent.sandbox_means import tried_means
from local_agent.sandbox_order import sandbox_order
from local_agent.starts import make_folders
from shared.persistence.file_trees import measure, remove_tree
from shared.persistence.plain_files import read_plain

WITHIN_S: Final = 300.0
BYTES_MAX: Final = 2 * 2**30
NAMES_MAX: Final = 200_000
OUTPUT_MAX: Final = 500
_LOOK_S: Final = 0.5
_ENDED_WITHIN_S: Final = 5.0
_PREFIX: Final = "install-"
"""Of the folder that a command has for itself, beside its target. The rest of its name is random,
and names the start too."""
_LIMITS: Final = {
    "RLIMIT_CORE": 0,
    "RLIMIT_CPU": int(WITHIN_S),
    "RLIMIT_DATA": 2**30,
    "RLIMIT_FSIZE": 2**30,
    "RLIMIT_NOFILE": 1024,
}
_PROCESSES_MAX: Final = 64


class CommandFailed(Exception):
    """It ended otherwise than by success; the message is why, or the end of what it wrote."""


def run_confined(
    command: Sequence[str],
    *,
    target: Path,
    readable: Sequence[Path] = (),
    workdir: Path,
    names_max: int = NAMES_MAX,
) -> None:
    """Run *command*, which fills the new folder *target*, in *workdir*: that, or one of *readable*.

    One at a time beside *target*: what an earlier one left there is ended and removed.

    Raises:
        CommandFailed.
    """
    end_commands(target.parent)
    remove_tree(target)
    target.mkdir(mode=0o755)
    target.chmod(0o755)  # whatever our umask is: it is read by other users than ours
    try:
        _run(command, target, readable, workdir, names_max)
    finally:
        _make_ours(target)


def end_commands(parent: Path, prefix: str = _PREFIX) -> None:
    """End the commands whose own folders are in *parent*, and remove these; the targets stay.

    For those of an agent that was killed: who waits for one here sees it fail.
    """
    for folder in parent.glob(f"{prefix}*/"):
        end_command(folder)
        remove_tree(folder)


def _run(
    command: Sequence[str], target: Path, readable: Sequence[Path], workdir: Path, names_max: int
) -> None:
    in_force = tried_means()
    with TemporaryDirectory(prefix=_PREFIX, dir=target.parent) as name:
        folder = Path(name)
        make_folders(folder)
        limits = dict(_LIMITS)
        if in_force.is_namespaced:
            limits["RLIMIT_NPROC"] = _PROCESSES_MAX
        pid = starts.spawn(
            folder,
            folder.name,
            command,
            environ={
                "PATH": "/usr/bin:/bin",
                "HOME": str(folder / "home"),
                "TMPDIR": str(folder / "tmp"),
                "LANG": "C.UTF-8",
            },
            workdir=workdir,
            output=folder / "output",
            limits=limits,
            sandbox=sandbox_order(
                in_force,
                folder,
                folder.name,
                owned=[folder / "home", folder / "tmp", target],
                readable=readable,
                has_network=False,
                parent=os.getpid(),
            ),
        )
        try:
            code = _wait(pid, [target, folder], names_max)
        finally:
            end_command(folder)
            reap(pid)
        if code:
            written = read_plain(folder / "output", at_most=OUTPUT_MAX).decode(errors="replace")
            raise CommandFailed(written.strip() or f"it ended with {code}")


def _wait(pid: int, written: Sequence[Path], names_max: int) -> int:
    """Return the exit code of *pid*.

    Raises:
        CommandFailed: it takes too long, or writes too much.
    """
    process = psutil.Process(pid)
    for _ in range(int(WITHIN_S / _LOOK_S)):
        with suppress(psutil.TimeoutExpired):
            code = process.wait(_LOOK_S)
            if code is None:
                raise CommandFailed("it was ended, and somebody else was told how")
            return int(code)
        if not measure(written, bytes_max=BYTES_MAX, names_max=names_max).is_whole:
            raise CommandFailed(f"it writes more than {BYTES_MAX} bytes or {names_max} names")
    raise CommandFailed(f"it did not end within {WITHIN_S:.0f} s")


def end_command(folder: Path) -> None:
    """End the command whose own folder is *folder*, and wait until nothing of it runs.

    The name of the folder is the token of its start.
    """
    claim = starts.claim_file(folder, folder.name)
    identity = None if starts.void_claim(claim) else starts.read_claim(claim)
    if identity is None:
        return
    running = []
    if is_alive(identity):
        for pid in (identity.pid, *process_trees.workload_processes(identity)):
            with suppress(psutil.NoSuchProcess):
                running.append(psutil.Process(pid))
    process_trees.kill(identity)
    process_trees.kill_orphans(identity)
    # What dies may still write for a moment.
    psutil.wait_procs(running, timeout=_ENDED_WITHIN_S)


def _make_ours(target: Path) -> None:
    """Make everything in *target* ours; links are taken themselves, not where they lead."""
    us, group = os.geteuid(), os.getegid()
    if us != 0:
        return
    for folder, inner, files in os.walk(target):
        for path in (folder, *(os.path.join(folder, name) for name in (*inner, *files))):  # noqa: PTH118
            os.chown(path, us, group, follow_symlinks=False)
