"""Deploy: put a release into the queues of its modules."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from function_apps.deployments import events
from function_apps.deployments.errors import CannotBePlanned, NaturalKeyActive
from function_apps.deployments.model import (
    bound_secrets,
    module_queue,
    plan_checks,
    preconditions,
)
from function_apps.deployments.model.configuration import Configurations
from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.model.deployment_target import DeploymentTarget
from function_apps.deployments.model.facts import SECRET
from function_apps.deployments.model.module_queue import Keys
from function_apps.deployments.model.plan_checks import Plan, PlanContext
from function_apps.deployments.model.preconditions import WaitReason
from function_apps.deployments.model.prod_change import prod_change
from function_apps.deployments.model.promotion import Source
from function_apps.deployments.model.release_decision import (
    Entered,
    Refuse,
    ReleaseDecision,
    decide_release,
    enter,
    is_answered_by,
)
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.repository import (
    DEPLOY,
    DEPLOYMENTS,
    ROLL_OUT,
    TARGETS,
)
from function_apps.deployments.resources import answer
from function_apps.deployments.use_cases import plan_warnings
from function_apps.deployments.use_cases.pin_configuration import configure, keep_merges
from function_apps.deployments.use_cases.pin_images import pin_images
from function_apps.deployments.use_cases.plan_warnings import LISTED_MAX, Effects
from function_apps.deployments.use_cases.planned_removals import planned_removals
from function_apps.deployments.use_cases.upload_artifact import uploaded
from shared.contracts.components import Component
from shared.contracts.deployment_plans import DeploymentPlan
from shared.contracts.deployments import Deploy
from shared.contracts.promotions import SoakEvidence
from shared.contracts.releases import ReleasedComponent
from shared.contracts.values import ComputeTargetKind, EnvironmentId, Reason
from shared.durable.operations import OPERATIONS, OperationInput, OperationKind, begin_operation
from shared.kernel.asked_once import AskedOnce
from shared.kernel.context import Context, NewIds
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Refused, Unavailable, Violation
from shared.messaging.outbox import Audited
from shared.messaging.unit_of_work import Decision, Json, Outcome, View
from shared.surfaces.capabilities import Capabilities

AskEvidence = Callable[[], Awaitable[SoakEvidence | None]]
"""Returns the evidence for a promotion. Raises NotPromotable, EvidenceRequired."""


@dataclass(frozen=True)
class _Release:
    """A command with the digests of its images, what it would be given, and what it repeats."""

    command: Deploy
    given: Configurations
    keys: Keys
    repeats: Deployment | None


class _Outside:
    """Asks outside about *command*, each thing once, however often its decision is made.

    While a slow answer is asked for again, other writers would come first again.
    """

    def __init__(
        self,
        command: Deploy,
        ask_evidence: AskEvidence | None,
        source: Source | None,
        ctx: Context,
        app: DeploymentsApp,
    ) -> None:
        self.command, self.source, self.ctx, self.app = command, source, ctx, app
        self._ask_evidence = ask_evidence
        self._pinned: Deploy | None = None
        self.once = AskedOnce()

    async def pinned(self, target: DeploymentTarget) -> Deploy:
        """Return the command with the digests of its images, if it has any.

        No registry is asked about what cannot be.

        Raises:
            CannotBePlanned, Unavailable: as `deploy`.
        """
        if not any(component.image for component in self.command.components):
            return self.command
        if self._pinned is None:
            context, tenant = await self.context(), self.ctx.tenant
            plan_checks.require_plan(self.command, tenant, target, target.queue, context)
            self._pinned = await pin_images(self.command, target, self.app)
        return self._pinned

    async def evidence(self) -> SoakEvidence | None:
        """Return the evidence for a promotion. Raises NotPromotable, EvidenceRequired."""
        if self._ask_evidence is None:
            return None
        return await self.once.ask("evidence", self._ask_evidence)

    async def context(self) -> PlanContext:
        """Return what the plan is checked against besides the target and the configuration."""
        components, environment_id = self.command.components, self.command.environment_id
        return await self.once.ask(
            "context", lambda: plan_context(components, environment_id, self.ctx, self.app)
        )

    async def effects(self, command: Deploy, plan: Plan, target: DeploymentTarget) -> Effects:
        """Return what *plan*, which nothing refuses, comes to beside what runs.

        Said anew of each plan; surfaces are asked once.
        """
        tenant, context = self.ctx.tenant, await self.context()
        return await plan_warnings.of_plan(
            command, plan, self.source, target, tenant, context, self.app, self.once
        )


async def deploy(
    command: Deploy,
    ctx: Context,
    app: DeploymentsApp,
    *,
    ask_evidence: AskEvidence | None = None,
    source: Source | None = None,
) -> Outcome[Json]:
    """Put a release into the queues of its modules, or answer the one that is there already.

    One whose document is lost answers nobody: the release is deployed anew.
    The answer has the warnings of its dry run. *source* is what is promoted.
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
    outside = _Outside(command, ask_evidence, source, ctx, app)

    async def decide(view: View) -> Decision[Json]:
        target = view.get(TARGETS, environment_id)
        release = await _identify(target, outside, ctx, app, _raise)
        if release.repeats is not None:
            said = plan_warnings.of_repeat(release.command).warnings
            return Decision(answer(release.repeats, target, said), is_repeat=True)
        decided = await _decide(release, target, outside, ids, ctx, _raise)
        assert decided.entered is not None, environment_id
        await keep_merges(release.given, ctx, app)
        effects = await outside.effects(release.command, decided.plan, target)
        decision = _queued(decided.entered, ids, ctx, kind=DEPLOY, warnings=effects.warnings)
        if app.prod_policy is None:
            return decision
        change = prod_change(release.command, target, source.stage if source else None)
        return await app.prod_policy.permit(decision, change, ctx, outside.once)

    return await app.service.work.change(ctx, TARGETS, environment_id, decide)


