"""Programs that run as long as the cluster does: each is started again when it ends.

They end with the cluster's process, however that ends: by a cancel they are killed, and when the
process is killed the kernel kills them (`PR_SET_PDEATHSIG`). Nothing is asked to end in good order,
as nothing of what it has is kept.
"""

import asyncio
import logging
import os
import shutil
import signal
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared.kernel.clock import Clock
from shared.persistence.plain_files import append_to, read_plain

OWNER: Final = "FACTORY_RUNTIME_CLUSTER"
"""In the environ of each program: the folder of its cluster."""
RESTARTED_AFTER_S: Final = 0.5
_TAIL_BYTES: Final = 2_000
_ENVIRON_BYTES: Final = 2**20
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Program:
    """What is run, with its output appended to *log*."""

    name: str
    command: Sequence[str]
    log: Path
    folder: Path | None = None
    """Its working directory; that of the cluster's process without one."""
    sockets: tuple[int, ...] = ()
    """Descriptors that it is given."""


class RunningProgram:
    """A program that is started again whenever it ends, until `stop`."""

    def __init__(self, program: Program, owner: Path, clock: Clock) -> None:
        self.program = program
        self.pid: int | None = None
        self._owner = owner
        self._clock = clock
        self._running = asyncio.create_task(self._keep_running())

    async def stop(self) -> None:
        self._running.cancel()
        with suppress(asyncio.CancelledError):
            await self._running

    async def _keep_running(self) -> None:
        while True:
            async with started(self.program, self._owner) as process:
                self.pid = process.pid
                code = await process.wait()
            _log.warning("%s ended (%s), and is started again", self.program.name, code)
            await self._clock.sleep(RESTARTED_AFTER_S)


@asynccontextmanager
async def started(program: Program, owner: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Yield *program* as a process of the cluster *owner*; killed afterwards, if it still runs."""
    # It is killed when the thread ends that starts it: so this must be the main one.
    output = append_to(program.log)
    try:
        process = await asyncio.create_subprocess_exec(
            *_ended_with_parent(program.command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd=program.folder,
            pass_fds=program.sockets,
            env={**os.environ, OWNER: str(owner)},
        )
    finally:
        os.close(output)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def tail(log: Path) -> str:
    """Return the end of *log*."""
    with suppress(OSError):
        return read_plain(log, at_most=_TAIL_BYTES).decode(errors="replace")
    return ""


def _ended_with_parent(command: Sequence[str]) -> Sequence[str]:
    setpriv = shutil.which("setpriv")
    return (setpriv, "--pdeathsig", "KILL", *command) if setpriv else command


def kill_programs(owner: Path) -> int:
    """Kill every program of the cluster *owner* on this machine; return how many there were."""
    pids = list(programs_of(owner))
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(pids)


def programs_of(owner: Path) -> Iterator[int]:
    """Yield the processes that were started for the cluster *owner*, but for this one itself."""
    for folder in Path("/proc").glob("[0-9]*"):
        is_other = folder.name != str(os.getpid())
        if is_other and _environ(folder).get(OWNER) == str(owner):
            yield int(folder.name)


def _environ(folder: Path) -> Mapping[str, str]:
    try:
        with (folder / "environ").open("rb") as file:
            text = file.read(_ENVIRON_BYTES).decode(errors="replace")
    except OSError:  # it has ended, or is another user's
        return {}
    pairs = (entry.partition("=") for entry in text.split("\0"))
    return {name: value for name, _, value in pairs}
