"""Deploy: put a release into the queues of its modules."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from function_apps.deployments import repository
from function_apps.deployments.errors import CannotBePlanned
from function_apps.deployments.events import requested_event
from function_apps.deployments.model import module_queue, plan_checks, preconditions, release_unit
from function_apps.deployments.model.deployment import Deployment, NewDeployment, new_deployment
from function_apps.deployments.model.deployment_target import DeploymentTarget, QueueEntry
from function_apps.deployments.model.plan_checks import PlanContext
from function_apps.deployments.model.preconditions import WaitReason
from function_apps.deployments.model.rollout_steps import order_of
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.use_cases.upload_artifact import uploaded
from shared.contracts.deployments import Deploy, DeploymentKind, DeploymentPlan
from shared.contracts.promotions import SoakEvidence
from shared.contracts.values import EnvironmentId, Reason
from shared.durable.operations import begin_operation, put_operation
from shared.kernel.context import Context
from shared.kernel.errors import Refused
from shared.kernel.operation import wait
from shared.messaging.unit_of_work import Audited, Decision, Json, Outcome, View
from shared.persistence.store import partition_of

_REPEATED: Final = "repeated"

Prepare = Callable[[], Awaitable[tuple[Deploy, SoakEvidence | None]]]


async def deploy(command: Deploy, ctx: Context, app: DeploymentsApp) -> Outcome[Json]:
    """Put a release into the queues of its modules, or answer the one that is there already.

    Raises:
        CannotBePlanned: every reason why it cannot be done, with its place in the command.
        Held, QueueTaken, NaturalKeyActive, EnvironmentNotUsable, BindingRequired.
    """

    async def prepare() -> tuple[Deploy, SoakEvidence | None]:
        return command, None

    return await request_release(command.environment_id, prepare, ctx, app)


async def request_release(
    environment: EnvironmentId, prepare: Prepare, ctx: Context, app: DeploymentsApp
) -> Outcome[Json]:
    """Put the release that *prepare* gives into the queues of its modules.

    *prepare* runs only when no marker answers the repeat: what it checks may have changed since.
    """
    ids = repository.draw_ids(environment, ctx, app)
    target_id = repository.target_document(environment)
    prepared: tuple[Deploy, SoakEvidence | None, frozenset[str]] | None = None

    async def precheck(_view: View) -> None:
        nonlocal prepared
        command, evidence = await prepare()
        prepared = command, evidence, await uploaded(command.components, ctx, app)

    def decide(view: View) -> Decision[Json]:
        assert prepared is not None
        command, evidence, received = prepared
        target = repository.stored_target(view, environment)
        if repeated := plan_checks.repeated_by(command, target):
            return Decision({_REPEATED: repeated})
        _require_plan(command, plan_context(target, received, app), ctx)
        release = _release(command, ids, target, evidence, ctx)
        return enqueue(release, ids, target, command, ctx, kind="Deploy")

    partition = partition_of(ctx.tenant, environment)
    outcome = await app.service.work.commit(ctx, partition, [target_id], decide, precheck=precheck)
    if _REPEATED not in outcome.value:
        return outcome
    known = await repository.load_set(outcome.value[_REPEATED], ctx, app)
    return Outcome(repository.answer(known.deployment, known.target), is_repeat=True)


def _release(
    command: Deploy,
    ids: NewDeployment,
    target: DeploymentTarget,
    evidence: SoakEvidence | None,
    ctx: Context,
) -> Deployment:
    environment = target.environment
    order, _ = order_of(command.components)
    return new_deployment(
        command,
        ids,
        kind=DeploymentKind.RELEASE,
        tenant_id=ctx.tenant,
        key=plan_checks.natural_key(command),
        origin=repository.origin_of(ctx),
        order=order,
        project_id=environment.project if environment else None,
        stage=environment.stage if environment else None,
        evidence=evidence,
    )


def plan_context(
    target: DeploymentTarget, received: frozenset[str], app: DeploymentsApp
) -> PlanContext:
    """Return the context in which a plan is checked; *received* are the uploaded digests."""
    capabilities = {kind: surface.capabilities() for kind, surface in app.surfaces.items()}
    return PlanContext(target, capabilities, received, app.rules.rollout)


def _require_plan(command: Deploy, context: PlanContext, ctx: Context) -> None:
    if refusals := plan_checks.refusals(command, ctx.tenant, context):
        raise CannotBePlanned(refusals)
    preconditions.blocking_reason(context.target, ctx.tenant)
    preconditions.require_not_held(context.target, command.components, ctx.tenant)


def enqueue(
    deployment: Deployment,
    ids: NewDeployment,
    target: DeploymentTarget,
    command: Deploy,
    ctx: Context,
    *,
    kind: str,
) -> Decision[Json]:
    """Put *deployment* into all its queues at once; start it when it is first in all of them."""
    entry = QueueEntry(
        deployment.deployment_id,
        deployment.operation_id,
        deployment.modules,
        deployment.kind,
        deployment.key,
        plan_checks.content_key(command),
        path_prefixes=tuple(c.path_prefix for c in deployment.components if c.path_prefix),
        depends_on=tuple(sorted({need for c in deployment.components for need in c.depends_on})),
    )
    entered, admitted = module_queue.admit_ready(
        module_queue.enqueue(target, entry, command.on_conflict)
    )
    own = entered.entry(deployment.deployment_id)
    assert own is not None
    deployment = replace(deployment, token=own.token)
    operation, _ = begin_operation(
        ctx,
        ids,
        kind=kind,
        orchestration=repository.ROLL_OUT,
        aggregate_id=deployment.deployment_id,
        resource=f"/v1/runtime/deployments/{deployment.deployment_id}",
    )
    waits_for, _ = preconditions.waiting_for(deployment, entered)
    if waits_for is WaitReason.QUEUE:
        operation = wait(operation, waits_for, waits_for, ids.now)
    requested = requested_event(deployment, waits_for)
    return Decision(
        repository.answer(deployment, entered),
        writes=[
            repository.put_target(entered),
            repository.put_deployment(deployment),
            put_operation(operation),
        ],
        outbox=[
            repository.publish(requested, deployment),
            *(repository.start(one, ctx) for one in admitted),
        ],
        audited=Audited(kind, deployment.deployment_id),
    )


async def plan_deployment(command: Deploy, ctx: Context, app: DeploymentsApp) -> DeploymentPlan:
    """Return the plan of *command* with every refusal; change nothing."""
    target = await repository.load_target(command.environment_id, ctx, app)
    context = plan_context(target, await uploaded(command.components, ctx, app), app)
    refusals = [
        Reason(code=refusal.code, message=f"{refusal.target}: {refusal.message}"[:2048])
        for refusal in plan_checks.refusals(command, ctx.tenant, context)
    ]
    modules = {*(component.module_id for component in command.components), *command.remove}
    waits_for: str | None = None
    try:
        waits_for = preconditions.blocking_reason(target, ctx.tenant)
        preconditions.require_not_held(target, command.components, ctx.tenant)
        plan_checks.repeated_by(command, target)
        module_queue.require_free(target, modules, command.on_conflict)
    except Refused as refusal:
        refusals.append(Reason(code=refusal.code, message=refusal.message))
    order, _ = order_of(command.components)
    is_queued = any({*entry.modules} & modules for entry in target.queue)
    return DeploymentPlan(
        environment_id=command.environment_id,
        release_ref=command.release_ref,
        strategy=command.strategy,
        components=release_unit.planned(
            command.components, command.environment_id, ctx.tenant, target
        ),
        order=order,
        refusals=tuple(refusals[:100]),
        waiting_for=waits_for or (WaitReason.QUEUE if is_queued else None),
    )
