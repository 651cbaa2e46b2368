"""Looks for values of secrets wherever this machine could have them outside vault and workload."""

import base64
import os
import stat
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from local_agent.process_identity import machine_processes

PART: Final = 16
"""Characters; a longer value may lie in two pages of a database, or in two lines."""
_FILE_MAX_BYTES: Final = 256 * 2**20


@dataclass(frozen=True)
class CanaryValues:
    """What is looked for: the beginning and the end of each line, also in the base64 of all."""

    parts: Sequence[bytes]

    @classmethod
    def of(cls, *values: str) -> "CanaryValues":
        lines = [line for value in values for line in (*value.splitlines(), _base64(value))]
        long_enough = [line for line in lines if len(line) >= PART]
        assert len(long_enough) >= len(values), "a value is too short to be looked for"
        ends = [part for line in long_enough for part in (line[:PART], line[-PART:])]
        # Of every key in PEM, with which secrets of nobody begin too.
        return cls([part.encode() for part in ends if "----" not in part])

    def are_in(self, content: bytes) -> bool:
        return any(part in content for part in self.parts)

    def files(self, folder: Path) -> Iterator[Path]:
        """Yield the files below *folder* that have one."""
        for path in sorted(folder.rglob("*")):
            with suppress(OSError):
                found = path.lstat()
                if stat.S_ISREG(found.st_mode):
                    assert found.st_size <= _FILE_MAX_BYTES, path
                    if self.are_in(path.read_bytes()):
                        yield path

    def processes(self, *, but: Collection[int]) -> Iterator[str]:
        """Yield what of a process of this machine shows one: its command or its environ."""
        for process in machine_processes():
            if process.pid in but:
                continue
            for name in ("cmdline", "environ"):
                with suppress(OSError):
                    if self.are_in(Path(f"/proc/{process.pid}/{name}").read_bytes()):
                        yield f"/proc/{process.pid}/{name}"


def core_limit(pid: int) -> int:
    """Return how many bytes of a core the process *pid* may leave."""
    limits = Path(f"/proc/{pid}/limits").read_text()
    (line,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
    soft = line.split()[4]
    return -1 if soft == "unlimited" else int(soft)


def cores(folder: Path) -> list[Path]:
    """Return the files in *folder* that are cores by their content (ELF, type 4)."""
    found = []
    for entry in os.scandir(folder):
        if entry.is_file(follow_symlinks=False):
            with Path(entry.path).open("rb") as file:
                head = file.read(18)
            if head[:4] == b"\x7fELF" and head[16:18] == b"\x04\x00":
                found.append(Path(entry.path))
    return found


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode().rstrip("=")
