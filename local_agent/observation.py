"""The live state of a component, computed from its record and its processes at each read.

A proof comes from the record of the start, the files of it, and the process's own answer.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local_agent import starts
from local_agent.artifacts import Artifacts, content_digest
from local_agent.configuration_files import live_digests
from local_agent.envoy_config import host_name
from local_agent.instance_folder import about, given_secrets
from local_agent.process_identity import ProcessIdentity, is_alive
from local_agent.release_question import ask_release
from local_agent.state_files import (
    DesiredComponent,
    DesiredRevision,
    DesiredSite,
    InstanceRecord,
    SiteFolder,
)
from shared.kernel.clock import Clock
from shared.kernel.ids import ServiceId
from shared.surfaces.configuration import in_force
from shared.surfaces.observed_state import (
    Instance,
    LiveComponent,
    LiveProof,
    LiveRevision,
    Phase,
    live_revision,
)
from shared.surfaces.release_answer import ReleaseUnknown
from shared.surfaces.rules import departures
from shared.surfaces.spec import CONFIGURATION_HASH, ReleaseQuestion, RevisionSpec


class Unreadable(Exception):
    """The live state cannot be read reliably; the message is a sentence for an operator."""


@dataclass(frozen=True)
class StartedProcess:
    """A live process with the folder of its instance, where its start is on record."""

    identity: ProcessIdentity
    folder: Path


def wanted_site(folder: SiteFolder) -> DesiredSite | None:
    """Return the desired site in *folder*; None where there is none, nor anything left of one.

    Raises:
        CorruptStateFile, Unreadable.
    """
    site = folder.site()
    if site is not None and site.is_wanted:
        return site
    if folder.edge.exists():
        raise Unreadable("the site is being deleted")
    return None


def live_component(
    folder: SiteFolder,
    site: DesiredSite,
    desired: DesiredComponent,
    routed: Mapping[ServiceId, Mapping[int, int]],
) -> LiveComponent:
    """Return the component as it is, with the weights that are *routed*; a worker has its own."""
    weights = routed.get(desired.component.service, {}) if desired.has_port else desired.weights
    return LiveComponent(
        desired.component,
        live_revisions(folder, desired),
        weights,
        endpoint(site, desired),
        desired.fence,
    )


def live_revisions(folder: SiteFolder, desired: DesiredComponent) -> tuple[LiveRevision, ...]:
    """Return the revisions of *desired* with their instances; each process is looked up now.

    Raises:
        CorruptStateFile.
    """
    record = folder.record(desired.component)
    return tuple(
        _revision(
            revision,
            [_instance(folder, desired, i) for i in record.instances if i.revision == number],
        )
        for number, revision in sorted(desired.revisions.items())
    )


def live_instances(
    folder: SiteFolder, desired: DesiredComponent
) -> list[tuple[InstanceRecord, StartedProcess]]:
    """Return the instances of *desired* whose process is alive.

    Raises:
        CorruptStateFile.
    """
    live = []
    for instance in folder.record(desired.component).instances:
        identity = _live_identity(folder, desired, instance)
        if instance.revision in desired.revisions and identity:
            folder_of_start = folder.instances(desired.component.service) / instance.id
            live.append((instance, StartedProcess(identity, folder_of_start)))
    return live


async def prove_instance(
    record: InstanceRecord,
    started: StartedProcess,
    spec: RevisionSpec,
    artifacts: Artifacts,
    clock: Clock,
) -> LiveProof:
    """Return the release that the process *started* runs, and its differences from *spec*.

    It is what the agent recorded when it started this process, and the files that it was started
    with, read again: nothing that the process could write or say but its own answer, if one is
    asked for.

    Raises:
        Unreadable: it has ended, its start is not on record, or it does not answer.
    """
    recorded = starts.read_about(started.folder, started.identity.token)
    if recorded is None:
        raise Unreadable(f"{record.id} (pid {started.identity.pid}) has no record of its start")
    # An agent of before 2026-11-28 recorded only for which revision the start was.
    start = {**about(spec), **recorded}
    unpacked = artifacts.find(start["artifact"])
    if unpacked is None:
        raise Unreadable(
            f"{record.id} runs {start['artifact']}, which is not unpacked here to compare with"
        )
    root = unpacked.content if unpacked.is_wheelhouse else started.folder / "work"
    content = await asyncio.to_thread(content_digest, root, unpacked.files)
    release, source = start["release"], "start"
    if spec.release is not None:
        release, source = await _release_of(record, spec.release), "answer"
    asked = "" if spec.configuration is None else spec.configuration.hash
    configured = await asyncio.to_thread(_configuration, started, spec, start["configuration"])
    if not is_alive(started.identity):
        raise Unreadable(f"{record.id} ended during its proof")
    return LiveProof(
        instance=record.id,
        revision=start["revision"],
        artifact=start["artifact"],
        content_digest=content,
        expected_digest=unpacked.digest,
        release=release,
        release_source=source,
        unit={**start["unit"], **({CONFIGURATION_HASH: ""} if configured != asked else {})},
        checked_at=clock.now(),
        departs=departures(
            ("artifact", start["artifact"], spec.artifact),
            ("content", content, unpacked.digest),
            ("release", release, spec.version),
            ("release revision", str(start["revision"]), str(spec.revision)),
            ("unit", dict(start["unit"]), dict(spec.unit)),
            ("configuration", configured, asked),
            *_secrets(start["secrets"], given_secrets(spec)),
        ),
    )


def _configuration(
    started: StartedProcess, spec: RevisionSpec, started_with: Mapping[str, str]
) -> str:
    """Return the hash of the configuration that the process has, or what speaks against it."""
    if spec.configuration is None:
        return ""
    return in_force(spec.configuration, live_digests(started.folder, started_with))


def _secrets(
    started_with: Mapping[str, str], expected: Mapping[str, str]
) -> list[tuple[str, str, str]]:
    """Return a fact for each place of a secret: which version of which was given there."""
    places = sorted({*started_with, *expected})
    return [
        (f"secret in {place}", started_with.get(place, "none"), expected.get(place, "none"))
        for place in places
    ]


def endpoint(site: DesiredSite, desired: DesiredComponent) -> str | None:
    """Return the URL of the component: its prefix of the public port, else its own host name.

    None for a worker.
    """
    if not desired.has_port:
        return None
    prefixes = {r.spec.path_prefix for r in desired.revisions.values()} - {None}
    if prefixes:
        prefix = min(str(prefix) for prefix in prefixes)
        return f"http://127.0.0.1:{site.public_port}{prefix}"
    return f"http://{host_name(desired.component)}:{site.public_port}/"


def _live_identity(
    folder: SiteFolder, desired: DesiredComponent, record: InstanceRecord
) -> ProcessIdentity | None:
    path = folder.instances(desired.component.service) / record.id
    identity = starts.read_claim(starts.claim_file(path, record.token))
    return identity if identity and is_alive(identity) else None


def _revision(revision: DesiredRevision, instances: list[Instance]) -> LiveRevision:
    spec = revision.spec
    ready = sum(instance.is_ready for instance in instances)
    phase = Phase.READY if ready >= spec.replicas else Phase.STARTING
    if revision.removed_at is not None:
        phase = Phase.DRAINING
    reason = min((each.reason for each in instances if each.reason), default="")
    return live_revision(spec, phase, instances, reason if phase is Phase.STARTING else "")


def _instance(folder: SiteFolder, desired: DesiredComponent, record: InstanceRecord) -> Instance:
    identity = _live_identity(folder, desired, record)
    is_alive = identity is not None
    return Instance(
        id=record.id,
        revision=record.revision,
        is_ready=record.is_ready and is_alive,
        is_live=record.is_live and is_alive,
        started_at=record.started_at,
        restarts=record.restarts,
        pid=identity.pid if identity else None,
        address=f"127.0.0.1:{record.port}" if record.port is not None else None,
        reason=record.reason or ("" if is_alive else "Exited"),
        message="" if record.is_ready else record.message,
        restarted_at=record.restarted_at,
        exit_code=record.exit_code,
        exit_reason=record.exit_reason,
        failed_starts=record.failed_starts,
        is_resuming=record.is_resuming,
    )


async def _release_of(record: InstanceRecord, question: ReleaseQuestion) -> str:
    if record.port is None:
        raise Unreadable(f"{record.id} has no port at which to ask for its release")
    try:
        return await ask_release(record.port, question)
    except ReleaseUnknown as unknown:
        raise Unreadable(
            f"{record.id} does not say its release at {question.path} ({question.field}): {unknown}"
        ) from unknown
