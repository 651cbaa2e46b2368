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

from local_agent import isolation, processes, sandboxes
from shared.persistence.file_trees import measure
from shared.persistence.plain_files import read_plain

WITHIN_S: Final = 300.0
BYTES_MAX: Final = 2 * 2**30
NAMES_MAX: Final = 200_000
OUTPUT_MAX: Final = 500
_LOOK_S: Final = 0.5
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

    Raises:
        CommandFailed.
    """
    target.mkdir(mode=0o755)
    target.chmod(0o755)  # whatever our umask is: it is read by other users than ours
    try:
        _run(command, target, readable, workdir, names_max)
    finally:
        _take(target)


def _run(
    command: Sequence[str], target: Path, readable: Sequence[Path], workdir: Path, names_max: int
) -> None:
    in_force = isolation.means()
    # Its name is random, so that it names the start too.
    with TemporaryDirectory(prefix="install-", dir=target.parent) as name:
        folder = Path(name)
        for part in ("home", "tmp", "root"):
            (folder / part).mkdir()
        limits = dict(_LIMITS)
        if in_force.is_namespaced:
            limits["RLIMIT_NPROC"] = _PROCESSES_MAX
        pid = processes.start(
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
            sandbox=sandboxes.sandbox(
                in_force,
                folder,
                folder.name,
                owned=[folder / "home", folder / "tmp", target],
                readable=readable,
                has_network=False,
            ),
        )
        try:
            code = _wait(pid, [target, folder], names_max)
        finally:
            _kill(folder, pid)
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
            return int(process.wait(_LOOK_S) or 0)
        if not measure(written, bytes_max=BYTES_MAX, names_max=names_max).is_whole:
            raise CommandFailed(f"it writes more than {BYTES_MAX} bytes or {names_max} names")
    raise CommandFailed(f"it did not end within {WITHIN_S:.0f} s")


def _kill(folder: Path, pid: int) -> None:
    identity = processes.read_claim(processes.claim_file(folder, folder.name))
    if identity is not None and processes.is_alive(identity):
        processes.kill(identity)
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)


def _take(target: Path) -> None:
    """Make everything in *target* ours; links are taken themselves, not where they lead."""
    us, group = os.geteuid(), os.getegid()
    if us != 0:
        return
    for folder, inner, files in os.walk(target):
        for path in (folder, *(os.path.join(folder, name) for name in (*inner, *files))):  # noqa: PTH118
            os.chown(path, us, group, follow_symlinks=False)
