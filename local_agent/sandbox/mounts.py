"""The files that a workload sees: a root folder of its own, with what it needs and nothing else.

Runs in a mount namespace of its own. Everything is at the path that it has on the machine.
"""

from __future__ import annotations

import os

from local_agent.sandbox import memory_files, system_calls
from local_agent.sandbox.system_calls import (
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_RDONLY,
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_REC,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SYSTEM = (
    "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/usr", "/etc", "/opt", "/nix", "/snap",
    "/gnu", "/sys",
    # What /etc/resolv.conf and /etc/ssl of some distributions lead to.
    "/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager", "/var/lib/ca-certificates",
)  # fmt: skip
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty")
SHARED = ("/tmp", "/var/tmp", "/dev/shm")
"""A workload has its own of these; without namespaces they are everybody's, and it has them too."""
_SECRETS = "mode=0700,size=16m"
"""More than a component can be given; what is not written takes no memory."""
SHARED_MEMORY_BYTES = 64 * 2**20
"""As in a Docker container."""


def enter(
    root: str,
    *,
    hidden: str,
    readable: Sequence[str],
    writable: Sequence[str],
    program_folders: Sequence[str],
    program_files: Sequence[str],
    mapped: Sequence[tuple[str, int]],
    tmp: str,
    accounts: tuple[str, str],
    secrets: str | None,
    secret_files: Mapping[str, str],
    owner: int | None,
) -> None:
    """Build a root folder at *root*, an empty folder, and enter it.

    *hidden* is a folder of which nothing is seen but what is named here, also below /opt or /usr.
    *readable*, *writable* and *mapped* (with the descriptor of a user namespace) are folders and
    files. *program_folders* and *program_files* lie in a writable folder, and cannot be renamed or
    replaced there: the folders, which are named outer before inner, take new files, the files are
    read-only. *tmp* is bound at /tmp and /var/tmp; *accounts* are the texts of passwd and group.
    *secrets* is a folder in memory, with *secret_files* for the eyes of *owner*, or of our user.
    """
    system_calls.mount("none", "/", None, MS_REC | MS_PRIVATE)
    system_calls.mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=1m")
    for path in (*SYSTEM, *DEVICES):
        _show(root, path)
    if os.path.isdir(root + hidden):
        flags = MS_NOSUID | MS_NODEV
        system_calls.mount("tmpfs", root + hidden, "tmpfs", flags, "mode=0755,size=1m")
    for target in ("/tmp", "/var/tmp"):
        _bind(tmp, _place(root, target, is_folder=True))
    for path in (*readable, *writable, *program_folders, *program_files):
        _show(root, path)
    for path, userns in mapped:
        system_calls.mount_mapped(path, _place(root, path, is_folder=True), userns)
    for target in ("/proc", "/dev/pts", "/dev/shm"):
        _place(root, target, is_folder=True)
    _write_accounts(root, accounts)
    if secrets is not None:
        _write_secrets(_place(root, secrets, is_folder=True), secret_files, owner)
    _link(root, "/dev")
    read_only = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID
    system_calls.set_mount(root, to_set=read_only, recursive=True)
    for path in ("/tmp", "/var/tmp", *writable, *program_folders, *(path for path, _ in mapped)):
        system_calls.set_mount(root + path, to_clear=MOUNT_ATTR_RDONLY)
    _mount_kernel_folders(root)
    system_calls.enter_root(root)


def _mount_kernel_folders(root: str) -> None:
    quiet = MS_NOSUID | MS_NOEXEC
    system_calls.mount("proc", root + "/proc", "proc", quiet | MS_NODEV)
    system_calls.mount("devpts", root + "/dev/pts", "devpts", quiet, "newinstance,ptmxmode=0666")
    size = f"size={SHARED_MEMORY_BYTES},mode=1777"
    system_calls.mount("tmpfs", root + "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, size)


def _show(root: str, path: str) -> None:
    """Bind *path* at its place below *root*; a link of the system stays one; absent: nothing."""
    if os.path.islink(path) and path in SYSTEM:
        os.symlink(os.readlink(path), root + path)
    elif os.path.exists(path):
        _bind(path, _place(root, path, is_folder=os.path.isdir(path)))


def _bind(source: str, target: str) -> None:
    system_calls.mount(source, target, None, MS_BIND | MS_REC)


def _place(root: str, path: str, *, is_folder: bool) -> str:
    """Return a place below *root* to mount on, made where there is none."""
    target = root + path
    if is_folder:
        os.makedirs(target, mode=0o755, exist_ok=True)
    elif not os.path.lexists(target):
        os.makedirs(os.path.dirname(target), mode=0o755, exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o444))
    return target


def _write_secrets(folder: str, files: Mapping[str, str], owner: int | None) -> None:
    """Mount memory at *folder*, and write *files* there; it is made read-only with the rest."""
    flags = MS_NOSUID | MS_NODEV | MS_NOEXEC
    try:
        system_calls.mount("tmpfs", folder, "tmpfs", flags, f"{_SECRETS},noswap")
    except OSError:  # a kernel before 6.4, or no root
        system_calls.mount("tmpfs", folder, "tmpfs", flags, _SECRETS)
    memory_files.write(folder, files, owner)


def _write_accounts(root: str, accounts: tuple[str, str]) -> None:
    """Lay passwd and group of our own over those of the machine: programs look up their user."""
    for name, content in zip(("passwd", "group"), accounts, strict=True):
        place = _place(root, f"/.{name}", is_folder=False)
        with open(place, "wb") as file:
            file.write(os.fsencode(content))
        if os.path.exists(f"/etc/{name}"):
            _bind(place, f"{root}/etc/{name}")


def _link(root: str, dev: str) -> None:
    """Make the links that programs expect in /dev."""
    for name, target in (
        ("ptmx", "pts/ptmx"), ("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"), ("stderr", "/proc/self/fd/2"),
    ):  # fmt: skip
        os.symlink(target, f"{root}{dev}/{name}")
