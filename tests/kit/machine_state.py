"""What a program may leave on a machine: links, mounts, control groups, and settings it changed."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

_SETTINGS: Final = (
    "vm/*", "kernel/panic*", "kernel/keys/*", "net/ipv4/ip_forward", "net/ipv4/conf/all/*",
    "net/ipv4/conf/default/*", "net/bridge/*", "net/netfilter/nf_conntrack_*max",
)  # fmt: skip


def machine_state() -> frozenset[str]:
    """Return a word for each thing that is on this machine, to be compared with a later look."""
    links = (f"link {path.name}" for path in Path("/sys/class/net").iterdir())
    mounted = Path("/proc/self/mountinfo").read_text().splitlines()
    mounts = (f"mount {line.split()[4]}" for line in mounted)
    groups = (f"group {path}" for path in Path("/sys/fs/cgroup").glob("*/rtk*"))
    settings = (f"setting {name} = {value}" for name, value in _settings().items())
    return frozenset([*links, *mounts, *groups, *settings])


def left_by(network: str, before: frozenset[str]) -> set[str]:
    """Return what differs from *before*; what other clusters have than *network* does not count."""
    differs = machine_state() ^ before
    return {thing for thing in differs if "rtk" not in thing or network in thing}


def _settings() -> Mapping[str, str]:
    return dict(_read())


def _read() -> Iterator[tuple[str, str]]:
    for pattern in _SETTINGS:
        for path in Path("/proc/sys").glob(pattern):
            with suppress(OSError):  # some can only be written
                yield str(path), path.read_text().strip()
