"""Before anything is applied: the environment, the release unit, the point of no return."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import shared.kernel.operation as operations
from function_apps.deployments.activities.errands import (
    Course,
    CourseStep,
    Errand,
    Going,
    Look,
    Opening,
    change,
    own,
)
from function_apps.deployments.errors import CannotBePlanned
from function_apps.deployments.model import access, gates, planning, telling, units
from function_apps.deployments.model import deployment as deployments
from function_apps.deployments.model import target as targets
from function_apps.deployments.model.deployment import Deployment, evolve
from function_apps.deployments.model.predecessors import Predecessors, earlier_than, in_force
from function_apps.deployments.model.promotion import Source, refuse_unsoaked
from function_apps.deployments.model.states import BEFORE_APPLIED, ENDINGS, Change
from function_apps.deployments.model.target import Target
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.use_cases.artifacts import uploaded
from function_apps.deployments.use_cases.dossier import (
    Dossier,
    Ticket,
    decided,
    dossier,
    ended_operation,
    place,
    publish,
    writes,
)
from function_apps.deployments.use_cases.requests import source_of
from shared.contracts.deployments import Deploy, DeploymentKind, DeploymentStatus
from shared.contracts.releases import ReleasedComponent, ReleaseUnit
from shared.contracts.strategies import StrategyKind
from shared.durable.steps import Step
from shared.kernel.ids import DeploymentId
from shared.kernel.scope import Scope
from shared.messaging.cause import Cause
from shared.messaging.legacy_unit_of_work import NOTHING, Audited, Decision, View
from shared.persistence.store import READ_MAX_DOCUMENTS

LOOK_AGAIN: timedelta = timedelta(minutes=15)
"""A lost nudge costs no more than this."""


async def open_rollout(ticket: Ticket, step: Step, app: DeploymentsApp) -> Opening:
    """Return what this operation has to do: nothing while its deployment waits in a queue.

    Closes the operation when another has taken its place, or the deployment has ended.
    """
    scope = Scope(ticket.tenant, f"operation:{step.operation_id}")
    partition = place(ticket.deployment, scope)
    now = app.service.clock.now()
    operation_id = operations.document_id(step.operation_id)

    opening: list[Opening] = []

    def decide(view: View) -> Decision:
        opening.clear()
        found = dossier(view, ticket.deployment, step.operation_id)
        deployment, operation = found.deployment, found.open_operation
        if deployment.operation_id != step.operation_id or deployment.status in ENDINGS:
            opening.append(Opening(deployment.status))
            closed = _closed(operation, deployment, now)
            return _put_operation(operation, closed, "CloseOperation")
        # Whoever leaves a queue starts the next; one that was forgotten admits itself here.
        target, admitted = targets.admit(found.target)
        claim = target.claim(deployment.deployment_id)
        assert claim is not None, deployment.deployment_id
        if not claim.token:
            opening.append(Opening(deployment.status))
            return NOTHING
        errand = Errand(ticket.tenant, ticket.deployment, deployment.origin)
        is_back = deployment.status is DeploymentStatus.ROLLING_BACK
        opening.append(Opening(deployment.status, errand, is_back))
        name = "turn back" if is_back else "prepare"
        opened = replace(
            deployment,
            opened_at=deployment.opened_at or now,
            token=max(claim.token, deployment.token),
        )
        return Decision(
            writes=writes(
                target=target if admitted else None,
                deployment=opened if opened != deployment else None,
                operations_=[operations.begin_step(operation, name, now, percent=1)],
            ),
            audited=Audited("OpenRollout", deployment.deployment_id, deployment.status),
        )

    cause = Cause(
        f"operation:{step.operation_id}", "operation", step.operation_id, "trace-0", "corr-0"
    )
    target_id = targets.document_id(f"env-{partition.environment}")
    ids = [ticket.deployment, operation_id, target_id]
    await app.service.work.write(scope, partition, ids, decide, cause)
    return opening[0]


def _closed(
    operation: operations.Operation, deployment: Deployment, now: datetime
) -> operations.Operation:
    if deployment.operation_id == operation.operation_id:
        return ended_operation(operation, deployment, now)
    message = f"{deployment.operation_id} took the deployment over"
    return operations.fail(operation, "Overtaken", message, now)


def _put_operation(
    before: operations.Operation, after: operations.Operation, action: str
) -> Decision:
    if before == after:
        return NOTHING
    return Decision(
        writes=writes(operations_=[after]),
        audited=Audited(action, after.operation_id, after.status),
    )


async def look_at_environment(errand: Errand, step: Step, app: DeploymentsApp) -> Look:
    """Return whether the environment takes the deployment now; if not yet, what to wait for.

    Raises:
        EnvironmentNotUsable, EnvironmentUnknown: it never will, or did not in time.
        BindingRequired, BindingSuspended, IsolationBreached, Held, CannotBePlanned.
        NotInForce, NotPromotable: what it was asked for on the ground of is so no longer.
    """
    now = app.service.clock.now()
    deployment_now = await _read(errand, app)
    received = await uploaded(deployment_now.components, errand.scope, app)
    source = await _source(deployment_now, errand, app)
    wait_name = f"environment-{step.ordinal}"
    until: datetime | None = None

    def decide(found: Dossier) -> Decision:
        nonlocal until
        deployment, target = own(found, step).deployment, found.target
        until = None
        if deployment.status is not DeploymentStatus.REQUESTED:
            return NOTHING
        waits_for = access.waits_for(target, errand.tenant)
        if waits_for is None:
            return _ready(found, received, source, errand=errand, app=app)
        assert deployment.opened_at is not None
        patience = access.patience(target, deployment.opened_at, app.rules.rollout)
        if now >= patience.until:
            raise patience.refusal
        until = min(patience.until, now + LOOK_AGAIN)
        waiting = operations.wait(found.open_operation, waits_for, wait_name, now)
        return decided(
            replace(
                found,
                target=targets.waiting(target, deployment.deployment_id, wait_name),
                operation=waiting,
            ),
            [],
            "WaitForEnvironment",
            {},
        )

    await change(errand, step, app, decide)
    return Look(Going.GO) if until is None else Look(Going.OPEN, wait_name, until)


async def _read(errand: Errand, app: DeploymentsApp) -> Deployment:
    view = await app.service.work.read(place(errand.deployment, errand.scope), errand.deployment)
    return dossier(view, errand.deployment).deployment


async def _source(deployment: Deployment, errand: Errand, app: DeploymentsApp) -> Source | None:
    """Return what a promotion brings as it is now; None for a deployment that is none.

    Raises:
        NotPromotable: it is not Completed and in force any more.
    """
    if deployment.evidence is None or deployment.status is not DeploymentStatus.REQUESTED:
        return None
    return await source_of(deployment.evidence.deployment_id, scope=errand.scope, app=app)


def _ready(
    found: Dossier,
    received: frozenset[str],
    source: Source | None,
    *,
    errand: Errand,
    app: DeploymentsApp,
) -> Decision:
    """Check the whole plan against the environment as it is now, then go on."""
    deployment, target = found.deployment, found.target
    now = app.service.clock.now()
    environment = target.environment
    assert environment is not None
    ground = planning.Ground(
        target,
        {kind: surface.capabilities() for kind, surface in app.surfaces.items()},
        received,
        app.rules.rollout,
        deployment.deployment_id,
    )
    if refusals := planning.refusals(_command(deployment), errand.tenant, ground):
        raise CannotBePlanned(refusals)
    access.require_admission(deployment, target)
    if source is not None:
        refuse_unsoaked(source, deployment.evidence, app.rules.soak, now)
    ready = evolve(
        deployment,
        Change.ENVIRONMENT_READY,
        now,
        project_id=environment.project,
        stage=environment.stage,
    )
    begun = operations.begin_step(found.open_operation, "environment ready", now, percent=5)
    after = targets.waiting(target, deployment.deployment_id, "")
    return decided(
        replace(found, deployment=ready, target=after, operation=begun), [], "EnterEnvironment", {}
    )


def _command(deployment: Deployment) -> Deploy:
    return Deploy(
        environment_id=deployment.environment_id,
        release_ref=deployment.release_ref,
        components=deployment.components,
        remove=deployment.remove,
        configuration=deployment.configuration,
        strategy=deployment.strategy,
        gate=deployment.gate,
        on_conflict=deployment.on_conflict,
        restart=deployment.restart,
    )


async def fix_unit(errand: Errand, step: Step, app: DeploymentsApp) -> Course:
    """Fix the release unit once: digests, pins, versions, a new release revision per module.

    Also what it replaces is fixed here, so that a rollback needs nothing else. Both are read back
    when they are there already.
    """
    replaced, earlier = await _predecessors(errand, app)
    now = app.service.clock.now()
    course: list[Course] = []

    def decide(found: Dossier) -> Decision:
        deployment = own(found, step).deployment
        course.clear()
        if deployment.status is not DeploymentStatus.PROVISIONING:
            course.append(_course(deployment, app))
            return NOTHING
        target, fixed = _fixed(deployment, found.target, replaced, earlier, now, app)
        course.append(_course(fixed, app))
        begun = operations.begin_step(found.open_operation, "release unit", now, percent=8)
        return decided(
            replace(found, deployment=fixed, target=target, operation=begun), [], "FixUnit", {}
        )

    await change(errand, step, app, decide)
    return course[0]


async def _predecessors(errand: Errand, app: DeploymentsApp) -> tuple[Predecessors, Predecessors]:
    """Return what is in force of the deployment's modules, and what an undo of it goes back to."""
    partition = place(errand.deployment, errand.scope)
    target_id = targets.document_id(f"env-{partition.environment}")
    view = await app.service.work.read(partition, errand.deployment, target_id)
    found = dossier(view, errand.deployment)
    restored = found.deployment.restores
    states = [found.target.module(module) for module in found.deployment.modules]
    holders = {state.by for state in states if state.by is not None} | {*restored.values()}
    known = await _deployments(sorted(holders), errand, app)
    replaced = in_force(found.target, found.deployment.modules, known)
    is_rollback = found.deployment.kind is DeploymentKind.ROLLBACK
    return replaced, earlier_than(restored, known) if is_rollback else replaced


