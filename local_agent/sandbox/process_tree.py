"""Runs a command as a child and ends with it: its signals, its status, all its descendants.

In a PID namespace the process that reaps is the init, and the kernel ends everything with it.
Elsewhere it is a subreaper, to which orphans fall, and ends them itself.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
else:
    import _signal as signal  # `signal` makes enums of its names, which takes 5 ms

FORWARDED = frozenset(
    {
        signal.SIGHUP,
        signal.SIGINT,
        signal.SIGQUIT,
        signal.SIGUSR1,
        signal.SIGUSR2,
        signal.SIGTERM,
    }
)
NOT_STARTED = 127
"""Exit code when there was no workload, as of a shell."""
_WATCHED = FORWARDED | {signal.SIGCHLD}


def hold_signals() -> None:
    """Keep signals until `wait_for` asks for them: none is lost, and none ends this process."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)


def spawn(become: Callable[[], int]) -> int:
    """Return the pid of a child that receives signals again and runs *become*, to exec."""
    pid = os.fork()
    if pid == 0:
        code = NOT_STARTED
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
            code = become()
        except Exception as failed:  # noqa: BLE001  whatever it is, somebody must be able to read it
            say_not_started(failed)
        finally:
            os._exit(code)
    return pid


def say_not_started(failed: Exception) -> None:
    """Write why there is no workload where its output would be."""
    sentence = f"cannot start in a sandbox: {str(failed) or type(failed).__name__}\n"
    os.write(2, sentence.encode("utf-8", "backslashreplace"))


def wait_for(pid: int) -> int:
    """Forward signals to the child *pid* and reap all children until it ends; return its status."""
    while True:
        received = signal.sigwait(_WATCHED)
        if received != signal.SIGCHLD:
            os.kill(pid, received)  # it is there: it was not waited for yet
            continue
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == pid:
                return ended[1]


def end_children() -> None:
    """Kill and reap children until none is left; as a subreaper that are all descendants."""
    while True:
        for child in _children():
            os.kill(child, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def end_as(status: int) -> int:
    """End this process by the signal of *status*, or return its exit code."""
    if not os.WIFSIGNALED(status):
        return os.WEXITSTATUS(status)
    ending = os.WTERMSIG(status)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {ending})
    os.kill(os.getpid(), ending)
    return 128 + ending


def _children() -> list[int]:
    us = os.getpid()
    try:
        with open(f"/proc/self/task/{us}/children", encoding="ascii") as file:
            return [int(pid) for pid in file.read().split()]
    except FileNotFoundError:  # a kernel without CONFIG_PROC_CHILDREN
        return [pid for pid in _pids() if _parent(pid) == us]


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _parent(pid: int) -> int | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # proc(5): the name in parentheses may have any character; behind it: state, parent.
            return int(file.read().rpartition(b")")[2].split()[1])
    except OSError:
        return None
