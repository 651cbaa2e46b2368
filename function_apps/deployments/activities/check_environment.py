"""Waits until the environment takes the deployment, and checks everything again."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Final

from function_apps.deployments import repository
from function_apps.deployments.activities.inputs import (
    WaitState,
    WaitStatus,
)
from function_apps.deployments.model import (
    module_queue,
    plan_checks,
    preconditions,
    promotion,
    relocation,
    repair,
    secret_rollout,
)
from function_apps.deployments.model.deployment import (
    Deployment,
    deploy_command,
    evolve,
)
from function_apps.deployments.model.deployment_target import DeploymentTarget
from function_apps.deployments.model.lifecycle import (
    EnvironmentReady,
)
from function_apps.deployments.model.plan_checks import PlanContext
from function_apps.deployments.model.promotion import Source
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
from shared.contracts.deployments import DeploymentKind, DeploymentStatus
from shared.durable.activity import ActivityContext, Step
from shared.kernel.ids import ModuleId
from shared.kernel.operation import Operation

ENVIRONMENT_POLL_EVERY: Final = timedelta(minutes=15)
"""Of an environment on its way: a lost external event of it costs no more than this."""


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
    return target, await repository.load_deployments(
        target.module(module).released_in, ctx.partition, app
    )


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
