"""The sandbox of one start: its user, what it sees, what it may write.

The parts that act are `local_agent.sandbox`, in the process that is started.
"""

import hashlib
import os
import stat
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from pathlib import Path
from shlex import quote
from typing import Final

from local_agent.memory_place import state_of
from local_agent.sandbox import landlock, mounts
from local_agent.sandbox.order import SandboxOrder
from local_agent.trials import status_of_trial, trial_folder

USERS_FIRST: Final = 1_879_048_192
USERS: Final = 2**28
"""A range that systemd's conventions leave free (systemd.io/UIDS-GIDS)."""
READ_ONLY_MOUNTS_MAX: Final = 1000
"""Each takes about 20 µs at the start and again at the end."""
VERSION_MANAGERS: Final = (
    ".pyenv/versions", ".local/share/uv/python", ".nvm/versions", ".local/share/fnm/node-versions",
    ".volta/tools", ".asdf/installs", ".local/share/mise/installs", ".rbenv/versions",
    ".sdkman/candidates", ".bun/bin", ".deno/bin", ".cargo/bin", ".dotnet", "go/bin", ".local/bin",
)  # fmt: skip
"""Where version managers put programs in the home folder of whoever runs the platform. A fixed
list: a tenant chooses the command, and so must not choose what can be seen."""
_MAPS_OWNERS: Final[dict[int, bool]] = {}
"""Whether a file system maps owners, by its device."""


@dataclass(frozen=True)
class Means:
    """What is in force on this machine; `landlock` is its version, 0 for none."""

    is_namespaced: bool
    landlock: int
    filters_calls: bool = False

    @property
    def has_own_user(self) -> bool:
        return self.is_namespaced and os.geteuid() == 0

    @property
    def has_own_ports(self) -> bool:
        return self.landlock >= landlock.PORTS_ABI and self.filters_calls


def sandbox_order(
    in_force: Means,
    folder: Path,
    token: str,
    *,
    owned: Sequence[Path],
    program: Path | None = None,
    given: Sequence[Path] = (),
    readable: Iterable[Path] = (),
    data: Sequence[Path] = (),
    secrets: Path | None = None,
    port: int | None = None,
    has_network: bool = True,
    parent: int | None = None,
) -> SandboxOrder | None:
    """Return the sandbox of the start *token* in *folder*, which has `root` and `tmp`.

    *owned* are fresh folders, given to the user of the start. *program* is a folder whose files
    stay as they are, and which takes others. *given* are fresh folders with files for the eyes of
    this start alone, which it may not change; *secrets* is the place of such a folder in memory.
    *data* outlives the start: its files are those of one user on disk, the same for all data of an
    environment, and the workload's user for it. Where the file system cannot map owners, the
    workload runs as that user. With *parent*, the pid of the process that starts it, it ends when
    the thread ends that did. None where this system has no sandboxes.
    """
    if sys.platform != "linux":
        return None
    user, mapped = _user_and_mapped(in_force, folder, token, data)
    if user is not None:
        files = (file for place in given for file in (place, *place.iterdir()))
        for path in (*owned, *files):
            os.chown(path, user, user, follow_symlinks=False)
    programs = [] if program is None else [program]
    writable = [*owned, *programs, *([] if mapped else data)]
    program_folders, program_files = (
        _read_only_mounts(program) if program and user is None else ([], [])
    )
    number, group = (os.getuid(), os.getgid()) if user is None else (user, user)
    return SandboxOrder(
        parent=parent,
        is_namespaced=in_force.is_namespaced,
        has_network=has_network,
        user=user,
        root=str(folder / "root"),
        hidden=str(state_of(folder)),
        readable=[str(path) for path in (*_python(), *_version_managers(), *given, *readable)],
        writable=[str(path) for path in writable],
        program_folders=program_folders,
        program_files=program_files,
        mapped=mapped,
        tmp=str(folder / "tmp"),
        accounts=(
            f"root:x:0:0::/:/bin/sh\napp:x:{number}:{group}::{folder / 'home'}:/bin/sh\n",
            f"root:x:0:\napp:x:{group}:\n",
        ),
        secrets=None if secrets is None else str(secrets),
        landlock=in_force.landlock,
        port=port,
        filters_calls=in_force.filters_calls,
    )


