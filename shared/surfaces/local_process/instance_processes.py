"""The processes of one component's instances: find, start, end."""

from pathlib import Path

from shared.kernel.ids import ServiceId
from shared.surfaces.local_process import processes
from shared.surfaces.local_process.artifacts import UnpackedArtifact
from shared.surfaces.local_process.instance_folder import InstanceFolder, prune_outputs
from shared.surfaces.local_process.processes import ProcessIdentity
from shared.surfaces.local_process.state_files import InstanceRecord, SiteFolder
from shared.surfaces.spec import RevisionSpec


class InstanceProcesses:
    """Knows which processes this host spawned; others are known by their claims."""

    def __init__(self, site: SiteFolder, service: ServiceId) -> None:
        self._site = site
        self._service = service
        self._spawned: dict[str, int] = {}

    def folder(self, instance: str) -> InstanceFolder:
        return InstanceFolder(self._site.instances(self._service) / instance)

    def find(self, record: InstanceRecord) -> ProcessIdentity | None:
        """Return the live process of that start; None when it is dead or never existed.

        A start without a claim, which this host did not spawn, is made void.
        """
        folder = self.folder(record.id)
        identity = folder.identity(record.token)
        if identity is not None:
            return identity if processes.is_alive(identity) else None
        pid = self._spawned.get(record.token)
        if pid is not None:
            # This host spawned it; the launcher takes a few milliseconds to write the claim.
            if processes.reap(pid) is None:
                return ProcessIdentity(pid, 0, processes.boot(), record.token)
            del self._spawned[record.token]
        if record.retry_at is None and not processes.void_claim(folder.claim(record.token)):
            return self.find(record)
        return None

    def start(
        self, spec: RevisionSpec, record: InstanceRecord, unpacked: UnpackedArtifact, tools: Path
    ) -> None:
        """Spawn the process of *record*, which is on disk already: no process is ever unknown."""
        folder = self.folder(record.id)
        self._spawned[record.token] = folder.start(spec, record, unpacked, tools)

    def end(self, record: InstanceRecord) -> None:
        """Kill what is left of that start in its session, and collect its exit code."""
        identity = self.folder(record.id).identity(record.token)
        if identity is not None:
            processes.kill(identity)
            processes.reap(identity.pid)
        self._spawned.pop(record.token, None)

    def remove(self, record: InstanceRecord) -> None:
        """End that start, and delete the instance's files except its output."""
        self.end(record)
        folder = self.folder(record.id)
        folder.clear()
        prune_outputs(folder.path.parent)
