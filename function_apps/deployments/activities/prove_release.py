"""The proof of a release: every live instance is asked what it runs; no activity of its own."""

import hashlib
import json
from collections.abc import AsyncIterator, Sequence

from function_apps.deployments.activities.observe_surface import (
    poll_until,
    surface_component,
    surface_of,
)
from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.ports import DeploymentsApp
from shared.contracts.releases import Departure, InstanceProof, Proof, ReleasedComponent
from shared.contracts.values import Reason
from shared.kernel.observation import Absent, Present, Unknown
from shared.surfaces.observed_state import LiveProof

PROOFS_SHOWN = 100


async def prove_within(
    deployment: Deployment, units: Sequence[ReleasedComponent], app: DeploymentsApp
) -> tuple[Proof, tuple[str, ...]]:
    """Prove *units* again and again for a while, until nothing departs."""
    proof, departures = await prove(deployment, units, app)

    async def is_whole() -> bool:
        nonlocal proof, departures
        if departures:
            proof, departures = await prove(deployment, units, app)
        return not departures

    await poll_until(is_whole, app, app.rules.prove_every_s)
    return proof, departures


async def prove(
    deployment: Deployment, units: Sequence[ReleasedComponent], app: DeploymentsApp
) -> tuple[Proof, tuple[str, ...]]:
    """Ask every live instance of *units* what it runs; return that, and each departure in words.

    An instance that could not be asked is a departure as well.
    """
    proofs: list[InstanceProof] = []
    departures: list[str] = []
    for unit in units:
        live: tuple[LiveProof, ...] = ()
        match await surface_of(unit, app).prove(surface_component(unit, deployment)):
            case Unknown(reason):
                departures.append(f"{unit.module_id} cannot be proved: {reason}")
                continue
            case Absent():
                pass
            case Present(answers):
                live = answers
        proofs += [_instance_proof(unit, answer) for answer in live]
        departures += _departures(unit, live)
    blob = await _store(proofs, app) if len(proofs) > PROOFS_SHOWN else None
    shown = tuple(proofs[:PROOFS_SHOWN])
    proof = Proof(instances=shown, total=len(proofs), whole=not departures, blob=blob)
    return proof, tuple(departures)


def _departures(unit: ReleasedComponent, live: Sequence[LiveProof]) -> list[str]:
    of_unit = [answer for answer in live if answer.revision == unit.release_revision]
    departures = [
        f"{answer.instance} runs revision {answer.revision}, not {unit.release_revision}"
        for answer in live
        if answer.revision != unit.release_revision
    ]
    departures += [
        f"{answer.instance}: {departure}" for answer in of_unit for departure in answer.departs
    ]
    if len(of_unit) < unit.replicas:
        departures.append(f"{unit.module_id} has {len(of_unit)} of {unit.replicas} instances")
    return departures


def _instance_proof(unit: ReleasedComponent, answer: LiveProof) -> InstanceProof:
    is_whole = answer.content_digest == answer.expected_digest
    return InstanceProof(
        module_id=unit.module_id,
        instance=answer.instance,
        release_revision=answer.revision,
        digest=answer.artifact if is_whole else answer.content_digest,
        configuration_hash=unit.configuration.hash,
        secret_versions=unit.secret_versions,
        departures=tuple(
            Departure(
                path="instance",
                recorded=f"{unit.version} revision {unit.release_revision}"[:128],
                live=f"{answer.release} revision {answer.revision}"[:128],
                reason=Reason(code="Departs", message=departure[:2048]),
            )
            for departure in answer.departs[:10]
        ),
        checked_at=answer.checked_at,
    )


async def _store(proofs: Sequence[InstanceProof], app: DeploymentsApp) -> str:
    """Keep all proofs in a blob named by its digest; return that."""
    rows = [proof.model_dump(mode="json", by_alias=True) for proof in proofs]
    content = json.dumps(rows).encode()
    digest = hashlib.sha256(content).hexdigest()

    async def chunks() -> AsyncIterator[bytes]:
        yield content

    await app.blobs.put(f"proofs/{digest}", chunks())
    return f"sha256:{digest}"
