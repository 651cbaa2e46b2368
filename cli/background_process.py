"""A process of ours that outlives its command, such as the local cloud: start it, end it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.host_process import log_size, log_tail, pause
from cli.interruption import interruptions_held
from cli.state_folder import REPOSITORY
from local_agent import process_trees
from local_agent.process_identity import ProcessIdentity
from shared.kernel.clock import Clock
from shared.persistence.disk_errors import reason_of
from shared.persistence.plain_files import append_to

_POLL_INTERVAL_S: Final = 0.05


@dataclass(frozen=True)
class BackgroundProcess:
    """`python -m module`, called *name*, with its files in *folder*."""

    name: str
    module: str
    folder: Path
    log: Path
    ready_file: Path
    """It writes this when it is ready; what the last one wrote is removed before its start."""
    started_by: str
    """The command that starts it, for whoever has to repeat it."""
    ready_within_s: float
    stopped_within_s: float
    ends_by: signal.Signals = signal.SIGKILL
    """How one that does not get ready is ended."""

    def start(self, options: Sequence[str], is_ready: Callable[[], bool], clock: Clock) -> int:
        """Start it in a session of its own; return its process id when it is ready.

        Raises:
            Failure: it did not start; the message has its last output.
        """
        logged = log_size(self.log)
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.ready_file.unlink(missing_ok=True)
            # Reserves the space in which the reason of a start that fails has room.
            log = append_to(self.log)  # it says how the last one ended
            os.write(log, f"{self.name} starts\n".encode())
        except OSError as problem:
            raise Failure(
                f"{self.folder} cannot be written: {reason_of(problem)}", ExitCode.UNAVAILABLE
            ) from problem
        command = [sys.executable, "-m", self.module, "--state", str(self.folder), *options]
        with interruptions_held() as held:
            try:
                process = subprocess.Popen(  # noqa: S603  our own program
                    command, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    start_new_session=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
                )  # fmt: skip
            finally:
                os.close(log)
        try:
            for number in held:
                signal.raise_signal(number)
            self._wait_until_ready(process, is_ready, clock, logged)
        except KeyboardInterrupt:
            # Nobody could find it before it has its lock.
            process.send_signal(self.ends_by)
            with suppress(subprocess.TimeoutExpired):
                process.wait(self.stopped_within_s)
            raise
        return process.pid

    def _wait_until_ready(
        self,
        process: "subprocess.Popen[bytes]",
        is_ready: Callable[[], bool],
        clock: Clock,
        logged: int,
    ) -> None:
        deadline_s = clock.monotonic_s() + self.ready_within_s
        while not is_ready():
            if process.poll() is not None or clock.monotonic_s() > deadline_s:
                process.send_signal(self.ends_by)
                raise self.failed_start(logged)
            pause(clock, _POLL_INTERVAL_S)

    def failed_start(self, logged: int) -> Failure:
        """Return the refusal of a start before which the log had *logged* bytes."""
        output = "\n".join(f"  | {line}" for line in log_tail(self.log, logged))
        return Failure(
            f"the {self.name} did not start\n{output}",
            ExitCode.UNAVAILABLE,
            remedy=f"correct what it names; `{self.started_by}`",
        )

    def end(
        self, find: Callable[[], ProcessIdentity | None], clock: Clock
    ) -> ProcessIdentity | None:
        """Terminate the one that *find* returns, and kill it after a timeout; return it."""
        identity = find()
        if identity is None:
            return None
        process_trees.terminate(identity)
        deadline_s = clock.monotonic_s() + self.stopped_within_s
        while find() == identity and clock.monotonic_s() < deadline_s:
            pause(clock, _POLL_INTERVAL_S)
        if find() == identity:
            with suppress(ProcessLookupError):
                os.kill(identity.pid, signal.SIGKILL)
        return identity
