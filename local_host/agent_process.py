"""Starts the agent of a state folder where none runs; the agent then outlives this host."""

import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from local_agent import launcher
from local_agent.agent_lock import LOCK_DESCRIPTOR, LOG, held_lock
from shared.kernel.clock import Clock
from shared.persistence.plain_files import append_to

_RESTART_AFTER_S: Final = 1.0
_CODE: Final = str(Path(launcher.__file__).parents[1])


class AgentProcess:
    """The agent of the folder *state*, which this host or an earlier one started."""

    def __init__(self, state: Path, clock: Clock, archives: Path | None = None) -> None:
        """*archives*: settings that name the account of the archives; None: the folder's own.

        The local cloud writes them, and has its vaults beside them.
        """
        self._state = state
        self._of_cloud: Sequence[str] = ()
        if archives is not None:
            vaults = archives.parent / "vaults"
            self._of_cloud = ("--archives", str(archives), "--vaults", str(vaults))
        self._clock = clock
        self.is_wanted = False
        """An app has asked for the surface."""
        self._lock = threading.Lock()
        self._pid: int | None = None
        self._retry_at_s = 0.0

    def ensure(self) -> None:
        """Start the agent unless it runs; of one that ends at once, a second later."""
        with self._lock:
            if self._is_starting_or_runs():
                return
            now_s = self._clock.monotonic_s()
            # Where the folder was removed this host is about to end, and makes no new one.
            if now_s < self._retry_at_s or not self._state.is_dir():
                return
            self._retry_at_s = now_s + _RESTART_AFTER_S
            with held_lock(self._state) as lock:
                self._pid = None if lock is None else self._start(lock)

    def _is_starting_or_runs(self) -> bool:
        """Return whether the agent that this host started has not ended."""
        with suppress(ChildProcessError):
            if self._pid is not None and os.waitpid(self._pid, os.WNOHANG) == (0, 0):
                return True
        self._pid = None  # by now it may be the id of another child
        return False

    def _start(self, lock: int) -> int:
        """Start the agent in a session of its own, so that it outlives this host.

        It is given the lock, so from this moment on no other one starts, and `down` finds it.
        """
        log = append_to(self._state / LOG)
        # The token names the process of this host, where `runtimectl up` started it.
        kept = {n: v for n, v in os.environ.items() if n != launcher.TOKEN_VARIABLE}
        try:
            return os.posix_spawn(
                sys.executable,
                # However this host takes the bytes of a path: so does each start of the agent.
                [
                    *(sys.executable, "-X", "utf8", "-m", "local_agent"),
                    *("--state", str(self._state), "--locked", *self._of_cloud),
                ],
                {**kept, "PYTHONPATH": _CODE},
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, log, 1),
                    (os.POSIX_SPAWN_DUP2, log, 2),
                    (os.POSIX_SPAWN_DUP2, lock, LOCK_DESCRIPTOR),
                ],
                setsid=True,
                setsigdef=[signal.SIGPIPE, signal.SIGINT, signal.SIGTERM],
            )
        finally:
            os.close(log)
