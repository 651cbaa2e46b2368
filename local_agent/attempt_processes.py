"""The processes of attempts from inside: started as instances of a tenant are, with a secret each.

They run `sandbox/attempts.py`, and end with this agent.

    <site>/attempts/attempt-<random>/    as an instance's folder, while its process runs
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import psutil

from local_agent.artifacts import Artifacts, UnpackedArtifact
from local_agent.confined_command import end_command, end_commands
from local_agent.instance_folder import InstanceFolder, link_python
from local_agent.observation import Unreadable
from local_agent.sandbox import attempts
from local_agent.secret_values import SecretValues
from local_agent.state_files import InstanceRecord, SiteFolder
from shared.connections.loopback_ports import free_port
from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy
from shared.kernel.ids import EnvironmentId, ModuleId, TenantId
from shared.persistence.file_trees import remove_tree
from shared.persistence.plain_files import read_plain
from shared.surfaces.capabilities import Capabilities, Feature
from shared.surfaces.isolation_attempts import said_by
from shared.surfaces.spec import RevisionSpec, SurfaceComponent

_FOLDER: Final = "attempts"
_PREFIX: Final = "attempt-"
_PROGRAM: Final = "attempts.py"
_NO_ARTIFACT: Final = f"sha256:{0:064}"
"""What it runs was not uploaded."""
_MODULE: Final = ModuleId("module-isolation-proof")
_WITHIN_S: Final = 5.0
"""Of each of the two processes; with the turn less than a caller waits."""
_LOOK_S: Final = 0.02
_ANSWER_MAX: Final = 2**16


@dataclass(frozen=True)
class ConfinedProcess:
    """A confined process, and its folder."""

    folder: Path
    pid: int

    @property
    def user(self) -> int | None:
        """The user that its sandbox gave it; None: ours."""
        order = json.loads(read_plain(self.folder / "order.json"))
        user: int | None = (order["sandbox"] or {}).get("user")
        return user

    def output(self) -> str:
        return read_plain(self.folder / "output.log", at_most=_ANSWER_MAX).decode(errors="replace")

    def await_kept(self) -> None:
        """Wait until this neighbour has made what is its own.

        Raises:
            Unreadable: it does not.
        """
        process = psutil.Process(self.pid)
        for _ in range(int(_WITHIN_S / _LOOK_S)):
            if (self.folder / "home" / attempts.KEPT).exists():
                return
            with suppress(psutil.TimeoutExpired):
                process.wait(_LOOK_S)
                raise Unreadable(
                    f"the process that stands for another tenant ended: {said_by(self.output())}"
                )
        raise Unreadable(
            f"the process that stands for another tenant was not ready within {_WITHIN_S:.0f} s"
        )

    def wait(self) -> int | None:
        """Return its exit code; None where it does not end."""
        with suppress(psutil.TimeoutExpired):
            return psutil.Process(self.pid).wait(_WITHIN_S)
        return None


class ConfinedProcesses:
    """Starts of the program in the surface in *root*."""

    def __init__(
        self,
        root: Path,
        artifacts: Artifacts,
        capabilities: Capabilities,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._root = root
        self._artifacts = artifacts
        self._capabilities = capabilities
        self._clock = clock
        self._entropy = entropy

    @contextmanager
    def folder(self, site: SiteFolder) -> Iterator[Path]:
        """Yield a new folder for one start, and end and remove what is there afterwards."""
        folder = site.path / _FOLDER / f"{_PREFIX}{self._entropy.uuid().hex}"
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            end_command(folder)
            remove_tree(folder)

    def own_port(self) -> int | None:
        """Return a port that a process may have of its own; None where none has one."""
        has_ports = self._capabilities.supports(Feature.OWN_PORTS)
        return free_port(self._entropy, set()) if has_ports else None

    def start(
        self, folder: Path, spec: RevisionSpec, secret: str, argument: str = ""
    ) -> ConfinedProcess:
        """Start the program in *folder* as an instance of *spec* is started, with its *secret*."""
        program = self._root / "tools" / "attempts"
        program.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(attempts.__file__, program / _PROGRAM)
        unpacked = UnpackedArtifact(program, False, (_PROGRAM,), "")
        instance = InstanceFolder(folder)
        instance.prepare(spec, unpacked, self._artifacts)
        command = (*spec.command, argument) if argument else spec.command
        record = InstanceRecord(
            id=folder.name,
            revision=spec.revision,
            token=folder.name,
            port=self.own_port(),
            started_at=self._clock.now(),
        )
        pid = instance.start(
            replace(spec, command=command), record, unpacked, {},
            SecretValues(files={attempts.SECRET: secret}), link_python(self._root / "tools"),
            parent=os.getpid(),
        )  # fmt: skip
        return ConfinedProcess(folder, pid)


def end_processes(site: SiteFolder) -> None:
    """End the processes in *site* that an earlier agent left, and remove their folders."""
    end_commands(site.path / _FOLDER, _PREFIX)


def process_spec(site: SiteFolder, tenant: TenantId, asked: str, marker: str = "") -> RevisionSpec:
    """Return what an instance of *tenant* would be that has the program for its release."""
    component = SurfaceComponent(EnvironmentId(site.path.name), tenant, _MODULE)
    return RevisionSpec(
        component=component,
        revision=1,
        version="1",
        artifact=_NO_ARTIFACT,
        command=("python", "-I", _PROGRAM),
        environ={attempts.ASKED: asked, "NEIGHBOUR": marker},
    )
