"""Processes that a benchmark starts: they end with it, and so does all that they started."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

END_S = 20.0
"""For a process to end by itself; a host needs some seconds, a peer less."""
GUARD: Final = 'read -r _; kill -s KILL -- "-$0"'
"""Waits until its input ends, as it does when we are killed, then kills the session *$0*."""


@contextmanager
def running(
    command: Sequence[Any], *, end_s: float = END_S, **options: Any
) -> Iterator["subprocess.Popen[Any]"]:
    """Run *command* in a session of its own, of which nothing is left on the way out.

    A process that reads from us is told to end by the end of its input, another one by SIGTERM.
    SIGTERM to us is an exception meanwhile, so that it ends what we started as well; a second
    process watches over the session, for the case that we are killed.
    """
    stopped = []

    def stop(*_: Any) -> None:
        stopped.append(True)
        sys.exit(128 + signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, stop)
    arguments = [str(part) for part in command]
    process = subprocess.Popen(arguments, start_new_session=True, **options)
    guard = subprocess.Popen(
        ["sh", "-c", GUARD, str(process.pid)], start_new_session=True, stdin=subprocess.PIPE
    )
    try:
        yield process
        if stopped:  # uvloop logs an exception of a protocol's callback, and goes on
            sys.exit(128 + signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough
        _end(process, guard, end_s)
        signal.signal(signal.SIGTERM, before)


def _end(process: "subprocess.Popen[Any]", guard: "subprocess.Popen[bytes]", end_s: float) -> None:
    if process.stdin is None:
        process.terminate()
    else:
        with suppress(OSError):
            process.stdin.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(end_s)
    # The session outlives its leader: a wrapper that was killed leaves the server that it started.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    guard.kill()
    guard.communicate()
