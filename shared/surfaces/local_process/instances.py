"""One instance on this machine: its folder, its environment, its process, its output.

work/          where it runs; a fresh copy at each start
home/ tmp/     its own, empty
output.log     stdout and stderr of all its starts, bounded
claim-<token>  who this start is; order.json what it was told
"""

import json
import os
import shutil
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from shared.surfaces.local_process import processes
from shared.surfaces.local_process.artifacts import Artifacts, Unpacked, base_python
from shared.surfaces.local_process.limits import rlimits
from shared.surfaces.local_process.processes import Identity
from shared.surfaces.local_process.state_files import InstanceRecord
from shared.surfaces.spec import RevisionSpec

LOG_BYTES_MAX: Final = 5 * 2**20
"""Twice that is kept: the present file and the one before."""
OUTPUTS_MAX: Final = 20
"""Per component: outputs of removed instances that are kept for whoever asks why."""
_TAIL_BYTES: Final = 2**20


def instance_id(spec: RevisionSpec, number: int) -> str:
    return f"{spec.component.module}-{spec.revision}-{number}"


def number_of(instance: str) -> int:
    return int(instance.rpartition("-")[2])


class InstanceFolder:
    """The folder of one instance; a restart keeps it, removal leaves only the output."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def claim(self, token: str) -> Path:
        return self.folder / f"claim-{token}"

    def identity(self, token: str) -> Identity | None:
        return processes.read_claim(self.claim(token))

    def prepare(self, unpacked: Unpacked, artifacts: Artifacts) -> None:
        """Make the folders new, so that what an earlier start left is gone."""
        self.clear()
        for name in ("home", "tmp"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        artifacts.copy(unpacked, self.folder / "work")

    def start(
        self, spec: RevisionSpec, started: InstanceRecord, unpacked: Unpacked, tools: Path
    ) -> int:
        environ = self._environ(spec, started, unpacked, tools)
        command = [expand(word, environ) for word in spec.command]
        return processes.start(
            self.folder / "order.json",
            token=started.token,
            claim=self.claim(started.token),
            folder=self.folder / "work",
            command=command,
            environ=environ,
            output=self.folder / "output.log",
            limits=rlimits(spec.resources),
        )

    def clear(self) -> None:
        """Take away everything but the output."""
        for name in ("work", "home", "tmp"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        for path in [*self.folder.glob("claim-*"), self.folder / "order.json"]:
            path.unlink(missing_ok=True)

    def bound_output(self) -> None:
        """Move a full output aside. The process appends to the same file and notices nothing."""
        log = self.folder / "output.log"
        try:
            size = log.stat().st_size
        except FileNotFoundError:
            return
        if size > LOG_BYTES_MAX:
            shutil.copyfile(log, self.folder / "output.log.1")
            os.truncate(log, 0)

    def tail(self, lines: int) -> tuple[str, ...] | None:
        """Return the last *lines* of output, None when there never was any."""
        kept: list[str] = []
        for name in ("output.log", "output.log.1"):
            try:
                with (self.folder / name).open("rb") as file:
                    size = file.seek(0, os.SEEK_END)
                    file.seek(max(0, size - _TAIL_BYTES))
                    text = file.read().decode("utf-8", errors="replace")
            except FileNotFoundError:
                if name == "output.log":
                    return None
                continue
            kept = [*text.splitlines(), *kept]
            if len(kept) >= lines:
                break
        return tuple(kept[-lines:]) if lines > 0 else ()

    def _environ(
        self, spec: RevisionSpec, started: InstanceRecord, unpacked: Unpacked, tools: Path
    ) -> dict[str, str]:
        own = {"HOME": str(self.folder / "home"), "TMPDIR": str(self.folder / "tmp")}
        if started.port is not None:
            own["PORT"] = str(started.port)
        path = [str(tools), "/usr/local/bin", "/usr/bin", "/bin"]
        root = self.folder / "work"
        if unpacked.is_wheelhouse:
            root = unpacked.content
            own["VIRTUAL_ENV"] = str(root)
            path.insert(0, str(root / "bin"))
        given = {name: expand(value, own) for name, value in spec.environ.items()}
        return {
            "LANG": "C.UTF-8",
            "PATH": ":".join(path),
            **given,
            **own,
            "RUNTIME_ENVIRONMENT_ID": spec.component.environment,
            "RUNTIME_TENANT_ID": spec.component.tenant,
            "RUNTIME_MODULE_ID": spec.component.module,
            "RUNTIME_INSTANCE_ID": started.id,
            "RUNTIME_RELEASE_REVISION": str(spec.revision),
            "RUNTIME_VERSION": spec.version,
            "RUNTIME_ARTIFACT": spec.artifact,
            "RUNTIME_CONTENT": str(root),
            "RUNTIME_UNIT": json.dumps(dict(spec.unit), sort_keys=True),
        }


def prune_outputs(folder: Path) -> None:
    """Delete the oldest of the removed instances below *folder*, of which only output is left."""
    left = [path for path in folder.glob("*") if not (path / "order.json").exists()]
    for path in sorted(left, key=lambda p: p.stat().st_mtime)[:-OUTPUTS_MAX]:
        shutil.rmtree(path, ignore_errors=True)


def expand(text: str, own: Mapping[str, str]) -> str:
    """Return *text* with `$PORT`, `$HOME` and `$TMPDIR` filled in; other dollars stay."""
    known = {name: own[name] for name in ("PORT", "HOME", "TMPDIR") if name in own}
    return string.Template(text).safe_substitute(known)


def make_tools(folder: Path) -> Path:
    """Return a folder with `python` and `python3` of the machine: no workload sees our packages."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("python", "python3"):
        link = folder / name
        if not link.is_symlink() or str(link.readlink()) != base_python():
            link.unlink(missing_ok=True)
            link.symlink_to(base_python())
    return folder