def _user_and_mapped(
    in_force: Means, folder: Path, token: str, data: Sequence[Path]
) -> tuple[int | None, list[tuple[str, int]]]:
    """Return the user of the start *token*, and each of *data* with the owner it is mapped from."""
    if not in_force.has_own_user:
        return None, []
    mapped = [(str(path), _owner_of(path)) for path in data]
    if mapped and not _maps_owners(in_force, folder):
        return mapped[0][1], []
    return _user_of(token), mapped


def unfit_place(state: Path, in_force: Means) -> str | None:
    """Return why no workload could start from the state folder *state*; None where they can."""
    if not in_force.is_namespaced:
        return None
    there = state.resolve()
    for place in (Path("/dev"), Path("/proc"), *_python(), *_version_managers()):
        if there.is_relative_to(place) or there.is_relative_to(place.resolve()):
            return f"{state} is below {place}, which every workload sees: take another place"
    if in_force.has_own_user and any(there.is_relative_to(path) for path in mounts.SYSTEM):
        for folder in there.parents:
            if not folder.stat().st_mode & stat.S_IXOTH:
                return f"{folder} is closed to the users of workloads: take another place"
    return None


def _read_only_mounts(program: Path) -> tuple[list[str], list[str]]:
    """Return the folders, outer before inner, and the files of *program*, each to be a mount.

    Of a large program what is at its top, as files: then its folders take no new ones.
    """
    folders: list[str] = []
    files: list[str] = []
    for folder, inner, names in os.walk(program):
        folders += [f"{folder}/{name}" for name in inner]
        files += [f"{folder}/{name}" for name in names]
        if len(folders) + len(files) > READ_ONLY_MOUNTS_MAX:
            return [], [str(path) for path in program.iterdir()]
    return folders, files


def share_program(folder: Path) -> None:
    """Let every user read the program in *folder*, and write new files beside its files only.

    Its folders are sticky, as /tmp is: whoever may write in them cannot replace what is root's.
    """
    for name, _, files in os.walk(folder):
        Path(name).chmod(0o1777)
        for file in files:
            path = Path(name, file)
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode):
                path.chmod(0o755 if mode & stat.S_IXUSR else 0o644)


def _user_of(token: str) -> int:
    """Return the user of a start: derived from its token, which is random, and of no process."""
    taken = set()
    for entry in os.scandir("/proc"):
        with suppress(OSError):
            taken.add(entry.stat().st_uid)
    attempts = (_user_from(f"{token}/{attempt}") for attempt in count())
    return next(user for user in attempts if user not in taken)


def _user_from(text: str) -> int:
    return USERS_FIRST + int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) % USERS


def _owner_of(data: Path) -> int:
    """Return the owner of *data* on disk; the infrastructure makes the folder as root."""
    owner = data.lstat().st_uid
    if owner == os.geteuid():
        owner = _user_from(str(data.parent))
        os.chown(data, owner, owner, follow_symlinks=False)
    return owner


def _maps_owners(in_force: Means, folder: Path) -> bool:
    """Return whether the file system of *folder* maps owners; the first call for it tries it."""
    device = folder.stat().st_dev
    if device not in _MAPS_OWNERS:
        _MAPS_OWNERS[device] = _tries_to_map(in_force, folder)
    return _MAPS_OWNERS[device]


def _tries_to_map(in_force: Means, folder: Path) -> bool:
    with trial_folder(folder) as trial:
        (trial / "data").mkdir()
        owner = _owner_of(trial / "data")
        order = sandbox_order(in_force, trial, "trial", owned=[trial / "tmp"])
        assert order is not None
        order.mapped = [(str(trial / "data"), owner)]
        written = trial / "data" / "file"
        code = status_of_trial(trial, f"echo kept > {quote(str(written))}", order)
        return code == 0 and written.lstat().st_uid == owner


@lru_cache(maxsize=1)
def _python() -> tuple[Path, ...]:
    """Return the installation of the Python that workloads are given."""
    return (Path(sys.base_prefix),)


@lru_cache(maxsize=1)
def _version_managers() -> tuple[Path, ...]:
    home = Path(os.path.expanduser("~"))  # noqa: PTH111  pathlib raises where there is none
    paths = (home / name for name in VERSION_MANAGERS)
    return tuple(path for path in paths if path.is_dir())
