"""Deploy: put a release into the queues of its modules."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from function_apps.deployments import events, repository
from function_apps.deployments.errors import CannotBePlanned
from function_apps.deployments.model import module_queue, plan_checks, preconditions
from function_apps.deployments.model.deployment import Deployment, NewDeployment, new_deployment
from function_apps.deployments.model.deployment_target import DeploymentTarget, QueueEntry
from function_apps.deployments.model.plan_checks import PlanContext
from function_apps.deployments.model.preconditions import WaitReason
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.resources import answer
from function_apps.deployments.use_cases.upload_artifact import uploaded
from shared.contracts.components import Component
from shared.contracts.deployments import Deploy, DeploymentKind, DeploymentPlan
from shared.contracts.promotions import SoakEvidence
from shared.contracts.values import Reason
from shared.durable.operations import OperationInput, begin_operation, put_operation
from shared.kernel.context import Context
from shared.kernel.errors import Refused
from shared.kernel.operation import wait
from shared.messaging.unit_of_work import Audited, Decision, Json, Outcome, View
from shared.persistence.store import partition_of

_Checked = tuple[PlanContext, SoakEvidence | None]
"""What was found outside before the decision."""


async def deploy(
    command: Deploy,
    ctx: Context,
    app: DeploymentsApp,
    *,
    ask_evidence: Callable[[], Awaitable[SoakEvidence | None]] | None = None,
) -> Outcome[Json]:
    """Put a release into the queues of its modules, or answer the one that is there already.

    *ask_evidence* is called only when no marker answers the repeat: its answer changes with time.

    Raises:
        CannotBePlanned: every reason why it cannot be done, with its place in the command.
        Held, QueueTaken, NaturalKeyActive, EnvironmentNotUsable, BindingRequired.
    """
    ids = repository.draw_ids(command.environment_id, ctx, app)
    checked: _Checked | None = None

    async def precheck(_view: View) -> None:
        nonlocal checked
        evidence = await ask_evidence() if ask_evidence else None
        checked = await plan_context(command.components, ctx, app), evidence

    keys = module_queue.keys_of(command)
    is_repeat = False

    def repeated(view: View) -> Sequence[str]:
        target = repository.stored_target(view, command.environment_id)
        known = module_queue.repeated_by(command, keys, target)
        return [known] if known else []

    def decide(view: View) -> Decision[Json]:
        nonlocal is_repeat
        assert checked is not None
        target = repository.stored_target(view, command.environment_id)
        for known in repeated(view):
            is_repeat = True
            return Decision(answer(repository.stored_deployment(view, known), target))
        return _release(command, keys, ids, target, checked, ctx)

    partition = partition_of(ctx.tenant, command.environment_id)
    document = repository.target_document(command.environment_id)
    outcome = await app.service.work.commit(
        ctx, partition, [document], decide, precheck=precheck, linked=repeated
    )
    return replace(outcome, is_repeat=outcome.is_repeat or is_repeat)


def _release(
    command: Deploy,
    keys: module_queue.Keys,
    ids: NewDeployment,
    target: DeploymentTarget,
    checked: _Checked,
    ctx: Context,
) -> Decision[Json]:
    """Plan the release on *target* and put it into its queues, or refuse it."""
    context, evidence = checked
    plan = plan_checks.plan(command, ctx.tenant, target, target.queue, context)
    if plan.refusals:
        raise CannotBePlanned(plan.refusals)
    preconditions.blocking_reason(target, ctx.tenant)
    preconditions.require_not_held(target, plan.units)
    release = new_deployment(
        command,
        ids,
        kind=DeploymentKind.RELEASE,
        key=keys.natural,
        order=plan.order,
        project_id=target.environment.project if target.environment else None,
        stage=target.environment.stage if target.environment else None,
        evidence=evidence,
    )
    return enqueue(release, keys.content, ids, target, ctx, kind="Deploy")


async def plan_context(
    components: Sequence[Component], ctx: Context, app: DeploymentsApp
) -> PlanContext:
    """Return what the plan of *components* is checked against besides the target."""
    received = await uploaded(components, ctx, app)
    capabilities = {kind: surface.capabilities() for kind, surface in app.surfaces.items()}
    return PlanContext(capabilities, received, app.rules.rollout)


def enqueue(
    deployment: Deployment,
    content: str,
    ids: NewDeployment,
    target: DeploymentTarget,
    ctx: Context,
    *,
    kind: str,
) -> Decision[Json]:
    """Put *deployment* into all its queues at once; start it when it is first in all of them.

    *content* is the key of its command's content.
    """
    entry = QueueEntry(
        deployment.deployment_id,
        deployment.operation_id,
        deployment.modules,
        deployment.kind,
        deployment.key,
        content,
        path_prefixes=tuple(c.path_prefix for c in deployment.components if c.path_prefix),
        depends_on=tuple(sorted({need for c in deployment.components for need in c.depends_on})),
    )
    entered, admitted = module_queue.enqueue(target, entry, deployment.on_conflict)
    own = next((one for one in admitted if one.deployment == deployment.deployment_id), entry)
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
    return Decision(
        answer(deployment, entered),
        writes=[
            repository.put(entered),
            repository.put(deployment),
            put_operation(operation),
        ],
        outbox=[
            events.requested(deployment, waits_for),
            *(
                OperationInput(ctx.tenant, one.deployment).start(repository.ROLL_OUT, one.operation)
                for one in admitted
            ),
        ],
        audited=Audited(kind, deployment.deployment_id),
    )


async def plan_deployment(command: Deploy, ctx: Context, app: DeploymentsApp) -> DeploymentPlan:
    """Return the plan of *command* with every refusal; change nothing.

    Raises:
        Stale: as `deploy`.
    """
    environment = command.environment_id
    partition, document = (
        partition_of(ctx.tenant, environment),
        repository.target_document(environment),
    )
    view = await app.service.work.read_for_plan(ctx, partition, document)
    target = repository.stored_target(view, environment)
    context = await plan_context(command.components, ctx, app)
    plan = plan_checks.plan(command, ctx.tenant, target, target.queue, context)
    refusals = [
        Reason(code=refusal.code, message=f"{refusal.target}: {refusal.message}"[:2048])
        for refusal in plan.refusals
    ]
    modules = {*(component.module_id for component in command.components), *command.remove}
    waits_for: str | None = None
    try:
        waits_for = preconditions.blocking_reason(target, ctx.tenant)
        preconditions.require_not_held(target, plan.units)
        module_queue.repeated_by(command, module_queue.keys_of(command), target)
        module_queue.require_free(target, modules, command.on_conflict)
    except Refused as refusal:
        refusals.append(Reason(code=refusal.code, message=refusal.message))
    is_queued = any({*entry.modules} & modules for entry in target.queue)
    return DeploymentPlan(
        environment_id=command.environment_id,
        release_ref=command.release_ref,
        strategy=command.strategy,
        components=plan.units,
        order=plan.order,
        refusals=tuple(refusals[:100]),
        waiting_for=waits_for or (WaitReason.QUEUE if is_queued else None),
    )
