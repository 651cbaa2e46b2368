"""The user of a workload: one of its own where root starts it, else ours with no privilege."""

from __future__ import annotations

import os

from local_agent.sandbox import system_calls

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
else:
    import _signal as signal  # see `process_tree`


def keep_own_user(user: int, group: int) -> None:
    """Be the same *user* in the user namespace that was just entered, and nobody else."""
    for name, content in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        _write(f"/proc/self/{name}", content)


def become(user: int) -> None:
    """Be *user*, in the group of that number and no other, for ever."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def user_mapping(on_disk: int, shown: int) -> int:
    """Return a descriptor of a user namespace that maps owner *on_disk* to *shown*."""
    us = os.getpid()
    pid = system_calls.clone(system_calls.CLONE_NEWUSER)
    if pid == 0:
        system_calls.prctl(system_calls.PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != us:
            os._exit(1)  # it was killed before it could be followed
        signal.pause()  # the namespace lasts as long as a process or a descriptor of it
        os._exit(0)
    try:
        for name in ("uid_map", "gid_map"):
            _write(f"/proc/{pid}/{name}", f"{on_disk} {shown} 1")
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _write(path: str, content: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(content)
