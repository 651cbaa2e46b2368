"""Before anything is applied: the environment, the release unit, the point of no return."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from function_apps.deployments import events, repository
from function_apps.deployments.activities.inputs import (
    PlannedStep,
    RolloutPlan,
    RolloutStart,
    WaitState,
    WaitStatus,
)
from function_apps.deployments.activities.observe_surface import live_components, surfaces_of
from function_apps.deployments.errors import UnknownRelease
from function_apps.deployments.model import (
    analysis,
    jobs,
    module_queue,
    plan_checks,
    preconditions,
    promotion,
    release_unit,
    relocation,
    repair,
    replicas,
    secret_rollout,
    traffic_split,
)
from function_apps.deployments.model.deployment import (
    Deployment,
    admitted,
    deploy_command,
    evolve,
)
from function_apps.deployments.model.deployment_target import DeploymentTarget
from function_apps.deployments.model.lifecycle import (
    BEFORE_APPLIED,
    EnvironmentReady,
    RolloutBegan,
    RolloutTerms,
    UnitPinned,
)
from function_apps.deployments.model.plan_checks import PlanContext
from function_apps.deployments.model.predecessors import Predecessors, earlier_than, in_force
from function_apps.deployments.model.promotion import Source
from function_apps.deployments.model.rollback_effect import require_effect
from function_apps.deployments.model.rollout_steps import steps_of
from function_apps.deployments.model.unknown_releases import unknown_revisions
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.repository import (
    DeploymentSet,
    commit_deployment_step,
    load_owned_deployment,
    step,
)
from function_apps.deployments.use_cases.configuration_content import read_pinned
from function_apps.deployments.use_cases.deploy import plan_context
from function_apps.deployments.use_cases.promote import load_source
from function_apps.deployments.use_cases.roll_out_configuration import renew
from function_apps.deployments.use_cases.room_in_quotas import require_quota
from shared.contracts.deployments import DeploymentKind, DeploymentStatus
from shared.contracts.strategies import StrategyKind
from shared.durable.activity import ActivityContext, Step
from shared.kernel.ids import DeploymentId, ModuleId
from shared.kernel.operation import Operation
from shared.persistence.store import READ_MAX_DOCUMENTS
from shared.surfaces.observed_state import LiveComponent

ENVIRONMENT_POLL_EVERY: Final = timedelta(minutes=15)
"""Of an environment on its way: a lost external event of it costs no more than this."""


async def start_rollout(ctx: ActivityContext, app: DeploymentsApp) -> RolloutStart:
    """Take the deployment to the head of its queues; one that still waits there does nothing.

    The deployment that leaves a queue starts the next; one that was forgotten is admitted here.
    """

    def decide(known: DeploymentSet, operation: Operation) -> Step[RolloutStart]:
        target, admitted_entries = module_queue.admit_ready(known.target)
        entry = target.entry(known.deployment.deployment_id)
        assert entry is not None, known.deployment.deployment_id
        status = known.deployment.status
        if not entry.token:
            return Step(RolloutStart(status, is_admitted=False), operation)
        is_back = status is DeploymentStatus.ROLLING_BACK
        name = "roll back" if is_back else "prepare"
        after = DeploymentSet(
            target if admitted_entries else known.target,
            admitted(known.deployment, entry.token, ctx.now()),
        )
        progress = operation.begin_step(name, ctx.now(), percent=1)
        start = RolloutStart(status, is_admitted=True, is_rolling_back=is_back)
        return step(start, progress, known, after, action="StartRollout")

    return await commit_deployment_step(ctx, app, decide, is_recorded=False)


async def check_environment(ctx: ActivityContext, app: DeploymentsApp) -> WaitStatus:
    """Return whether the environment takes the deployment now; if not yet, what to wait for.

    Everything that was checked at the request is checked again. A roll-out is of what is in
    force and recorded now.

    Raises:
        EnvironmentNotUsable, EnvironmentUnknown: it never will, or did not in time.
        BindingRequired, BindingSuspended, IsolationBreached, Held, CannotBePlanned.
        NothingToRollOut: of a roll-out, when that is what runs.
        NotInForce, NotPromotable: the ground on which it was asked for is gone.
    """
    deployment = await _renewed(await load_owned_deployment(ctx, app), ctx, app)
    context = replace(
        await plan_context(deployment.components, deployment.environment_id, ctx, app),
        configurations=await read_pinned(deployment.pins, ctx.tenant, app),
        secrets=deployment.secrets,
    )
    source = await _source(deployment, ctx, app)
    wait_name = f"environment-{ctx.ordinal}"
    now = ctx.now()

    def decide(known: DeploymentSet, operation: Operation) -> Step[WaitStatus]:
        if known.deployment.status is not DeploymentStatus.REQUESTED:
            return Step(WaitStatus(WaitState.PASSED), operation)
        known = replace(known, deployment=_as_renewed(known.deployment, deployment))
        reason = preconditions.blocking_reason(known.target, ctx.tenant)
        if reason is None:
            return _ready(known, context, source, operation, ctx, app)
        assert known.deployment.opened_at is not None
        limit = preconditions.wait_limit(
            known.target, known.deployment.opened_at, app.rules.rollout
        )
        if now >= limit.until:
            raise limit.refusal
        status = WaitStatus(
            WaitState.PENDING, wait_name, min(limit.until, now + ENVIRONMENT_POLL_EVERY)
        )
        waiting = operation.wait(reason, wait_name, now)
        target = module_queue.set_wait(known.target, known.deployment.deployment_id, wait_name)
        after = replace(known, target=target)
        return step(status, waiting, known, after, action="WaitForEnvironment")

    return await commit_deployment_step(ctx, app, decide, is_recorded=False)


async def _renewed(deployment: Deployment, ctx: ActivityContext, app: DeploymentsApp) -> Deployment:
    """Return *deployment*; a roll-out as what is in force is, now that nothing else changes that.

    Raises:
        NothingToRollOut: nothing is in force that could be given what it brings.
        DowntimeNotAllowed: of a relocation, see there.
    """
    if deployment.status is not DeploymentStatus.REQUESTED:
        return deployment
    match deployment.kind:
        case DeploymentKind.CONFIGURATION:
            return await renew(deployment, ctx, app)
        case DeploymentKind.REPAIR:
            target = (await repository.load_set(ctx.aggregate_id, ctx, app)).target
            for module, revision in deployment.replaces.items():
                repair.require_in_force(target, module, revision)
            return deployment
        case DeploymentKind.SECRET:
            assert deployment.secret is not None, deployment.deployment_id
            target, releases = await _known_releases(deployment.secret.module_id, ctx, app)
            release = secret_rollout.release_in_force(deployment.secret, target, releases)
            return secret_rollout.of_release(deployment, release)
        case DeploymentKind.RELOCATION:
            assert deployment.relocation is not None, deployment.deployment_id
            target, releases = await _known_releases(deployment.relocation.module_id, ctx, app)
            return relocation.of_release(deployment, target, releases)
        case _:
            return deployment


async def _known_releases(
    module: ModuleId, ctx: ActivityContext, app: DeploymentsApp
) -> tuple[DeploymentTarget, Mapping[str, Deployment]]:
    """Return the target, and the deployments that released *module* there."""
    target = (await repository.load_set(ctx.aggregate_id, ctx, app)).target
    return target, await _deployments(target.module(module).released_in, ctx, app)


def _as_renewed(known: Deployment, renewed: Deployment) -> Deployment:
    return replace(
        known,
        release_ref=renewed.release_ref,
        strategy=renewed.strategy,
        gate=renewed.gate,
        components=renewed.components,
        order=renewed.order,
        pins=renewed.pins,
        secrets=renewed.secrets,
    )


async def _source(
    deployment: Deployment, ctx: ActivityContext, app: DeploymentsApp
) -> Source | None:
    """Return the source of a promotion as it is now; None for a deployment that is none.

    Raises:
        NotPromotable: it is no longer Completed and in force.
    """
    if deployment.evidence is None or deployment.status is not DeploymentStatus.REQUESTED:
        return None
    return await load_source(deployment.evidence.deployment_id, ctx, app)


def _ready(
    known: DeploymentSet,
    context: PlanContext,
    source: Source | None,
    operation: Operation,
    ctx: ActivityContext,
    app: DeploymentsApp,
) -> Step[WaitStatus]:
    """Check the whole plan against the environment as it is now, then go on."""
    deployment, target = known.deployment, known.target
    environment = target.environment
    assert environment is not None
    ahead = module_queue.ahead_of(target, deployment.deployment_id)
    command = deploy_command(deployment)
    plan = plan_checks.require_plan(command, ctx.tenant, target, ahead, context)
    preconditions.require_admission(deployment, plan.components, target)
    if source is not None:
        promotion.require_soak_time(source, deployment.evidence, app.rules.soak, ctx.now())
        deployment = replace(deployment, scaled_at_source=promotion.scaled_modules(source))
    ready = evolve(deployment, EnvironmentReady(environment.project, environment.stage), ctx.now())
    begun = operation.begin_step("environment ready", ctx.now(), percent=5)
    after = DeploymentSet(module_queue.set_wait(target, deployment.deployment_id, ""), ready)
    passed = WaitStatus(WaitState.PASSED)
    return step(passed, begun, known, after, action="EnterEnvironment")


async def pin_release_unit(ctx: ActivityContext, app: DeploymentsApp) -> RolloutPlan:
    """Fix the release unit once: digests, pins, versions, a new release revision per module.

    What it replaces is fixed here too, so a rollback needs no other document. Both are read back
    when they are there already.

    Raises:
        UnknownRelease: what runs is newer than the records.
        NothingToTakeBack: what a rollback brings back is what runs by now.
    """
    found = await repository.load_set(ctx.aggregate_id, ctx, app)
    replaced, earlier, terms = await _predecessors(found, ctx, app)
    deployment = await load_owned_deployment(ctx, app)
    live = await live_components(deployment, surfaces_of(found.target, app))

    def decide(known: DeploymentSet, operation: Operation) -> Step[RolloutPlan]:
        if known.deployment.status is not DeploymentStatus.PROVISIONING:
            return Step(_rollout_plan(known.deployment, app), operation)
        if unknown := unknown_revisions(known.target, live):
            raise UnknownRelease(unknown)
        after = _pinned(known, replaced, earlier, terms, live, ctx.now(), app)
        begun = operation.begin_step("release unit", ctx.now(), percent=8)
        plan = _rollout_plan(after.deployment, app)
        return step(plan, begun, known, after, action="PinReleaseUnit")

    return await commit_deployment_step(ctx, app, decide, is_recorded=False)


async def _predecessors(
    known: DeploymentSet, ctx: ActivityContext, app: DeploymentsApp
) -> tuple[Predecessors, Predecessors, Mapping[ModuleId, RolloutTerms]]:
    """Return the units in force of the deployment's modules, and what an undo of it restores.

    Of a rollback also how what it restores is rolled out again.
    """
    restored = known.deployment.restores
    states = [known.target.module(module) for module in known.deployment.modules]
    holders = {each for state in states for each in state.released_in} | {*restored.values()}
    deployments = await _deployments(sorted(holders), ctx, app)
    replaced = in_force(known.target, known.deployment.modules, deployments)
    is_rollback = known.deployment.kind is DeploymentKind.ROLLBACK
    terms = {
        module: deployments[release].terms_of(module)
        for module, release in restored.items()
        if release in deployments
    }
    return replaced, earlier_than(restored, deployments) if is_rollback else replaced, terms


async def _deployments(
    ids: Sequence[DeploymentId], ctx: ActivityContext, app: DeploymentsApp
) -> Mapping[str, Deployment]:
    deployments: dict[str, Deployment] = {}
    for first in range(0, len(ids), READ_MAX_DOCUMENTS):
        page = await app.service.work.read(ctx.partition, *ids[first : first + READ_MAX_DOCUMENTS])
        for document_id in page.documents:
            deployments[document_id] = page.get(repository.DEPLOYMENTS, document_id)
    return deployments


def _pinned(
    known: DeploymentSet,
    replaced: Predecessors,
    earlier: Predecessors,
    terms: Mapping[ModuleId, RolloutTerms],
    live: Mapping[ModuleId, LiveComponent],
    now: datetime,
    app: DeploymentsApp,
) -> DeploymentSet:
    deployment, target = known.deployment, known.target
    components = release_unit.planned(
        deployment.components,
        deployment.tenant_id,
        target,
        deployment.pins,
        deployment.secrets,
    )
    assert len(components) == len(deployment.components), deployment.deployment_id
    require_effect(deployment, components, replaced.components, target.facts)
    live_replicas = traffic_split.replicas_of(replaced.components, live)
    modules = dict(target.modules)
    for component in components:
        state = target.module(component.module_id)
        modules[component.module_id] = replace(state, last=component.release_revision)
    numbered = replicas.of_unit(
        deployment, components, replaced.components, live_replicas, target.facts
    )
    unit = release_unit.recorded_unit(numbered, target, deployment.remove)
    holders = {target.module(module).by for module in deployment.modules} - {None}
    has_baseline = any(
        component.module_id not in deployment.remove for component in replaced.components
    )
    is_canary = deployment.kind is not DeploymentKind.ROLLBACK
    pinned = UnitPinned(
        unit=unit,
        missing=(
            *release_unit.missing_parts(unit),
            *promotion.left_policies(deployment.scaled_at_source, unit.components),
            *jobs.left_out(deployment),
        ),
        previous=tuple(replicas.as_in_force(each, target.facts) for each in replaced.components),
        previous_deployment_id=DeploymentId(max(map(str, holders))) if holders else None,
        earlier=earlier.components if deployment.restores else (),
        earlier_releases=earlier.releases,
        terms=terms,
        live_replicas=live_replicas,
        steps=steps_of(
            deployment.strategy,
            app.rules.rollout,
            has_baseline=has_baseline and is_canary,
            has_components=bool(deployment.components),
        ),
    )
    return DeploymentSet(replace(target, modules=modules), evolve(deployment, pinned, now))


def _rollout_plan(deployment: Deployment, app: DeploymentsApp) -> RolloutPlan:
    return RolloutPlan(
        order=deployment.order,
        removed=deployment.remove,
        steps=tuple(PlannedStep(step.index, step.pause_s) for step in deployment.steps),
        is_recreate=deployment.strategy.kind is StrategyKind.RECREATE,
        is_gated=analysis.is_gated(deployment),
        ready_s=app.rules.ready_within.total_seconds(),
        gone_s=(app.rules.gone_within + app.rules.rollout.drain).total_seconds(),
        prove_s=app.rules.prove_within.total_seconds(),
        jobs={
            component.module_id: (
                component.runs_once.time_limit + app.rules.ready_within
            ).total_seconds()
            for component in deployment.released_components
            if component.runs_once is not None
        },
    )


async def begin_rollout(ctx: ActivityContext, app: DeploymentsApp) -> None:
    """Commit that instances are going to change: from here on the way out is a rollback.

    Raises:
        EnvironmentNotUsable, BindingSuspended, IsolationBreached, Held, NotInForce.
        CannotStart: of a recreate, the whole quota has no room for it.
    """
    deployment = await load_owned_deployment(ctx, app)
    is_recreate = deployment.strategy.kind is StrategyKind.RECREATE
    if is_recreate and deployment.status in BEFORE_APPLIED:
        context = await plan_context((), deployment.environment_id, ctx, app)
        await require_quota(deployment, context.capabilities, app)

    def decide(known: DeploymentSet, operation: Operation) -> Step[None]:
        if known.deployment.status not in BEFORE_APPLIED:
            return Step(None, operation)
        preconditions.require_admission(
            known.deployment, known.deployment.released_components, known.target
        )
        began = evolve(known.deployment, RolloutBegan(), ctx.now())
        event = events.step_changed(began, 0, "apply", 0)
        progress = operation.begin_step("apply candidate", ctx.now(), percent=10)
        after = replace(known, deployment=began)
        return step(None, progress, known, after, [event], action="BeginRollout")

    await commit_deployment_step(ctx, app, decide, is_recorded=False)
