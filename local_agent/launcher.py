"""Program that claims its start, limits itself and then becomes the workload (exec).

It runs as a file, by path, under `-I -S`, so it imports the standard library only. Arguments: a
JSON file with `claim` (the claim file to create), `folder`, `limits` (rlimit name to value) and
`command`; and the token of this start.

After a crash a supervisor may not know whether this process exists. Both then create the same claim
file, exclusively: the process that comes second exits, a supervisor that comes second adopts it.
"""

import json
import os
import resource
import sys
from pathlib import Path

TOKEN_VARIABLE = "RUNTIME_INSTANCE_TOKEN"  # noqa: S105  a name
"""Names the start of a process in its environment."""
CLAIM_VOID = 75
"""Exit code when a supervisor has declared this start void (EX_TEMPFAIL)."""
NOT_STARTED = 127
"""Exit code when the command cannot be executed, as in a shell."""
_CLONE_NEWUSER = 0x10000000
_START_TIME = 18
"""Of /proc/<pid>/stat behind the state: field 22."""


def start_ticks(pid: int) -> int | None:
    """Return when *pid* started, in clock ticks since boot.

    None when it is gone or a zombie, and where there is no /proc.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # proc(5): the name in parentheses may have any character; behind it are fields 3, 4, ...
    state, *fields = stat.rpartition(")")[2].split()
    return None if state in "ZX" else int(fields[_START_TIME])


def _claim(path: str, token: str) -> bool:
    pid = os.getpid()
    draft = f"{path}.{pid}"
    content = json.dumps({"pid": pid, "ticks": start_ticks(pid) or 0, "token": token})
    Path(draft).write_text(content, encoding="utf-8")
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        Path(draft).unlink()
    return True


def _enter_own_user_namespace() -> None:
    """Enter a user namespace in which the system counts only this workload's processes.

    User and group stay the same, and no capability is gained (user_namespaces(7), setrlimit(2)
    RLIMIT_NPROC, both as of Linux 5.14).
    """
    import ctypes  # noqa: PLC0415  needed here only; os.unshare came with 3.12

    user, group = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWUSER):
        raise OSError(ctypes.get_errno(), "no user namespace for a limit of processes")
    for name, content in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        Path(f"/proc/self/{name}").write_text(content, encoding="ascii")


def _limit(limits: dict[str, int]) -> None:
    for name, value in limits.items():
        kind = getattr(resource, name)
        _, ceiling = resource.getrlimit(kind)
        bound = value if ceiling == resource.RLIM_INFINITY else min(value, ceiling)
        resource.setrlimit(kind, (bound, bound))


def main(file: str, token: str) -> int:
    order = json.loads(Path(file).read_text(encoding="utf-8"))
    if not _claim(order["claim"], token):
        return CLAIM_VOID
    try:
        os.chdir(order["folder"])
        if "RLIMIT_NPROC" in order["limits"]:
            _enter_own_user_namespace()
        _limit(order["limits"])
        command = order["command"]
        os.execvp(command[0], command)  # noqa: S606  no shell is the point
    except OSError as failed:
        print(f"cannot start {order['command']}: {failed}", file=sys.stderr, flush=True)  # noqa: T201
    return NOT_STARTED


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
