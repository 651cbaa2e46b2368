"""Fixes the release unit once, and what it replaces."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from function_apps.deployments import repository
from function_apps.deployments.activities.inputs import (
    PlannedStep,
    RolloutPlan,
)
from function_apps.deployments.activities.observe_surface import live_components, surfaces_of
from function_apps.deployments.errors import UnknownRelease
from function_apps.deployments.model import (
    analysis,
    jobs,
    promotion,
    release_unit,
    replicas,
    traffic_split,
)
from function_apps.deployments.model.deployment import (
    Deployment,
    evolve,
)
from function_apps.deployments.model.lifecycle import (
    RolloutTerms,
    UnitPinned,
)
from function_apps.deployments.model.predecessors import Predecessors, earlier_than, in_force
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
from shared.contracts.deployments import DeploymentKind, DeploymentStatus
from shared.contracts.strategies import StrategyKind
from shared.durable.activity import ActivityContext, Step
from shared.kernel.ids import DeploymentId, ModuleId
from shared.kernel.operation import Operation
from shared.surfaces.observed_state import LiveComponent


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
    deployments = await repository.load_deployments(sorted(holders), ctx.partition, app)
    replaced = in_force(known.target, known.deployment.modules, deployments)
    is_rollback = known.deployment.kind is DeploymentKind.ROLLBACK
    terms = {
        module: deployments[release].terms_of(module)
        for module, release in restored.items()
        if release in deployments
    }
    return replaced, earlier_than(restored, deployments) if is_rollback else replaced, terms


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
