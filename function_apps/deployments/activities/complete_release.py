"""The end of a rollout that went well: old instances drained, the release proved and recorded."""

import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime

import shared.kernel.operation as operations
from function_apps.deployments.activities.changing import component_of, remove_all_but, watch
from function_apps.deployments.activities.errands import (
    Completion,
    Errand,
    ModuleOf,
    change,
    holding,
    is_ended_by,
    observed,
    own,
    surface_of,
)
from function_apps.deployments.model import alerts, planning
from function_apps.deployments.model.deployment import Deployment, evolve
from function_apps.deployments.model.holds import add_holds, hold_of, rejected_units
from function_apps.deployments.model.states import Change
from function_apps.deployments.model.target import ModuleState, Target
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.use_cases.dossier import (
    Dossier,
    decided,
    ended_operation,
    leaving,
    publish,
)
from shared.contracts.deployments import DeploymentKind, DeploymentStatus
from shared.contracts.releases import (
    Departure,
    Hold,
    InstanceProof,
    Proof,
    ReleasedComponent,
)
from shared.contracts.values import ModuleId, Reason
from shared.durable.steps import Step
from shared.kernel.observation import Absent, Present, Unknown
from shared.messaging.legacy_unit_of_work import NOTHING, Decision
from shared.surfaces.observed_state import LiveProof

PROOFS_SHOWN = 100


async def begin_promotion(errand: Errand, step: Step, app: DeploymentsApp) -> None:
    """Commit that the new version stays and the old one goes."""
    now = app.service.clock.now()

    def decide(found: Dossier) -> Decision:
        deployment = own(found, step).deployment
        if deployment.status is DeploymentStatus.PROMOTING:
            return NOTHING
        after = evolve(deployment, Change.PROMOTION_BEGUN, now, wait_name="")
        operation = operations.begin_step(found.open_operation, "drain old", now, percent=88)
        return decided(
            replace(found, deployment=after, operation=operation), [], "BeginPromotion", {}
        )

    await change(errand, step, app, decide)


async def drain_old(module: ModuleOf, step: Step, app: DeploymentsApp) -> None:
    """Remove every revision but the new one; a module that is taken away loses all of them.

    The surface drains them first; until they are gone `restore` takes them back.
    """
    deployment = await holding(module.errand, step, app)
    unit = deployment.released(module.module)
    if unit is not None:
        await remove_all_but({unit.release_revision}, unit, deployment, step, app)
        return
    before = deployment.before(module.module)
    if before is not None:
        await remove_all_but((), before, deployment, step, app)


async def complete(errand: Errand, step: Step, app: DeploymentsApp) -> Completion:
    """Prove what runs by asking each live instance, record it as in force, and tell it.

    Asks again for a while when an instance departs, which may just be restarting; then says in what
    the last one departed.
    """
    deployment = await _deployment(errand, step, app)
    if deployment is None:
        return Completion(DeploymentStatus.COMPLETED)
    assert deployment.unit is not None
    proof, departures = await prove_within(deployment, deployment.unit.components, app)
    if departures:
        return Completion(None, departures[0])
    brought = [await _with_endpoint(deployment, one, app) for one in deployment.unit.components]
    unit = deployment.unit.model_copy(update={"components": tuple(brought)})
    now = app.service.clock.now()

    def decide(found: Dossier) -> Decision:
        if is_ended_by(found, step):
            return NOTHING
        undone = _undone(own(found, step).deployment)
        done = evolve(
            found.deployment,
            Change.RELEASE_PROVED,
            now,
            unit=unit,
            proof=proof,
            holds=_holds(found.deployment, undone, now),
            ended_at=now,
        )
        target = _in_force(done, found.target)
        held = add_holds(target.holds, undone, done.deployment_id)
        target = replace(target, holds=held)
        left = leaving(done, target, app, errand.scope, errand.cause(step))
        cleared = [
            publish(alert, app, errand.scope, errand.cause(step), done.project_id)
            for alert in alerts.cleared(done, found.target, now)
        ]
        operation = ended_operation(found.open_operation, done, now)
        rows = (*left.rows, *cleared)
        return decided(Dossier(left.target, done, operation), rows, "CompleteDeployment", {})

    await change(errand, step, app, decide)
    return Completion(DeploymentStatus.COMPLETED)


async def _deployment(errand: Errand, step: Step, app: DeploymentsApp) -> Deployment | None:
    """Return the deployment; None when this operation has completed it already."""
    is_done = False

    def decide(found: Dossier) -> Decision:
        nonlocal is_done
        is_done = is_ended_by(found, step)
        return NOTHING

    await change(errand, step, app, decide)
    return None if is_done else await holding(errand, step, app)


