"""Program that claims its start, and then becomes the workload, or the shim of its sandbox.

It runs as a file, by path, under `-I -S`, so it and `local_agent.sandbox` import the standard
library only, and no part of it that takes long. The order is on standard input, by `marshal`: see
`processes.start`; the argument is the token of this start.

After a crash a supervisor may not know whether this process exists. Both then create the same claim
file, exclusively: the process that comes second exits, a supervisor that comes second adopts it.
"""

from __future__ import annotations

import marshal
import os
import resource
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TOKEN_VARIABLE = "RUNTIME_INSTANCE_TOKEN"  # noqa: S105  a name
"""Names the start of a process in its environment."""
CLAIM_VOID = 75
"""Exit code when a supervisor has declared this start void (EX_TEMPFAIL)."""
NOT_STARTED = 127
"""Exit code when the command cannot be executed, as in a shell."""
_START_TIME = 18
"""Of /proc/<pid>/stat behind the state: field 22."""


def start_ticks(pid: int) -> int | None:
    """Return when *pid* started, in clock ticks since boot.

    None when it is gone or a zombie, and where there is no /proc.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            stat = file.read()
    except OSError:
        return None
    # proc(5): the name in parentheses may have any character; behind it are fields 3, 4, ...
    state, *fields = stat.rpartition(b")")[2].split()
    return None if state in b"ZX" else int(fields[_START_TIME])


def _claim(order: dict[str, Any], token: str) -> bool:
    path, boot, sandbox = order["claim"], order["boot"], order["sandbox"]
    pid = os.getpid()
    draft = f"{path}.{pid}"
    content = (
        f'"pid": {pid}, "ticks": {start_ticks(pid) or 0}, "boot": "{boot}", "token": "{token}"'
    )
    if sandbox is not None:
        content += ', "shim": true, "namespaced": ' + str(sandbox["isNamespaced"]).lower()
    with open(draft, "w", encoding="ascii") as file:
        file.write("{" + content + "}")
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        os.unlink(draft)
    return True


def _limit(limits: dict[str, int]) -> None:
    for name, value in limits.items():
        kind = getattr(resource, name)
        _, ceiling = resource.getrlimit(kind)
        bound = value if ceiling == resource.RLIM_INFINITY else min(value, ceiling)
        resource.setrlimit(kind, (bound, bound))


def _become(order: dict[str, Any]) -> int:
    """Become the command of *order*; return only if that fails."""
    command = order["command"]
    try:
        os.chdir(order["folder"])
        _limit(order["limits"])
        os.execvpe(command[0], command, order["environ"])  # noqa: S606  no shell is the point
    except Exception as failed:  # noqa: BLE001  a name that exec refuses is a ValueError
        return _cannot_start(command, failed)


def _cannot_start(command: list[str], failed: Exception) -> int:
    print(f"cannot start {command}: {failed}", file=sys.stderr, flush=True)  # noqa: T201
    return NOT_STARTED


def main(token: str) -> int:
    order: dict[str, Any] = marshal.load(sys.stdin.buffer)  # noqa: S302  written by our agent
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sandbox = order["sandbox"]
    if not _claim(order, token):
        return CLAIM_VOID
    if sandbox is None:
        return _become(order)
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    from local_agent.sandbox import shim  # noqa: PLC0415  found by that path; an Envoy needs none

    try:
        return shim.run(sandbox, lambda: _become(order))
    except Exception as failed:  # noqa: BLE001  as above
        return _cannot_start(order["command"], failed)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
