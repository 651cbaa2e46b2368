"""The control groups of a cluster: below one of its own in every hierarchy of this machine."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from shared.kernel.clock import Clock

ROOT: Final = Path("/sys/fs/cgroup")
_CPUSET: Final = ("cpuset.cpus", "cpuset.mems")
_SHARES: Final = {"cpu.shares": "16384", "cpu.weight": "1600"}
"""Of the processors, in version 1 and 2: as sixteen processes of this machine. A new group counts
as one, so all pods of a cluster together would wait beside whatever else runs here."""
_GONE_WITHIN_S: Final = 5.0
_POLL_INTERVAL_S: Final = 0.05


def make(group: str) -> None:
    """Make *group*, such as `rtk7/node1`, in every hierarchy, with all that its parents have."""
    for hierarchy in _hierarchies():
        parent = hierarchy
        for part in Path(group).parts:
            _pass_controllers(parent)
            folder = parent / part
            folder.mkdir(exist_ok=True)
            folder.chmod(0o755)  # another user's kubelet (cAdvisor) looks into each, or ends
            for name in _CPUSET:  # in version 1 a new group has none, and takes no process
                if (folder / name).exists() and not (folder / name).read_text().strip():
                    (folder / name).write_text((parent / name).read_text())
            parent = folder
        for name, share in _SHARES.items():
            if (of_cluster := hierarchy / Path(group).parts[0] / name).exists():
                of_cluster.write_text(share)


async def remove(group: str, clock: Clock) -> bool:
    """Remove *group* with all below it, once its processes have ended; return whether it went."""
    deadline_s = clock.monotonic_s() + _GONE_WITHIN_S
    while not _remove(group):
        if clock.monotonic_s() > deadline_s:
            return False
        await clock.sleep(_POLL_INTERVAL_S)
    return True


def _remove(group: str) -> bool:
    for hierarchy in _hierarchies():
        for folder, _, _ in os.walk(hierarchy / group, topdown=False):
            with suppress(OSError):  # a process of it is about to end
                Path(folder).rmdir()
    return not any((hierarchy / group).exists() for hierarchy in _hierarchies())


def _hierarchies() -> Iterator[Path]:
    for folder in (ROOT, *sorted(ROOT.glob("*"))):
        if (folder / "cgroup.procs").exists() and os.path.ismount(folder):
            yield folder


def _pass_controllers(parent: Path) -> None:
    """Let the children of a group of ours use what it has; version 2 only."""
    control = parent / "cgroup.subtree_control"
    if control.exists() and not os.path.ismount(parent):
        names = (parent / "cgroup.controllers").read_text().split()
        control.write_text(" ".join(f"+{name}" for name in names))
