# ruff: noqa: PLW0108, T201  an attempt is made when it is called, not when its path is; it prints
"""A hostile workload: tries what it must not be able to do, and prints what came of each.

Standard library only. The variable GIVEN is JSON: `folder` of the platform, `port` of another
process, `socket`, an abstract one of it, `shared`, its file in shared memory; HOST is a pid of it.
"""

import ctypes
import json
import os
import resource
import signal
import socket
from collections.abc import Callable
from pathlib import Path

GIVEN = json.loads(os.environ.get("GIVEN", "{}"))
FOLDER = Path(GIVEN.get("folder", "/"))
HOST = int(os.environ.get("HOST", "0"))
INSTANCE = FOLDER / "state" / "instance"
LIBC = ctypes.CDLL(None, use_errno=True)
NEWUSER_AND_NEWNS = 0x10020000


def checked(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")


def bind(address: str, port: int) -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((address, port))


def open_beside_tcp(family: int, protocol: int) -> None:
    """Open a socket that could bind any TCP port: Landlock holds those of TCP only."""
    socket.socket(family, socket.SOCK_STREAM, protocol).close()


def make_a_ring_that_opens_sockets() -> None:
    checked(LIBC.syscall(425, 4, ctypes.create_string_buffer(200)))  # io_uring_setup


def read_key(serial: int) -> None:
    """Read a key that the session keyring of the platform holds."""
    keyctl = {"x86_64": 250, "aarch64": 219}[os.uname().machine]
    checked(LIBC.syscall(keyctl, 11, serial, ctypes.create_string_buffer(64), 64))


def connect(address: str) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(address)


def mount_in_own_user_namespace() -> None:
    checked(LIBC.unshare(NEWUSER_AND_NEWNS))
    checked(LIBC.umount2(str(INSTANCE / "work").encode(), 2))


def become_root() -> None:
    os.setuid(0)
    Path("/etc/passwd").write_text("x")


def replace_folder_of_program() -> None:
    Path("package").rename("package-before")
    Path("package").mkdir()


def use_terminals_of_others() -> None:
    terminals = [path for path in Path("/dev/pts").iterdir() if path.name.isdigit()]
    if not terminals:
        raise FileNotFoundError
    for path in terminals:
        path.open("w").close()


ATTEMPTS: dict[str, Callable[[], object]] = {
    "read-a-file-of-the-state": lambda: (FOLDER / "state" / "key").read_text(),
    "list-the-state": lambda: (FOLDER / "state" / "other").iterdir().__next__(),
    "read-another-instance": lambda: (FOLDER / "state/other/work/file").read_text(),
    "write-another-instance": lambda: (FOLDER / "state/other/work/file").write_text("x"),
    "read-its-order": lambda: (INSTANCE / "order.json").read_text(),
    "write-its-output": lambda: (INSTANCE / "output.log").open("a").close(),
    "remove-its-output": lambda: (INSTANCE / "output.log").unlink(),
    "write-a-claim": lambda: (INSTANCE / "claim-x").write_text("{}"),
    "make-a-pipe-in-place-of-its-output": lambda: os.mkfifo(INSTANCE / "output.log"),
    "link-a-file-of-the-state": lambda: os.link(FOLDER / "state" / "key", "key"),
    "read-a-key-of-the-platforms-user": lambda: (
        FOLDER / "home-of-the-platform/.ssh/id_ed25519"
    ).read_text(),
    "read-by-way-of-proc": lambda: Path(f"/proc/1/root/{FOLDER}/state/key").read_text(),
    "read-by-way-of-its-parent": lambda: Path(f"/proc/{os.getppid()}/cwd/../../key").read_text(),
    "read-the-password-file": lambda: Path("/etc/shadow").read_text(),
    "read-the-home-of-root": lambda: Path("/root/.profile").read_text(),
    "list-homes": lambda: next(Path("/home").iterdir()),
    "list-sockets-of-services": lambda: Path("/run/docker.sock").stat(),
    "read-shared-memory": lambda: Path(GIVEN["shared"]).read_text(),
    "read-the-environment-of-the-platform": lambda: Path(f"/proc/{HOST}/environ").read_bytes(),
    "read-the-memory-of-the-platform": lambda: Path(f"/proc/{HOST}/mem").open("rb").close(),
    "read-the-environment-of-its-init": lambda: Path("/proc/1/environ").read_bytes(),
    "list-files-of-its-init": lambda: next(Path("/proc/1/fd").iterdir()),
    "trace-the-platform": lambda: checked(LIBC.ptrace(16, HOST, 0, 0)),
    "trace-its-init": lambda: checked(LIBC.ptrace(16, 1, 0, 0)),
    "signal-the-platform": lambda: os.kill(HOST, 0),
    "stop-the-platform": lambda: os.kill(HOST, signal.SIGSTOP),
    "change-its-program": lambda: Path("program.txt").write_text("x"),
    "append-to-its-program": lambda: Path("program.txt").open("a").close(),
    "remove-its-program": lambda: Path("program.txt").unlink(),
    "rename-its-program": lambda: Path("program.txt").rename("other.txt"),
    "replace-its-program": lambda: (
        Path("new").write_text("x"),
        Path("new").replace("program.txt"),
    ),
    "chmod-its-program": lambda: Path("program.txt").chmod(0o777),
    "change-a-file-in-a-folder-of-it": lambda: Path("package/inner.txt").write_text("x"),
    "replace-a-folder-of-its-program": replace_folder_of_program,
    "write-below-usr": lambda: Path("/usr/local/hostile").touch(),
    "write-below-etc": lambda: Path("/etc/hostile").touch(),
    "write-at-the-root": lambda: Path("/hostile").touch(),
    "write-a-setting-of-the-kernel": lambda: Path("/proc/sys/kernel/hostname").write_text("x"),
    "write-below-sys": lambda: Path("/sys/power/state").write_text("mem"),
    "read-a-disk": lambda: next(filter(Path.is_block_device, Path("/dev").iterdir())).open("rb"),
    "read-messages-of-the-kernel": lambda: Path("/dev/kmsg").open("rb").close(),
    "make-a-device": lambda: os.mknod("device", 0o60666, os.makedev(254, 0)),
    "use-terminals-of-others": use_terminals_of_others,
    "mount": lambda: checked(LIBC.mount(b"tmpfs", b".", b"tmpfs", 0, None)),
    "unmount-its-root": lambda: checked(LIBC.umount2(b"/", 2)),
    "unmount-in-a-user-namespace": mount_in_own_user_namespace,
    "change-its-root": lambda: os.chroot("/usr"),
    "become-root": become_root,
    "join-groups": lambda: os.setgroups([0]),
    "raise-its-weight": lambda: os.nice(-5),
    "raise-its-limits": lambda: resource.setrlimit(
        resource.RLIMIT_NPROC, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    ),
    "run-in-real-time": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
    "be-killed-last": lambda: Path("/proc/self/oom_score_adj").write_text("-500"),
    "set-the-clock": lambda: checked(LIBC.settimeofday(ctypes.byref((ctypes.c_long * 2)(0, 0)), 0)),
    "bind-the-port-of-another": lambda: bind("127.0.0.1", GIVEN["port"]),
    "bind-the-port-of-another-everywhere": lambda: bind("0.0.0.0", GIVEN["port"]),
    "open-mptcp": lambda: open_beside_tcp(socket.AF_INET, 262),
    "open-mptcp-6": lambda: open_beside_tcp(socket.AF_INET6, 262),
    "open-smc": lambda: open_beside_tcp(socket.AF_INET, 256),
    "open-smc-of-its-own-family": lambda: open_beside_tcp(43, 0),
    "make-a-ring-that-opens-sockets": make_a_ring_that_opens_sockets,
    "read-a-key-of-the-session": lambda: read_key(int(os.environ["KEY"])),
    "connect-to-an-abstract-socket": lambda: connect("\0" + GIVEN["socket"]),
    "kill-its-init": lambda: (os.kill(1, signal.SIGKILL), os.kill(1, 0), os.sched_yield()),
}
# Accepted by the kernel, and without effect: that this program goes on is the proof.
HARMLESS = {"kill-its-init"}


def main() -> None:
    for name, attempt in ATTEMPTS.items():
        pid = os.fork()
        if pid == 0:
            try:
                attempt()
            except (OSError, ValueError, StopIteration) as refused:
                print(json.dumps([name, f"refused: {refused}"]), flush=True)
            else:
                print(json.dumps([name, "harmless" if name in HARMLESS else "done"]), flush=True)
            os._exit(0)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