def _in_force(done: Deployment, target: Target) -> Target:
    modules = dict(target.modules)
    key = planning.unit_key(done.environment_id, done.components, done.configuration)
    for one in done.unit.components if done.unit else ():
        state = target.module(one.module_id)
        modules[one.module_id] = ModuleState(
            revision=one.release_revision,
            last=max(state.last, one.release_revision),
            by=done.deployment_id,
            key=key,
            path_prefix=one.path_prefix or "",
            depends_on=one.depends_on,
        )
    for module in done.remove:
        modules[module] = ModuleState(last=target.module(module).last)
    return replace(target, modules=modules)


def _undone(done: Deployment) -> tuple[ReleasedComponent, ...]:
    """Return what a completed rollback took out of force."""
    if done.kind is not DeploymentKind.ROLLBACK:
        return ()
    brought = done.unit.components if done.unit else ()
    return rejected_units(done.previous, brought)


def _holds(
    done: Deployment, undone: Sequence[ReleasedComponent], now: datetime
) -> tuple[Hold, ...]:
    reason = Reason(code="RolledBack", message=f"undone by {done.deployment_id}")
    by = {"deployment_id": done.rolled_back_deployment_id}
    return tuple(hold_of(each, done, reason, now).model_copy(update=by) for each in undone)


async def _with_endpoint(
    deployment: Deployment, unit: ReleasedComponent, app: DeploymentsApp
) -> ReleasedComponent:
    live = await observed(surface_of(unit, app), component_of(deployment, unit.module_id))
    endpoint = live.endpoint if live else None
    routing = unit.routing.model_copy(update={"endpoint": endpoint})
    return unit.model_copy(update={"endpoint": endpoint, "routing": routing})


async def prove_within(
    deployment: Deployment, wanted: Sequence[ReleasedComponent], app: DeploymentsApp
) -> tuple[Proof, tuple[str, ...]]:
    """Prove *wanted* again and again for a while, until nothing departs."""
    proof, departures = await prove(deployment, wanted, app)

    async def is_whole() -> bool:
        nonlocal proof, departures
        if departures:
            proof, departures = await prove(deployment, wanted, app)
        return not departures

    await watch(is_whole, app, app.rules.prove_every_s)
    return proof, departures


async def prove(
    deployment: Deployment, wanted: Sequence[ReleasedComponent], app: DeploymentsApp
) -> tuple[Proof, tuple[str, ...]]:
    """Ask every live instance of *wanted* what it runs; return that, and each departure in words.

    That an instance could not be asked is a departure as well.
    """
    found: list[InstanceProof] = []
    departures: list[str] = []
    for unit in wanted:
        component = component_of(deployment, unit.module_id)
        said: tuple[LiveProof, ...] = ()
        match await surface_of(unit, app).prove(component):
            case Unknown(reason):
                departures.append(f"{unit.module_id} cannot be proved: {reason}")
                continue
            case Absent():
                pass
            case Present(proofs):
                said = proofs
        found += [_instance(unit.module_id, unit, one) for one in said]
        departures += _departures(unit, said)
    shown = tuple(found[:PROOFS_SHOWN])
    blob = await _kept(found, app) if len(found) > PROOFS_SHOWN else None
    proof = Proof(instances=shown, total=len(found), whole=not departures, blob=blob)
    return proof, tuple(departures)


def _departures(unit: ReleasedComponent, said: Sequence[LiveProof]) -> list[str]:
    of_it = [one for one in said if one.revision == unit.release_revision]
    found = [
        f"{one.instance} runs revision {one.revision}, not {unit.release_revision}"
        for one in said
        if one.revision != unit.release_revision
    ]
    found += [f"{one.instance}: {depart}" for one in of_it for depart in one.departs]
    if len(of_it) < unit.replicas:
        found.append(f"{unit.module_id} has {len(of_it)} of {unit.replicas} instances")
    return found


def _instance(module: ModuleId, unit: ReleasedComponent, said: LiveProof) -> InstanceProof:
    is_whole = said.content_digest == said.expected_digest
    return InstanceProof(
        module_id=module,
        instance=said.instance,
        release_revision=said.revision,
        digest=said.artifact if is_whole else said.content_digest,
        configuration_hash=unit.configuration.hash,
        secret_versions=unit.secret_versions,
        departures=tuple(
            Departure(
                path="instance",
                recorded=f"{unit.version} revision {unit.release_revision}"[:128],
                live=f"{said.release} revision {said.revision}"[:128],
                reason=Reason(code="Departs", message=depart[:2048]),
            )
            for depart in said.departs[:10]
        ),
        checked_at=said.checked_at,
    )


async def _kept(found: Sequence[InstanceProof], app: DeploymentsApp) -> str:
    """Keep all proofs in a blob named by its digest; return that."""
    rows = [one.model_dump(mode="json", by_alias=True) for one in found]
    content = json.dumps(rows).encode()
    digest = hashlib.sha256(content).hexdigest()

    async def chunks() -> AsyncIterator[bytes]:
        yield content

    await app.blobs.put(f"proofs/{digest}", chunks())
    return f"sha256:{digest}"
