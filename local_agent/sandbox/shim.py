"""The shim of one workload: starts it in its sandbox, passes signals on, and ends as it ends.

The process that claimed the start stays outside of the sandbox. In namespaces a second one is the
init of the workload; when either ends, the kernel ends all processes of the workload.

What it does is in its order: see `order`.
"""

from __future__ import annotations

import os
import resource

from local_agent.sandbox import (
    call_filter,
    identity,
    landlock,
    memory_files,
    mounts,
    process_tree,
    system_calls,
)
from local_agent.sandbox.output import Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterator

    from local_agent.sandbox.order import SandboxOrder, StartOrder
else:
    import _signal as signal  # see `process_tree`

NICE = 3
"""Half the CPU weight of the platform, when both want all of it (sched(7))."""
_NAMESPACES = system_calls.CLONE_NEWNS | system_calls.CLONE_NEWPID | system_calls.CLONE_NEWIPC


def run(order: StartOrder, sandbox: SandboxOrder, become: Callable[[], int]) -> int:
    """Run the workload of *order* in its *sandbox*, and return its exit code.

    *become* makes the workload of a process. Ends by the signal that ended the workload.

    Raises:
        OSError: the system refuses a part of the sandbox; nothing was started.
    """
    if sandbox.parent is not None:
        _end_with(sandbox.parent)
    os.umask(0o022)  # whatever that of the agent is
    _keep_apart()
    process_tree.hold_signals()
    _lower_weight()
    output = Output(order.output)
    if sandbox.is_namespaced:
        status = _run_in_namespaces(sandbox, order.secret_files, become, output)
    else:
        system_calls.prctl(system_calls.PR_SET_CHILD_SUBREAPER, 1)
        if sandbox.secrets is not None:
            os.mkdir(sandbox.secrets, 0o700)
            memory_files.write(sandbox.secrets, order.secret_files, None)
        workload = _spawn(sandbox, become)
        output.read()
        status = process_tree.wait_for(workload)
        process_tree.end_children()
        if sandbox.secrets is not None:
            memory_files.remove(sandbox.secrets)
    output.finish()
    _tell(order.exit, status)
    # Ended by a signal it would leave a core with the environ of the workload, if only in a pipe.
    system_calls.prctl(system_calls.PR_SET_DUMPABLE, 0)
    return process_tree.end_as(status)


