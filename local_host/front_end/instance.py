"""One instance of an app: a host process, which is started again whenever it ends."""

import asyncio
import logging
import os
import socket
import sys
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

from shared.kernel.clock import Clock
from shared.persistence.plain_files import append_to

_log = logging.getLogger("local_host.front_end")
PING: Final = "/admin/host/ping"
RESTART_AFTER_S: Final = 0.2
RESTART_AFTER_MAX_S: Final = 10.0
_LIVED_S: Final = 10.0
"""An instance that ran for so long is started again at once."""
_POLL_INTERVAL_S: Final = 0.05
_BEHIND_WORKLOADS: Final = ("nice", "-n", "5")
"""A start costs 3 s of a core, and many may start at once: the workloads of this machine go first.
POSIX.1-2017, nice(1)."""
_OK: Final = 200


@dataclass(frozen=True)
class AppProcess:
    """What the processes of one app are started with."""

    name: str
    """As in paths: `secret-bindings`."""
    folder: Path
    state: Path
    """The instances share it; the first of them has the timers and the task hub."""
    environ: Mapping[str, str]


class Instance:
    """One host process of *app*, the *number*th. `run` keeps it running until canceled."""

    def __init__(
        self, app: AppProcess, number: int, log: Path, session: aiohttp.ClientSession, clock: Clock
    ) -> None:
        self.app = app
        self.number = number
        self._log = log
        self._session = session
        self._clock = clock
        self._process: asyncio.subprocess.Process | None = None
        self._port = 0
        self._is_ready = False

    @property
    def name(self) -> str:
        return f"{self.app.name}-{self.number}"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    @property
    def is_ready(self) -> bool:
        """Return whether it answered, and has not ended since."""
        return self._is_ready

    async def run(self) -> None:
        """Start the process, and again when it has ended; later each time that it ends at once."""
        delay_s = RESTART_AFTER_S
        while True:
            began_s = self._clock.monotonic_s()
            code = await self._run_once()
            if self._clock.monotonic_s() - began_s > _LIVED_S:
                delay_s = RESTART_AFTER_S
            _log.warning("%s ended with %s; it starts again in %.1f s", self.name, code, delay_s)
            await self._clock.sleep(delay_s)
            delay_s = min(2 * delay_s, RESTART_AFTER_MAX_S)

    async def _run_once(self) -> int:
        self._port = self._port or _free_port()
        process = self._process = await self._start()
        readiness = asyncio.ensure_future(self._note_when_ready())
        try:
            code = await process.wait()
        finally:
            self._is_ready = False
            readiness.cancel()
        self._port = 0  # another may have it by now
        return code

    async def _start(self) -> asyncio.subprocess.Process:
        log = append_to(self._log)
        try:
            return await asyncio.create_subprocess_exec(
                *_BEHIND_WORKLOADS,
                *(sys.executable, "-m", "local_host", str(self.app.folder)),
                *("--port", str(self._port), "--state", str(self.app.state)),
                *("--auth", "--join", "--end-with-input"),
                # It ends when this process does, however that ends.
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=dict(self.app.environ),
                start_new_session=True,
            )
        finally:
            os.close(log)

    async def _note_when_ready(self) -> None:
        while not await self._answers():
            await self._clock.sleep(_POLL_INTERVAL_S)
        self._is_ready = True

    async def _answers(self) -> bool:
        with suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with self._session.get(f"{self.url}{PING}") as answer:
                return answer.status == _OK
        return False

    async def stop(self, grace_s: float) -> None:
        """Terminate the process, and kill it after *grace_s*."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        self._is_ready = False
        with suppress(ProcessLookupError):
            process.terminate()
            try:
                async with asyncio.timeout(grace_s):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
