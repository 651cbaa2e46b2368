"""The proof of a release: every live instance is asked what it runs; no activity of its own."""

import hashlib
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final

from function_apps.deployments.activities.observe_surface import (
    poll_until,
    surface_component,
    surface_of,
)
from function_apps.deployments.model import bound_secrets, policy_departures
from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.repository import DeploymentSet
from shared.contracts.releases import (
    Departure,
    InstanceProof,
    Proof,
    ReleasedComponent,
    ReleasedSecret,
)
from shared.contracts.values import Reason
from shared.kernel.errors import Unavailable
from shared.kernel.observation import Absent, Present, Unknown
from shared.surfaces.observed_state import LiveProof
from shared.surfaces.spec import CONFIGURATION_HASH, SECRET_PREFIX

PROOFS_SHOWN: Final = 100


async def prove_within(
    known: DeploymentSet, components: Sequence[ReleasedComponent], app: DeploymentsApp
) -> tuple[Proof, tuple[str, ...]]:
    """Prove *components* again and again for a while, until there is no mismatch."""
    return await poll_until(
        lambda proved: proved[0].whole,
        lambda: prove(known, components, app),
        app,
        app.rules.prove_every_s,
    )


async def prove(
    known: DeploymentSet, components: Sequence[ReleasedComponent], app: DeploymentsApp
) -> tuple[Proof, tuple[str, ...]]:
    """Ask every live instance of *components* what it runs; return that, and each mismatch.

    An instance that could not be asked is a mismatch as well. What a rollback does not put back is
    none: it is listed with its reason.
    """
    deployment = known.deployment
    proofs: list[InstanceProof] = []
    mismatches: list[str] = []
    for component in components:
        live: tuple[LiveProof, ...] = ()
        match await surface_of(component, app).prove(surface_component(component, deployment)):
            case Unknown(reason):
                mismatches.append(f"{component.module_id} cannot be proved: {reason}")
                continue
            case Absent():
                pass
            case Present(answers):
                live = answers
        secrets = deployment.wanted_secrets(component)
        kept = tuple(policy_departures.departures(component, deployment, known.target))
        proofs += [_instance_proof(component, answer, secrets, kept) for answer in live]
        mismatches += _mismatches(component, live)
    blob = await _store(proofs, app) if len(proofs) > PROOFS_SHOWN else None
    shown = tuple(proofs[:PROOFS_SHOWN])
    proof = Proof(instances=shown, total=len(proofs), whole=not mismatches, blob=blob)
    return proof, tuple(mismatches)


async def departures_of(
    component: ReleasedComponent, deployment: Deployment, app: DeploymentsApp
) -> tuple[str, ...]:
    """Return what departs from *component* in its own instances.

    Raises:
        Unavailable: one of them does not answer.
    """
    workload = surface_component(component, deployment)
    proofs = await surface_of(component, app).prove(workload, component.release_revision)
    if isinstance(proofs, Unknown):
        raise Unavailable(f"{component.module_id} cannot be proved: {proofs.reason}")
    return () if isinstance(proofs, Absent) else _departures(proofs.value)


def _departures(answers: Sequence[LiveProof]) -> tuple[str, ...]:
    return tuple(f"{answer.instance}: {text}" for answer in answers for text in answer.departs)


def _mismatches(component: ReleasedComponent, live: Sequence[LiveProof]) -> list[str]:
    of_component = [answer for answer in live if answer.revision == component.release_revision]
    mismatches = [
        f"{answer.instance} runs revision {answer.revision}, not {component.release_revision}"
        for answer in live
        if answer.revision != component.release_revision
    ]
    mismatches += _departures(of_component)
    if len(of_component) < component.replicas:
        mismatches.append(
            f"{component.module_id} has {len(of_component)} of {component.replicas} instances"
        )
    return mismatches


def _instance_proof(
    component: ReleasedComponent,
    answer: LiveProof,
    secrets: Sequence[ReleasedSecret],
    kept: Sequence[Departure],
) -> InstanceProof:
    is_whole = answer.content_digest == answer.expected_digest
    wanted, has = component.configuration.hash, answer.unit.get(CONFIGURATION_HASH)
    versions = {
        name: answer.unit[f"{SECRET_PREFIX}{name}"]
        for name in component.secret_versions
        if answer.unit.get(f"{SECRET_PREFIX}{name}")
    }
    return InstanceProof(
        module_id=component.module_id,
        instance=answer.instance,
        release_revision=answer.revision,
        digest=answer.artifact if is_whole else answer.content_digest,
        configuration_hash=wanted if has == wanted else None,
        secret_versions=versions,
        departures=(
            *kept,
            *bound_secrets.departures(component, versions, secrets),
            *_departed(component, answer),
        )[:10],
        checked_at=answer.checked_at,
    )


def _departed(component: ReleasedComponent, answer: LiveProof) -> Iterator[Departure]:
    for mismatch in answer.departs:
        yield Departure(
            path="instance",
            recorded=f"{component.version} revision {component.release_revision}"[:128],
            live=f"{answer.release} revision {answer.revision}"[:128],
            reason=Reason(code="Departs", message=mismatch[:2048]),
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
