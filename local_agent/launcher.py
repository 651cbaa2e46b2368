"""Program that claims its start, and then becomes the workload, or the shim of its sandbox.

It runs as a file, by path, under `-I -S`, so it and `local_agent.sandbox` import the standard
library only, and no part of it that takes long. The order is on standard input, see
`sandbox.order`; the argument is the token of this start.

After a crash a supervisor may not know whether this process exists. Both then create the same claim
file, exclusively: the process that comes second exits, a supervisor that comes second adopts it.
"""

from __future__ import annotations

import os
import resource
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from local_agent.sandbox.order import StartOrder

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


def _claim(order: StartOrder, token: str) -> bool:
    pid = os.getpid()
    draft = f"{order.claim}.{pid}"
    content = (
        f'"pid": {pid}, "ticks": {start_ticks(pid) or 0}, '
        f'"boot": "{order.boot}", "token": "{token}"'
    )
    if order.sandbox is not None:
        content += ', "shim": true, "namespaced": ' + str(order.sandbox.is_namespaced).lower()
    with open(draft, "w", encoding="ascii") as file:
        file.write("{" + content + "}")
    try:
        os.link(draft, order.claim)
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


def _become(order: StartOrder) -> int:
    """Become the command of *order*; return only if that fails."""
    command = order.command
    try:
        os.chdir(order.workdir)
        _limit(order.limits)
        os.execvpe(command[0], command, order.environ)  # noqa: S606  no shell is the point
    except Exception as failed:  # noqa: BLE001  a name that exec refuses is a ValueError
        return _cannot_start(str(command), failed)


def _cannot_start(what: str, failed: Exception) -> int:
    print(f"cannot start {what}: {failed}", file=sys.stderr, flush=True)  # noqa: T201
    return NOT_STARTED


def main(token: str) -> int:
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    from local_agent.sandbox.order import read  # noqa: PLC0415  found by that path

    try:
        order = read(sys.stdin.buffer)
    except ValueError as strange:
        return _cannot_start("a workload", strange)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    if not _claim(order, token):
        return CLAIM_VOID
    if order.sandbox is None:
        return _become(order)
    from local_agent.sandbox import shim  # noqa: PLC0415  as above; an Envoy needs none

    try:
        return shim.run(order, order.sandbox, lambda: _become(order))
    except Exception as failed:  # noqa: BLE001  as above
        return _cannot_start(str(order.command), failed)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
