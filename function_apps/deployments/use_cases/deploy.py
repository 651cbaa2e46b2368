"""Deploy: put a release into the queues of its modules."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Final

from function_apps.deployments import events
from function_apps.deployments.errors import CannotBePlanned
from function_apps.deployments.model import (
    module_queue,
    plan_checks,
    preconditions,
)
from function_apps.deployments.model.configuration import Configurations
from function_apps.deployments.model.deployment import Deployment, evolve, new_deployment
from function_apps.deployments.model.deployment_target import DeploymentTarget, QueueEntry
from function_apps.deployments.model.facts import SECRET
from function_apps.deployments.model.holds import require_not_held
from function_apps.deployments.model.lifecycle import refused
from function_apps.deployments.model.plan_checks import Plan, PlanContext
from function_apps.deployments.model.preconditions import WaitReason
from function_apps.deployments.model.prod_change import prod_change
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.repository import (
    DEPLOY,
    DEPLOYMENTS,
    ROLL_OUT,
    TARGETS,
    ended_operation,
)
from function_apps.deployments.resources import answer
from function_apps.deployments.use_cases.pin_configuration import configure, keep_merges
from function_apps.deployments.use_cases.pin_images import pin_images
from function_apps.deployments.use_cases.planned_removals import planned_removals
from function_apps.deployments.use_cases.room_in_quotas import quota_warnings
from function_apps.deployments.use_cases.upload_artifact import uploaded
from shared.contracts.components import Component
from shared.contracts.deployments import (
    Deploy,
    DeploymentKind,
    DeploymentPlan,
    EndReason,
)
from shared.contracts.promotions import SoakEvidence
from shared.contracts.releases import ReleasedComponent
from shared.contracts.values import ComputeTargetKind, EnvironmentId, Reason, Stage
from shared.durable.operations import OPERATIONS, OperationInput, OperationKind, begin_operation
from shared.kernel.context import Context, NewIds
from shared.kernel.errors import Refused, Unavailable, Violation
from shared.messaging.outbox import Audited
from shared.messaging.unit_of_work import Decision, Json, Outcome, View
from shared.persistence.codec import Put
from shared.policies.prod_policy import Answers
from shared.surfaces.capabilities import Capabilities

LISTED_MAX: Final = 100
"""Of the refusals and of the warnings of a plan, as many as it shows."""

AskEvidence = Callable[[], Awaitable[SoakEvidence | None]]
"""Returns the evidence for a promotion. Raises NotPromotable, EvidenceRequired."""


async def deploy(
    command: Deploy,
    ctx: Context,
    app: DeploymentsApp,
    *,
    ask_evidence: AskEvidence | None = None,
    promoted_from: Stage | None = None,
) -> Outcome[Json]:
    """Put a release into the queues of its modules, or answer the one that is there already.

    One whose document is lost answers nobody: the release is deployed anew.
    *ask_evidence* is called, once, only when nothing answers the repeat: its answer changes with
    time. So does the digest of an image by tag, which tells a repeat from another release: it is
    asked for once, before. The policy for prod is asked last, about what would be committed.

    Raises:
        CannotBePlanned: every reason why it cannot be done, with its place in the command.
        Held, QueueTaken, NaturalKeyActive, EnvironmentNotUsable, BindingRequired.
        PolicyDenied: it changes prod, and the operator's rules do not allow it.
        Unavailable: a registry of its images is away.
    """
    environment_id = command.environment_id
    ids = NewIds.draw(ctx, app.service.public_name, environment_id)
    answers: Answers = []
    evidence: SoakEvidence | None = None
    context: PlanContext | None = None
    pinned: Deploy | None = None

    async def decide(view: View) -> Decision[Json]:
        nonlocal evidence, context, pinned
        target = view.get(TARGETS, environment_id)
        if pinned is None:
            pinned = await _with_digests(command, target, ctx, app)
        given = await configure(pinned, target, ctx, app)
        bound = [(f.module, f.name, f.value) for f in target.facts.values() if f.kind == SECRET]
        keys = module_queue.keys_of(pinned, given.pins, bound)
        known = module_queue.repeated_by(pinned, keys, target)
        if known is not None:
            deployment = await app.service.work.find(DEPLOYMENTS, known, ctx.tenant)
            if deployment is not None:
                return Decision(answer(deployment, target), is_repeat=True)
        if context is None:
            # Once: while a slow answer is asked for again, other writers would come first again.
            evidence = await ask_evidence() if ask_evidence else None
            context = await plan_context(pinned.components, environment_id, ctx, app)
        context = replace(context, configurations=given)
        plan = plan_checks.plan(pinned, ctx.tenant, target, target.queue, context)
        if plan.refusals:
            raise CannotBePlanned(plan.refusals)
        await keep_merges(given, ctx, app)
        release = _release(pinned, plan, keys, given, ids, target, ctx, evidence)
        if app.prod_policy is None:
            return release
        change = prod_change(pinned, target, promoted_from)
        return await app.prod_policy.permit(release, change, ctx, answers)

    return await app.service.work.change(ctx, TARGETS, environment_id, decide)


async def _with_digests(
    command: Deploy,
    target: DeploymentTarget,
    ctx: Context,
    app: DeploymentsApp,
    context: PlanContext | None = None,
) -> Deploy:
    """Return *command* with the digests of its images, if it has any.

    No registry is asked about what cannot be.

    Raises:
        CannotBePlanned, Unavailable: as `deploy`.
    """
    if not any(component.image for component in command.components):
        return command
    context = context or await plan_context(command.components, command.environment_id, ctx, app)
    plan_checks.require_plan(command, ctx.tenant, target, target.queue, context)
    return await pin_images(command, target, app)


async def plan_deployment(
    command: Deploy,
    ctx: Context,
    app: DeploymentsApp,
    *,
    ask_evidence: AskEvidence | None = None,
    promoted_from: Stage | None = None,
) -> DeploymentPlan:
    """Return the plan of *command* with every refusal that `deploy` would give; change nothing.

    Raises:
        Stale: as `deploy`.
        Unavailable: a registry of its images is away.
    """
    environment_id = command.environment_id
    ids = NewIds.draw(ctx, app.service.public_name, environment_id)
    view = await app.service.work.read_for_plan(TARGETS, environment_id, ctx)
    target = view.get(TARGETS, environment_id)
    refusals: list[Reason] = []
    given = await configure(command, target, ctx, app)
    context = await plan_context(command.components, environment_id, ctx, app)
    context = replace(context, configurations=given)
    command, plan = await _plan_with_digests(command, target, context, ctx, app)
    bound = [(f.module, f.name, f.value) for f in target.facts.values() if f.kind == SECRET]
    keys = module_queue.keys_of(command, given.pins, bound)
    waits_for: str | None = None
    is_new = False
    with _listed(refusals):
        known = module_queue.repeated_by(command, keys, target)
        is_new = not known or await app.service.work.find(DEPLOYMENTS, known, ctx.tenant) is None
    if is_new and ask_evidence:
        with _listed(refusals):
            await ask_evidence()
    refusals += map(_reason, plan.refusals)
    if is_new and not plan.refusals:
        refusals += await _policy_refusals(command, target, promoted_from, ctx, app)
    kept_out = _admission_refusals(plan, target, ctx) if is_new else ()
    refusals += kept_out
    if is_new and not kept_out:
        with _listed(refusals):
            waits_for = _release(command, plan, keys, given, ids, target, ctx).value["waitingFor"]
    warnings = [*command.warnings]
    if is_new and not refusals:
        warnings += await quota_warnings(command, plan.components, ctx.tenant, context, app)
    return DeploymentPlan(
        environment_id=environment_id,
        release_ref=command.release_ref,
        strategy=command.strategy,
        components=plan.components,
        order=plan.order,
        removals=await planned_removals(command, target, ctx, app),
        refusals=tuple(refusals[:LISTED_MAX]),
        warnings=tuple(warnings[:LISTED_MAX]),
        waiting_for=waits_for,
    )


async def _plan_with_digests(
    command: Deploy,
    target: DeploymentTarget,
    context: PlanContext,
    ctx: Context,
    app: DeploymentsApp,
) -> tuple[Deploy, Plan]:
    """Return *command* with the digests of its images, if they can be had, and its plan.

    Raises:
        Unavailable: a registry is away.
    """
    refusals: tuple[Violation, ...] = ()
    try:
        command = await _with_digests(command, target, ctx, app, context)
    except CannotBePlanned as problem:
        refusals = problem.details
    plan = plan_checks.plan(command, ctx.tenant, target, target.queue, context)
    return command, replace(plan, refusals=plan.refusals or refusals)


async def _policy_refusals(
    command: Deploy,
    target: DeploymentTarget,
    promoted_from: Stage | None,
    ctx: Context,
    app: DeploymentsApp,
) -> Sequence[Reason]:
    """Return why the policy for prod does not allow *command*."""
    refusals: list[Reason] = []
    if app.prod_policy is not None:
        with _listed(refusals):
            change = prod_change(command, target, promoted_from)
            refusals += map(_reason, await app.prod_policy.refusals(change, ctx))
    return refusals


def _reason(refusal: Violation) -> Reason:
    return Reason(code=refusal.code, message=f"{refusal.target}: {refusal.message}"[:2048])


def _admission_refusals(plan: Plan, target: DeploymentTarget, ctx: Context) -> Sequence[Reason]:
    """Return what keeps a release from the queue, each by itself.

    A release is refused by the first; whoever reads a plan is to mend all of them.
    """
    refusals: list[Reason] = []
    with _listed(refusals):
        preconditions.blocking_reason(target, ctx.tenant)
    for component in plan.components:
        with _listed(refusals):
            require_not_held(target.holds, [component])
    return refusals


@contextmanager
def _listed(refusals: list[Reason]) -> Iterator[None]:
    """Put what is refused within into *refusals*."""
    try:
        yield
    except Refused as refusal:
        refusals.append(Reason(code=refusal.code, message=refusal.message[:2048]))


async def plan_context(
    components: Sequence[Component],
    environment_id: EnvironmentId,
    ctx: Context,
    app: DeploymentsApp,
) -> PlanContext:
    """Return what the plan of *components* is checked against besides the target.

    A surface that is away stops only what needs it.
    """
    received = await uploaded(components, ctx, app)
    capabilities: dict[ComputeTargetKind, Capabilities] = {}
    for kind, surface in app.surfaces.items():
        try:
            capabilities[kind] = surface.capabilities()
        except Unavailable:
            await surface.inventory(environment_id)  # a cluster tells with the first read of it
            with suppress(Unavailable):
                capabilities[kind] = surface.capabilities()
    away = app.surfaces.keys() - capabilities.keys()
    return PlanContext(capabilities, received, app.rules.rollout, away)


def _release(
    command: Deploy,
    plan: Plan,
    keys: module_queue.Keys,
    given: Configurations,
    ids: NewIds,
    target: DeploymentTarget,
    ctx: Context,
    evidence: SoakEvidence | None = None,
) -> Decision[Json]:
    release = new_deployment(
        command,
        ids,
        ctx,
        kind=DeploymentKind.RELEASE,
        key=keys.natural,
        order=plan.order,
        project_id=target.environment.project if target.environment else None,
        stage=target.environment.stage if target.environment else None,
        evidence=evidence,
        pins=given.pins,
    )
    return enter_queue(release, plan.components, keys.content, ids, target, ctx, kind=DEPLOY)


def enter_queue(
    deployment: Deployment,
    components: Sequence[ReleasedComponent],
    content: str,
    ids: NewIds,
    target: DeploymentTarget,
    ctx: Context,
    *,
    kind: OperationKind,
) -> Decision[Json]:
    """Put *deployment* of *components* into its queues; start it when it is first in all of them.

    *content* is the key of its command's content.
    """
    preconditions.require_admission(deployment, components, target)
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
    own = next((other for other in admitted if other.deployment == deployment.deployment_id), entry)
    deployment = replace(deployment, token=own.token)
    operation, _ = begin_operation(
        kind,
        deployment.deployment_id,
        f"/v1/runtime/deployments/{deployment.deployment_id}",
        ids,
        ctx,
    )
    waits_for, _ = preconditions.waiting_for(deployment, entered)
    if waits_for is WaitReason.QUEUE:
        operation = operation.wait(waits_for, waits_for, ids.now)
    starts = (
        OperationInput(ctx.tenant, entry.deployment).start(ROLL_OUT, entry.operation)
        for entry in admitted
    )
    return Decision(
        answer(deployment, entered),
        writes=[TARGETS.put(entered), DEPLOYMENTS.put(deployment), OPERATIONS.put(operation)],
        outbox=[events.requested(deployment, waits_for), *starts],
        audited=Audited(kind.name, deployment.deployment_id),
    )


def end_at_once(
    deployment: Deployment,
    problem: Refused,
    ids: NewIds,
    ctx: Context,
    *,
    kind: OperationKind,
    writes: Sequence[Put] = (),
) -> Decision[Json]:
    """Say by a deployment that enters no queue why what a service asked for is not done."""
    reason = EndReason(code=problem.code, message=problem.message)
    ended = evolve(deployment, refused(reason), ids.now)
    path = f"/v1/runtime/deployments/{ended.deployment_id}"
    operation, _ = begin_operation(kind, ended.deployment_id, path, ids, ctx)
    return Decision(
        {},
        writes=[
            DEPLOYMENTS.put(ended),
            OPERATIONS.put(ended_operation(operation, ended, ctx)),
            *writes,
        ],
        outbox=[events.ended(ended)],
        audited=Audited(kind.name, ended.deployment_id, ended.status),
    )
