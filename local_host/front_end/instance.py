"""One instance of an app: a host process, which is started again whenever it ends."""

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

from shared.kernel.clock import Clock
from shared.persistence.plain_files import append_to

_log = logging.getLogger("local_host.front_end")
GRACE_S: Final = 4.0
"""For its calls, for its listeners and for its applications' ends, one after the other."""
STOPS_WITHIN_S: Final = 3 * GRACE_S + 2.0
RESTART_AFTER_S: Final = 0.2
RESTART_AFTER_MAX_S: Final = 10.0
_LIVED_S: Final = 10.0
"""An instance that ran for so long is started again at once."""
STARTS_WITHIN_S: Final = 60.0
PING_EVERY_S: Final = 2.0
PING_WITHIN_S: Final = 10.0
"""A host that is busy, on a machine that is, answers in time; one that is stopped does not."""
HUNG_AFTER_S: Final = 60.0
_BEHIND_WORKLOADS: Final = ("nice", "-n", "5")
"""A start costs 3 s of a core: the workloads of this machine go first. POSIX.1-2017, nice(1)."""
_OK: Final = 200


@dataclass(frozen=True)
class AppProcess:
    """What the processes of one app are started with."""

    name: str
    """As in paths: `secret-bindings`."""
    folder: Path
    state: Path
    """The instances share it; the first of them has the timers and the task hub."""
    environ: Callable[[], Mapping[str, str]]
    """Reads what the next one is started with. Raises OSError."""
    alive: str
    """Path that answers 200, without a token, once the functions of the app are there."""


class Instance:
    """One host process of *app*, the *number*th. `run` keeps it running until canceled."""

    def __init__(
        self,
        app: AppProcess,
        number: int,
        log: Path,
        session: aiohttp.ClientSession,
        clock: Clock,
        starts: asyncio.Semaphore,
    ) -> None:
        """*starts* is taken while the process starts: others wait for their turn."""
        self.app = app
        self.number = number
        self._log = log
        self._session = session
        self._clock = clock
        self._starts = starts
        self._process: asyncio.subprocess.Process | None = None
        self._url = ""
        self._is_ready = False

    @property
    def name(self) -> str:
        return f"{self.app.name}-{self.number}"

    @property
    def url(self) -> str:
        """Return where it listens; empty until it has said so."""
        return self._url

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    @property
    def is_ready(self) -> bool:
        """Return whether it has said where it listens, and answered when it was asked last."""
        return self._is_ready

    async def run(self) -> None:
        """Start the process, and again when it has ended; later each time that it ends at once."""
        delay_s = RESTART_AFTER_S
        while True:
            began_s = self._clock.monotonic_s()
            try:
                ended = f"ended with {await self._run_once()}"
            except OSError as refused:
                ended = f"could not be started: {refused}"
            if self._clock.monotonic_s() - began_s > _LIVED_S:
                delay_s = RESTART_AFTER_S
            _log.warning("%s %s; it starts again in %.1f s", self.name, ended, delay_s)
            await self._clock.sleep(delay_s)
            delay_s = min(2 * delay_s, RESTART_AFTER_MAX_S)

    async def _run_once(self) -> int:
        async with self._starts:
            process, self._url = await self._start_announced()
        probe = asyncio.ensure_future(self._probe(process))
        try:
            return await process.wait()
        finally:
            self._is_ready, self._url = False, ""
            probe.cancel()

    async def _start_announced(self) -> tuple[asyncio.subprocess.Process, str]:
        """Start the process; return it with where it listens, empty where it ends before that."""
        announced, announces = os.pipe()
        try:
            process = self._process = await self._start(announces)
        except BaseException:
            os.close(announced)
            raise
        finally:
            os.close(announces)
        try:
            async with asyncio.timeout(STARTS_WITHIN_S):
                return process, await _line_of(announced)
        except TimeoutError:
            _log.warning("%s was not ready after %.0f s: it ends", self.name, STARTS_WITHIN_S)
            process.kill()
            return process, ""

    async def _start(self, announces: int) -> asyncio.subprocess.Process:
        environ = await asyncio.to_thread(self.app.environ)
        log = append_to(self._log)
        try:
            return await asyncio.create_subprocess_exec(
                *_BEHIND_WORKLOADS,
                *(sys.executable, "-m", "local_host", str(self.app.folder)),
                *("--port", "0", "--state", str(self.app.state), "--grace", str(GRACE_S)),
                *("--auth", "--join", "--end-with-input", "--announce", str(announces)),
                # It ends when this process does, however that ends.
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=(announces,),
                env=environ,
                start_new_session=True,
            )
        finally:
            os.close(log)

    async def _probe(self, process: asyncio.subprocess.Process) -> None:
        """Note whether *process* answers; end it where it hangs."""
        answered_s = self._clock.monotonic_s()
        is_noted = False
        while self._url:
            if await self._answers():
                self._is_ready, is_noted = True, False
                answered_s = self._clock.monotonic_s()
            else:
                if not is_noted:
                    _log.warning("%s has no answer to %s: see its log", self.name, self.app.alive)
                self._is_ready, is_noted = False, True
                if self._clock.monotonic_s() - answered_s > HUNG_AFTER_S:
                    _log.warning("%s did not answer for %.0f s: it ends", self.name, HUNG_AFTER_S)
                    with suppress(ProcessLookupError):
                        process.kill()
                    return
            await self._clock.sleep(PING_EVERY_S)

    async def _answers(self) -> bool:
        timeout = aiohttp.ClientTimeout(total=PING_WITHIN_S)
        with suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with self._session.get(f"{self._url}{self.app.alive}", timeout=timeout) as answer:
                return answer.status == _OK
        return False

    async def stop(self) -> None:
        """Terminate the process, and kill it where that takes longer than its grace."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        self._is_ready = False
        with suppress(ProcessLookupError):
            process.terminate()
            try:
                async with asyncio.timeout(STOPS_WITHIN_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


async def _line_of(descriptor: int) -> str:
    """Return the first line that comes from the pipe *descriptor*, which is closed then."""
    reader = asyncio.StreamReader()
    pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb")
    )
    try:
        return (await reader.readline()).decode().strip()
    finally:
        pipe.close()
