"""The system calls of a sandbox that Python does not offer, by ctypes. Linux only.

Standard library only: the launcher imports it. Numbers from 424 on are the same on every machine.
"""

import ctypes
import errno
import os

CLONE_NEWNS = 0x00020000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MNT_DETACH = 2
MOUNT_ATTR_RDONLY = 1
MOUNT_ATTR_NOSUID = 2
MOUNT_ATTR_IDMAP = 0x00100000
PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
_PR_SET_SECCOMP = 22
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
_SIGCHLD = 17
_CLONE = {"x86_64": 56, "aarch64": 220, "riscv64": 220}
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41}
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_KEYCTL = {"x86_64": 250, "aarch64": 219, "riscv64": 219}
_SECCOMP_MODE_FILTER = 2
_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000
_AT_EMPTY_PATH = 0x1000
_MOVE_MOUNT_F_EMPTY_PATH = 4
_LIBC = ctypes.CDLL(None, use_errno=True)


class _MountAttributes(ctypes.Structure):
    _fields_ = (
        ("set", ctypes.c_uint64),
        ("clear", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns", ctypes.c_uint64),
    )


class _Ruleset(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


class _PortRule(ctypes.Structure):
    _fields_ = (("allowed", ctypes.c_uint64), ("port", ctypes.c_uint64))


class _Filter(ctypes.Structure):
    _fields_ = (("instructions", ctypes.c_ushort), ("program", ctypes.c_char_p))


def _checked(result: int, purpose: str) -> int:
    if result < 0:
        problem = ctypes.get_errno()
        raise OSError(problem, f"{purpose}: {os.strerror(problem)}")
    return result


def _call(purpose: str, number: int, *arguments: object) -> int:
    """Make one system call; whole numbers are passed as long, as the kernel reads them."""
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    return _checked(_LIBC.syscall(ctypes.c_long(number), *words), purpose)


def _number(numbers: dict[str, int], purpose: str) -> int:
    machine = os.uname().machine
    if machine not in numbers:
        raise OSError(errno.ENOSYS, f"{purpose}: not known on {machine}")
    return numbers[machine]


def clone(flags: int) -> int:
    """Fork into new namespaces: 0 in the child, the child's pid in the parent."""
    number = _number(_CLONE, "clone")
    return _call("a process in namespaces of its own", number, flags | _SIGCHLD, 0, 0, 0, 0)


def prctl(option: int, value: int) -> None:
    _checked(_LIBC.prctl(option, ctypes.c_ulong(value), 0, 0, 0), f"prctl {option}")


def takes_filter() -> bool:
    """Return whether this kernel has filters of system calls: it looks where we point to, at 0."""
    result = _LIBC.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_MODE_FILTER), None, None, None)
    return bool(result < 0 and ctypes.get_errno() == errno.EFAULT)


def set_filter(program: bytes) -> None:
    """Filter the system calls of this process by *program*, instructions of 8 bytes each."""
    program_of = ctypes.byref(_Filter(len(program) // 8, program))
    mode = ctypes.c_ulong(_SECCOMP_MODE_FILTER)
    _checked(_LIBC.prctl(_PR_SET_SECCOMP, mode, program_of, None, None), "a filter of system calls")


def join_new_session_keyring() -> None:
    """Let go of the keys of the session that this process was started in."""
    _call(
        "a keyring of its own", _number(_KEYCTL, "keyctl"), 1, None
    )  # KEYCTL_JOIN_SESSION_KEYRING


def mount(source: str, target: str, kind: str | None, flags: int, options: str = "") -> None:
    names = [None if text is None else os.fsencode(text) for text in (source, target, kind)]
    result = _LIBC.mount(*names, ctypes.c_ulong(flags), os.fsencode(options) or None)
    _checked(result, f"mount {target}")


def set_mount(target: str, *, to_set: int = 0, to_clear: int = 0, recursive: bool = False) -> None:
    """Change the attributes of the mount at *target*, or of all mounts below it too."""
    attributes = _MountAttributes(to_set, to_clear, 0, 0)
    _call(
        f"mount attributes of {target}", _MOUNT_SETATTR, _AT_FDCWD, os.fsencode(target),
        _AT_RECURSIVE if recursive else 0, ctypes.byref(attributes), ctypes.sizeof(attributes),
    )  # fmt: skip


def mount_mapped(source: str, target: str, userns: int) -> None:
    """Bind *source* at *target*, the owners of its files mapped as *userns* says, a descriptor.

    See mount_setattr(2), MOUNT_ATTR_IDMAP.
    """
    flags = 1 | os.O_CLOEXEC  # OPEN_TREE_CLONE
    tree = _call(f"open {source}", _OPEN_TREE, _AT_FDCWD, os.fsencode(source), flags)
    try:
        attributes = _MountAttributes(MOUNT_ATTR_IDMAP, 0, 0, userns)
        _call(
            f"map the owners of {source}", _MOUNT_SETATTR, tree, b"",
            _AT_EMPTY_PATH, ctypes.byref(attributes), ctypes.sizeof(attributes),
        )  # fmt: skip
        _call(
            f"mount {target}", _MOVE_MOUNT, tree, b"", _AT_FDCWD, os.fsencode(target),
            _MOVE_MOUNT_F_EMPTY_PATH,
        )  # fmt: skip
    finally:
        os.close(tree)


def enter_root(folder: str) -> None:
    """Make *folder*, a mount, the root folder, and let go of the root that was."""
    os.chdir(folder)
    # The old root is mounted over the new one, and its detaching lays the new one bare again.
    _call("pivot_root", _number(_PIVOT_ROOT, "pivot_root"), b".", b".")
    _checked(_LIBC.umount2(b".", MNT_DETACH), "umount of the old root")
    os.chdir("/")


def landlock_abi() -> int:
    """Return the version of Landlock that this kernel has in force; 0 for none."""
    return max(0, int(_LIBC.syscall(ctypes.c_long(_LANDLOCK_CREATE), None, ctypes.c_long(0), 1)))


def landlock_ruleset(abi: int, files: int, net: int, scoped: int) -> int:
    """Return a descriptor of an empty ruleset, which denies these accesses but by its rules."""
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8  # noqa: PLR2004  landlock(7), ABI table
    attributes = ctypes.byref(_Ruleset(files, net, scoped))
    return _call("a Landlock ruleset", _LANDLOCK_CREATE, attributes, size, 0)


def landlock_allow_path(ruleset: int, allowed: int, descriptor: int) -> None:
    rule = ctypes.byref(_PathRule(allowed, descriptor))
    _call("a Landlock rule", _LANDLOCK_ADD, ruleset, 1, rule, 0)


def landlock_allow_port(ruleset: int, allowed: int, port: int) -> None:
    rule = ctypes.byref(_PortRule(allowed, port))
    _call("a Landlock rule", _LANDLOCK_ADD, ruleset, 2, rule, 0)


def landlock_restrict(ruleset: int) -> None:
    _call("Landlock", _LANDLOCK_RESTRICT, ruleset, 0)
