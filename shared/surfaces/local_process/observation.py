"""What the journal and the processes together say of a component: read by any host."""

from shared.surfaces.local_process import processes
from shared.surfaces.local_process.envoy_config import host_name
from shared.surfaces.local_process.instances import InstanceFolder
from shared.surfaces.local_process.processes import Identity
from shared.surfaces.local_process.state_files import (
    ComponentRecord,
    DesiredComponent,
    DesiredRevision,
    DesiredSite,
    InstanceRecord,
    SiteFolder,
)
from shared.surfaces.observed_state import Instance, LiveRevision, Phase


def live_revisions(folder: SiteFolder, wanted: DesiredComponent) -> tuple[LiveRevision, ...]:
    """Return the revisions of *wanted* with their instances, each process looked at just now.

    Raises:
        CorruptStateFile.
    """
    running = folder.running(wanted.component.service) or ComponentRecord(wanted.component)
    return tuple(
        _revision(
            folder,
            wanted,
            revision,
            [started for started in running.instances if started.revision == number],
            running.problems.get(number, ""),
        )
        for number, revision in sorted(wanted.revisions.items())
    )


def living(folder: SiteFolder, wanted: DesiredComponent) -> list[tuple[InstanceRecord, Identity]]:
    """Return the instances of *wanted* whose process lives.

    Raises:
        CorruptStateFile.
    """
    running = folder.running(wanted.component.service) or ComponentRecord(wanted.component)
    found = []
    for started in running.instances:
        identity = _identity(folder, wanted, started)
        if started.revision in wanted.revisions and identity and processes.is_alive(identity):
            found.append((started, identity))
    return found


def endpoint(site: DesiredSite, wanted: DesiredComponent) -> str:
    """Return the URL of the component: its prefix of the public port, else its own host name."""
    prefixes = {r.spec.path_prefix for r in wanted.revisions.values()} - {None}
    if prefixes:
        prefix = min(str(prefix) for prefix in prefixes)
        return f"http://127.0.0.1:{site.public_port}{prefix}"
    return f"http://{host_name(wanted.component)}:{site.public_port}/"


def _identity(
    folder: SiteFolder, wanted: DesiredComponent, started: InstanceRecord
) -> Identity | None:
    place = InstanceFolder(folder.place(wanted.component.service, started.id))
    return place.identity(started.token)


def _revision(
    folder: SiteFolder,
    wanted: DesiredComponent,
    revision: DesiredRevision,
    started: list[InstanceRecord],
    problem: str,
) -> LiveRevision:
    spec = revision.spec
    instances = tuple(_instance(folder, wanted, one) for one in started)
    ready = sum(instance.is_ready for instance in instances)
    phase = Phase.READY if ready >= spec.replicas and not problem else Phase.STARTING
    if revision.removed_at is not None:
        phase = Phase.DRAINING
    reasons = {instance.reason for instance in instances if instance.reason}
    reason = "BadArtifact" if problem else min(reasons, default="")
    return LiveRevision(
        spec.revision,
        spec.version,
        spec.artifact,
        spec.replicas,
        phase,
        instances,
        spec.unit,
        reason if phase is Phase.STARTING else "",
        problem,
    )


def _instance(folder: SiteFolder, wanted: DesiredComponent, started: InstanceRecord) -> Instance:
    identity = _identity(folder, wanted, started)
    is_alive = identity is not None and processes.is_alive(identity)
    return Instance(
        id=started.id,
        revision=started.revision,
        is_ready=started.is_ready and is_alive,
        is_live=started.is_live and is_alive,
        started_at=started.started_at,
        restarts=started.restarts,
        pid=identity.pid if identity and is_alive else None,
        address=f"127.0.0.1:{started.port}" if started.port is not None else None,
        reason=started.reason or ("" if is_alive else "Exited"),
    )