async def _deployments(
    ids: Sequence[DeploymentId], errand: Errand, app: DeploymentsApp
) -> Mapping[str, Deployment]:
    partition = place(errand.deployment, errand.scope)
    known: dict[str, Deployment] = {}
    for start in range(0, len(ids), READ_MAX_DOCUMENTS):
        page = await app.service.work.read(partition, *ids[start : start + READ_MAX_DOCUMENTS])
        for document_id, document in page.documents.items():
            known[document_id] = deployments.from_body(document.body)
    return known


def _fixed(
    deployment: Deployment,
    target: Target,
    replaced: Predecessors,
    earlier: Predecessors,
    now: datetime,
    app: DeploymentsApp,
) -> tuple[Target, Deployment]:
    environment = target.environment
    assert environment is not None
    modules = dict(target.modules)
    brought: list[ReleasedComponent] = []
    for component in deployment.components:
        kind = units.placed(component, environment.targets)
        assert kind is not None, component.module_id
        state = target.module(component.module_id)
        modules[component.module_id] = replace(state, last=state.last + 1)
        brought.append(
            units.released(
                component,
                kind,
                state.last + 1,
                deployment.environment_id,
                deployment.tenant_id,
                target,
            )
        )
    unit = ReleaseUnit(
        components=tuple(brought),
        tenant_binding_revision=target.bound.revision if target.bound else 0,
        removed=deployment.remove,
    )
    before = {state.by for state in map(target.module, deployment.modules) if state.by is not None}
    has_baseline = any(one.module_id not in deployment.remove for one in replaced.units)
    is_canary = deployment.kind is not DeploymentKind.ROLLBACK
    steps = planning.steps_of(
        deployment.strategy,
        app.rules.rollout,
        has_baseline=has_baseline and is_canary,
        has_components=bool(deployment.components),
    )
    fixed = evolve(
        deployment,
        Change.UNIT_FIXED,
        now,
        unit=unit,
        absent=units.absences(unit),
        previous=replaced.units,
        earlier=earlier.units if deployment.restores else (),
        earlier_releases=earlier.releases or {},
        previous_deployment_id=DeploymentId(max(before)) if before else None,
        steps=steps,
    )
    return replace(target, modules=modules), fixed