async def plan_deployment(
    command: Deploy,
    ctx: Context,
    app: DeploymentsApp,
    *,
    ask_evidence: AskEvidence | None = None,
    source: Source | None = None,
) -> DeploymentPlan:
    """Return the plan of *command* with every refusal that `deploy` would give; change nothing.

    The refusals stand in the order in which `deploy` meets them. A repeat is answered, not refused.

    Raises:
        Stale: as `deploy`.
        Unavailable: a registry of its images is away.
    """
    environment_id = command.environment_id
    ids = NewIds.draw(ctx, app.service.public_name, environment_id)
    view = await app.service.work.read_for_plan(TARGETS, environment_id, ctx)
    target = view.get(TARGETS, environment_id)
    outside = _Outside(command, ask_evidence, source, ctx, app)
    refused: list[Refused] = []
    release = await _identify(target, outside, ctx, app, refused.append)
    command, waits_for = release.command, None
    reasons: list[Reason] = []
    repeats = release.repeats
    if repeats is not None:
        context = replace(await outside.context(), configurations=release.given)
        plan = plan_checks.plan(command, ctx.tenant, target, target.queue, context)
        waits_for, _ = preconditions.waiting_for(repeats, target)
        effects = plan_warnings.of_repeat(command)
    else:
        decided = await _decide(release, target, outside, ids, ctx, refused.append)
        reasons += [reason for each in refused for reason in _reasons(each)]
        plan, entered = decided.plan, decided.entered
        if entered is not None:
            waits_for, _ = preconditions.waiting_for(entered.deployment, entered.target)
        if not any(isinstance(each, CannotBePlanned) for each in refused):
            reasons += await _policy_reasons(command, target, source, ctx, app)
        if reasons:
            effects = plan_warnings.of_refused(command, plan, source)
        else:
            effects = await outside.effects(command, plan, target)
    return DeploymentPlan(
        environment_id=environment_id,
        release_ref=command.release_ref,
        strategy=command.strategy,
        components=plan.components,
        order=plan.order,
        removals=await planned_removals(command, target, ctx, app),
        refusals=tuple(dict.fromkeys(reasons))[:LISTED_MAX],
        replicas=effects.replicas,
        warnings=effects.warnings,
        waiting_for=waits_for,
        repeats=repeats.deployment_id if repeats else None,
    )


async def _policy_reasons(
    command: Deploy,
    target: DeploymentTarget,
    source: Source | None,
    ctx: Context,
    app: DeploymentsApp,
) -> Sequence[Reason]:
    """Return why the policy for prod does not allow *command*."""
    if app.prod_policy is None:
        return ()
    try:
        change = prod_change(command, target, source.stage if source else None)
        denied = await app.prod_policy.refusals(change, ctx)
    except Refused as refusal:
        return [*_reasons(refusal)]
    return [_reason(each) for each in denied]


