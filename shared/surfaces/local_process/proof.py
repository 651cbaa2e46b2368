"""Proofs of live instances: from the process environment, its files, and its own answer."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import aiohttp

from shared.kernel.clock import Clock
from shared.surfaces.local_process import processes
from shared.surfaces.local_process.artifacts import Artifacts, content_digest
from shared.surfaces.local_process.processes import ProcessIdentity
from shared.surfaces.local_process.state_files import InstanceRecord
from shared.surfaces.observed_state import LiveProof
from shared.surfaces.rules import departures
from shared.surfaces.spec import ReleaseQuestion, RevisionSpec

ANSWER_TIMEOUT: Final = aiohttp.ClientTimeout(total=5)


class InstanceUnreadable(Exception):
    """A live instance cannot be verified, so what it runs is unknown."""


async def prove_instance(
    record: InstanceRecord,
    identity: ProcessIdentity,
    spec: RevisionSpec,
    artifacts: Artifacts,
    clock: Clock,
) -> LiveProof:
    """Return what the process *identity* runs, and where it departs from *spec*.

    Raises:
        InstanceUnreadable: it has ended, hides its environment, or does not answer.
    """
    environ = processes.environ_of(identity.pid)
    if "RUNTIME_ARTIFACT" not in environ:
        raise InstanceUnreadable(f"{record.id} (pid {identity.pid}) does not show its environment")
    artifact = environ["RUNTIME_ARTIFACT"]
    unpacked = artifacts.find(artifact)
    if unpacked is None:
        raise InstanceUnreadable(
            f"{record.id} runs {artifact}, which is not unpacked here to compare with"
        )
    root = Path(environ["RUNTIME_CONTENT"])
    content = await asyncio.to_thread(content_digest, root, unpacked.files)
    release, source = environ["RUNTIME_VERSION"], "environ"
    if spec.release is not None:
        release, source = await _ask_release(record, spec.release), "answer"
    if not processes.is_alive(identity):
        raise InstanceUnreadable(f"{record.id} ended during its proof")
    unit: Mapping[str, str] = json.loads(environ["RUNTIME_UNIT"])
    return LiveProof(
        instance=record.id,
        revision=int(environ["RUNTIME_RELEASE_REVISION"]),
        artifact=artifact,
        content_digest=content,
        expected_digest=unpacked.digest,
        release=release,
        release_source=source,
        unit=unit,
        checked_at=clock.now(),
        departs=departures(
            ("artifact", artifact, spec.artifact),
            ("content", content, unpacked.digest),
            ("release", release, spec.version),
            ("release revision", environ["RUNTIME_RELEASE_REVISION"], str(spec.revision)),
            ("unit", dict(unit), dict(spec.unit)),
        ),
    )


async def _ask_release(record: InstanceRecord, question: ReleaseQuestion) -> str:
    url = f"http://127.0.0.1:{record.port}{question.path}"
    try:
        async with (
            aiohttp.ClientSession(timeout=ANSWER_TIMEOUT) as session,
            session.get(url, allow_redirects=False) as response,
        ):
            release = json.loads(await response.text())
        for part in question.field.split("."):
            release = release[part]
    except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError) as failed:
        raise InstanceUnreadable(
            f"{record.id} does not say its release at {question.path} ({question.field}): "
            f"{failed!r}"
        ) from failed
    return str(release)