def _end_with(parent: int) -> None:
    """Have the kernel kill this process with the thread of *parent* that started it."""
    system_calls.prctl(system_calls.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # it has ended already


def _tell(path: str, status: int) -> None:
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.write(file, b"%d" % status)
        os.close(file)
    except OSError:
        pass  # a full disk costs the reason of an end, and the end goes on


def _run_in_namespaces(
    sandbox: SandboxOrder,
    secret_files: dict[str, str],
    become: Callable[[], int],
    output: Output,
) -> int:
    """Return the wait status of the workload, as its init tells it."""
    user = sandbox.user
    mapped = []
    if user is not None:
        # Here, where /proc has the numbers of processes that `user_mapping` goes by.
        mapped = [(path, identity.user_mapping(owner, user)) for path, owner in sandbox.mapped]
    receiver, sender = os.pipe()
    life, hold = os.pipe()
    us = (os.getuid(), os.getgid())
    flags = _NAMESPACES | (0 if sandbox.has_network else system_calls.CLONE_NEWNET)
    init = system_calls.clone(flags | (0 if _is_root() else system_calls.CLONE_NEWUSER))
    if init == 0:
        code = 1
        try:
            os.close(receiver)
            os.close(hold)
            if not _is_root():
                identity.keep_own_user(*us)
            status = _be_init(sandbox, mapped, secret_files, become, life)
            os.write(sender, b"%d" % status)
            code = 0
        except Exception as failed:  # noqa: BLE001  as in `process_tree.spawn`
            process_tree.say_not_started(failed)
            os.write(sender, b"%d" % (process_tree.NOT_STARTED << 8))
        finally:
            os._exit(code)
    os.close(sender)
    output.read()
    process_tree.wait_for(init)
    answer = os.read(receiver, 32)
    return int(answer) if answer else signal.SIGKILL


def _be_init(
    sandbox: SandboxOrder,
    mapped: list[tuple[str, int]],
    secret_files: dict[str, str],
    become: Callable[[], int],
    life: int,
) -> int:
    mounts.enter(
        sandbox.root,
        hidden=sandbox.hidden,
        readable=sandbox.readable,
        writable=sandbox.writable,
        program_folders=sandbox.program_folders,
        program_files=sandbox.program_files,
        mapped=mapped,
        tmp=sandbox.tmp,
        accounts=sandbox.accounts,
        secrets=sandbox.secrets,
        secret_files=secret_files,
        owner=sandbox.user,
    )
    if sandbox.user is not None:
        identity.become(sandbox.user)
    # Its memory and its environment are none of the workload's, which may be of the same user.
    system_calls.prctl(system_calls.PR_SET_DUMPABLE, 0)
    _end_with_parent(life)
    return process_tree.wait_for(_spawn(sandbox, become))


def _end_with_parent(life: int) -> None:
    """Have the kernel kill this process with its parent, which has the other end of *life*."""
    system_calls.prctl(system_calls.PR_SET_PDEATHSIG, signal.SIGKILL)
    os.set_blocking(life, False)
    try:
        os.read(life, 1)
    except BlockingIOError:
        return  # it lives
    os._exit(1)


def _spawn(sandbox: SandboxOrder, become: Callable[[], int]) -> int:
    """Return the pid of the workload, which begins with the restrictions of *sandbox*."""

    def enter() -> int:
        if not sandbox.is_namespaced:
            system_calls.prctl(system_calls.PR_SET_PDEATHSIG, signal.SIGKILL)
        system_calls.prctl(system_calls.PR_SET_NO_NEW_PRIVS, 1)
        if sandbox.landlock:
            landlock.restrict(sandbox.landlock, _paths(sandbox), sandbox.port)
        if sandbox.filters_calls:
            call_filter.restrict()
        return become()

    return process_tree.spawn(enter)


def _paths(sandbox: SandboxOrder) -> Iterator[tuple[str, int]]:
    """Yield what Landlock allows; in a root folder of its own, everything can be read."""
    yield from ((path, landlock.WRITE) for path in sandbox.writable)
    yield from ((path, landlock.WRITE) for path, _ in sandbox.mapped)
    yield from (
        (path, landlock.USE) for path in (*mounts.DEVICES, "/dev/ptmx", "/dev/pts", "/proc")
    )
    # Programs fail without them.
    yield from ((path, landlock.WRITE) for path in mounts.SHARED)
    if sandbox.is_namespaced:
        yield "/", landlock.READ
    else:
        secrets = [] if sandbox.secrets is None else [sandbox.secrets]
        shown = (*mounts.SYSTEM, *sandbox.readable, *secrets)
        yield from ((path, landlock.READ) for path in shown)


def _keep_apart() -> None:
    """Write no core, and have none of the keys of whoever started the platform."""
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    # At 1 byte the kernel hands none to a program either, at 0 it would: `shared.kernel.cores`.
    limit = 1 if most == resource.RLIM_INFINITY else min(most, 1)
    resource.setrlimit(resource.RLIMIT_CORE, (limit, limit))
    try:
        system_calls.join_new_session_keyring()
    except OSError:
        pass  # no kernel with keys, or too many of this user: `call_filter` refuses them


def _lower_weight() -> None:
    os.nice(NICE)
    try:
        # Where the kernel weighs sessions against each other, and nice inside of them only.
        with open("/proc/self/autogroup", "w", encoding="ascii") as file:
            file.write(str(NICE))
    except OSError:
        pass  # it does not


def _is_root() -> bool:
    return os.geteuid() == 0