def _reasons(refusal: Refused) -> Iterator[Reason]:
    """Yield why a command is refused, each by itself."""
    if isinstance(refusal, CannotBePlanned):
        yield from map(_reason, refusal.details)
    else:
        yield Reason(code=refusal.code, message=refusal.message[:2048])


def _reason(violation: Violation) -> Reason:
    return Reason(code=violation.code, message=f"{violation.target}: {violation.message}"[:2048])


def _raise(refusal: Refused) -> None:
    raise refusal


async def _identify(
    target: DeploymentTarget, outside: _Outside, ctx: Context, app: DeploymentsApp, refuse: Refuse
) -> _Release:
    """Return what tells the command from other releases, and the deployment that it repeats.

    Raises:
        Unavailable: a registry is away, or the content of a layer is not there.
    """
    command, repeats = outside.command, None
    is_identified = False
    try:
        command = await outside.pinned(target)
        is_identified = True
    except CannotBePlanned as refusal:
        refuse(refusal)
    given = await configure(command, target, ctx, app)
    facts = [f for f in target.facts.values() if f.kind == SECRET and f.version and f.vault]
    secrets = [(fact.module, bound_secrets.to_released_secret(fact)) for fact in facts]
    keys = module_queue.keys_of(command, given.pins, secrets)
    known = module_queue.repeated_by(command, keys, target) if is_identified else None
    if known is not None:
        repeats = await app.service.work.find(DEPLOYMENTS, known, ctx.tenant)
    if repeats is not None and not is_answered_by(repeats, keys, target):
        repeats = None
    if repeats is not None and module_queue.has_other_content(repeats.deployment_id, keys, target):
        refuse(NaturalKeyActive(repeats.deployment_id))
        repeats = None
    return _Release(command, given, keys, repeats)


async def _decide(
    release: _Release,
    target: DeploymentTarget,
    outside: _Outside,
    ids: NewIds,
    ctx: Context,
    refuse: Refuse,
) -> ReleaseDecision:
    """Decide on *release*, which repeats nothing.

    Raises:
        Unavailable: as `decide_release`, or who knows the evidence is away.
    """
    evidence: SoakEvidence | None = None
    try:
        evidence = await outside.evidence()
    except Refused as refusal:
        refuse(refusal)
    context = replace(await outside.context(), configurations=release.given)
    return decide_release(
        release.command, release.keys, context, evidence, target, ids, ctx, refuse
    )


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


def enter_queue(
    deployment: Deployment,
    components: Sequence[ReleasedComponent],
    content: str,
    ids: NewIds,
    target: DeploymentTarget,
    ctx: Context,
    *,
    kind: OperationKind,
    warnings: Sequence[str] = (),
) -> Decision[Json]:
    """Put *deployment* of *components* into its queues; start it when it is first in all of them.

    *content* is the key of its command's content.
    """
    preconditions.require_admission(deployment, components, target)
    entered = enter(deployment, content, target)
    return _queued(entered, ids, ctx, kind=kind, warnings=warnings)


def _queued(
    entered: Entered, ids: NewIds, ctx: Context, *, kind: OperationKind, warnings: Sequence[str]
) -> Decision[Json]:
    """Write what *entered* the queues, with its operation, and start what may start."""
    deployment = entered.deployment
    path = f"/v1/runtime/deployments/{deployment.deployment_id}"
    operation, _ = begin_operation(kind, deployment.deployment_id, path, ids, ctx)
    waits_for, _ = preconditions.waiting_for(deployment, entered.target)
    if waits_for is WaitReason.QUEUE:
        operation = operation.wait(waits_for, waits_for, ids.now)
    starts = (
        OperationInput(ctx.tenant, entry.deployment).start(ROLL_OUT, entry.operation)
        for entry in entered.admitted
    )
    return Decision(
        answer(deployment, entered.target, warnings),
        writes=[
            TARGETS.put(entered.target),
            DEPLOYMENTS.put(deployment),
            OPERATIONS.put(operation),
        ],
        outbox=[events.requested(deployment, waits_for), *starts],
        audited=Audited(kind.name, deployment.deployment_id),
    )