def _course(deployment: Deployment, app: DeploymentsApp) -> Course:
    return Course(
        order=deployment.order,
        removed=deployment.remove,
        steps=tuple(CourseStep(step.index, step.pause_s) for step in deployment.steps),
        is_recreate=deployment.strategy.kind is StrategyKind.RECREATE,
        is_gated=gates.is_gated(deployment),
        ready_s=app.rules.ready_within.total_seconds(),
        gone_s=(app.rules.gone_within + app.rules.rollout.drain).total_seconds(),
        prove_s=app.rules.prove_within.total_seconds(),
    )


async def begin_rollout(errand: Errand, step: Step, app: DeploymentsApp) -> None:
    """Commit that instances are going to change: from here on the way out is a rollback.

    Raises:
        EnvironmentNotUsable, BindingSuspended, IsolationBreached, Held, NotInForce.
    """
    now = app.service.clock.now()

    def decide(found: Dossier) -> Decision:
        deployment = own(found, step).deployment
        if deployment.status not in BEFORE_APPLIED:
            return NOTHING
        access.require_admission(deployment, found.target)
        begun = evolve(deployment, Change.ROLLOUT_BEGUN, now)
        told = telling.step_changed(begun, 0, "apply", 0)
        operation = operations.begin_step(found.open_operation, "apply candidate", now, percent=10)
        row = publish(told, app, errand.scope, errand.cause(step), begun.project_id)
        return decided(
            replace(found, deployment=begun, operation=operation), [row], "BeginRollout", {}
        )

    await change(errand, step, app, decide)
