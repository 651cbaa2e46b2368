"""Deploy and PromoteDeployment: the ways in for a release."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import shared.kernel.operation as operations
from function_apps.deployments.errors import CannotBePlanned, NaturalKeyActive
from function_apps.deployments.model import access, planning, telling, units
from function_apps.deployments.model import target as targets
from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.model.promotion import (
    Source,
    command_of,
    evidence_of,
    refuse_unsoaked,
)
from function_apps.deployments.model.target import Claim, Target
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.use_cases.artifacts import uploaded
from function_apps.deployments.use_cases.dossier import (
    ROLL_OUT,
    Ticket,
    answer,
    dossier,
    environment_of,
    origin_of,
    place,
    publish,
    start,
    writes,
)
from shared.contracts.deployments import Deploy, DeploymentKind, DeploymentPlan
from shared.contracts.promotions import PromoteDeployment, SoakEvidence
from shared.contracts.values import Reason
from shared.kernel.errors import Refused
from shared.kernel.ids import DeploymentId, OperationId, deployment_id, operation_id, parse_id
from shared.kernel.scope import Scope
from shared.messaging.cause import Cause
from shared.messaging.legacy_unit_of_work import Audited, Decision, Outcome, View
from shared.messaging.outbox import Row

_REPEATED = "repeated"


async def deploy(
    command: Deploy,
    *,
    scope: Scope,
    cause: Cause,
    app: DeploymentsApp,
    evidence: SoakEvidence | None = None,
) -> Outcome:
    """Put a release into the queues of its modules, or answer the one that is there already.

    Raises:
        CannotBePlanned: every reason why it cannot be done, with its place in the command.
        Held, QueueTaken, NaturalKeyActive, EnvironmentNotUsable, BindingRequired.
    """
    new = await _draw(command, scope, app)
    partition = place(command.environment_id, scope)
    target_id = targets.document_id(command.environment_id)

    def decide(view: View) -> Decision:
        target = targets.from_body(view.body(target_id), command.environment_id)
        if repeated := _repeated(command, target):
            return Decision(result={_REPEATED: repeated})
        new.judge(command, target)
        deployment = new.deployment(command, target, cause, evidence)
        return enqueued(deployment, target, command, scope=scope, cause=cause, app=app)

    outcome = await app.service.work.write(scope, partition, [target_id], decide, cause)
    if _REPEATED in outcome.result:
        return await _answer_repeat(command, outcome.result[_REPEATED], scope=scope, app=app)
    return outcome


async def plan(command: Deploy, *, scope: Scope, app: DeploymentsApp) -> DeploymentPlan:
    """Return what *command* would do and everything that speaks against it; change nothing."""
    new = await _draw(command, scope, app)
    partition = place(command.environment_id, scope)
    target_id = targets.document_id(command.environment_id)
    view = await app.service.work.read(partition, target_id)
    target = targets.from_body(view.body(target_id), command.environment_id)
    found = [
        Reason(code=one.code, message=f"{one.target}: {one.message}"[:2048])
        for one in new.refusals(command, target)
    ]
    waits_for: str | None = None
    try:
        waits_for = access.waits_for(target, scope.tenant)
        access.refuse_held(target, command.components, scope.tenant)
        _repeated(command, target)
        targets.refuse_taken(target, _modules(command), command.on_conflict)
    except Refused as refusal:
        found.append(Reason(code=refusal.code, message=refusal.message))
    order, _ = planning.order_of(command.components)
    taken = [claim for claim in target.claims if {*claim.modules} & {*_modules(command)}]
    return DeploymentPlan(
        environment_id=command.environment_id,
        release_ref=command.release_ref,
        strategy=command.strategy,
        components=units.planned(command.components, command.environment_id, scope.tenant, target),
        order=order,
        refusals=tuple(found[:100]),
        waiting_for=waits_for or (access.WaitReason.QUEUE if taken else None),
    )


class _New:
    """What is drawn before the decision, which may be made twice."""

    def __init__(
        self,
        deployment: DeploymentId,
        operation: OperationId,
        now: datetime,
        tenant: Scope,
        ground: planning.Ground,
    ) -> None:
        self._deployment = deployment
        self._operation = operation
        self._now = now
        self._scope = tenant
        self._ground = ground

    def refusals(self, command: Deploy, target: Target) -> tuple[Any, ...]:
        ground = replace(self._ground, target=target)
        return planning.refusals(command, self._scope.tenant, ground)

    def judge(self, command: Deploy, target: Target) -> None:
        """Raise what speaks against the deployment."""
        if found := self.refusals(command, target):
            raise CannotBePlanned(found)
        access.waits_for(target, self._scope.tenant)
        access.refuse_held(target, command.components, self._scope.tenant)

    def deployment(
        self, command: Deploy, target: Target, cause: Cause, evidence: SoakEvidence | None
    ) -> Deployment:
        order, _ = planning.order_of(command.components)
        environment = target.environment
        return Deployment(
            deployment_id=self._deployment,
            tenant_id=self._scope.tenant,
            environment_id=command.environment_id,
            kind=DeploymentKind.RELEASE,
            release_ref=command.release_ref,
            strategy=command.strategy,
            gate=command.gate,
            components=command.components,
            remove=command.remove,
            order=order,
            on_conflict=command.on_conflict,
            key=planning.natural_key(command),
            origin=origin_of(cause),
            operation_id=self._operation,
            created_at=self._now,
            updated_at=self._now,
            restart=command.restart,
            project_id=environment.project if environment else None,
            stage=environment.stage if environment else None,
            configuration=command.configuration,
            evidence=evidence,
        )


async def _draw(command: Deploy, scope: Scope, app: DeploymentsApp) -> _New:
    now = app.service.clock.now()
    key = parse_id(command.environment_id, "env").environment
    ground = planning.Ground(
        targets.Target(command.environment_id),
        {kind: surface.capabilities() for kind, surface in app.surfaces.items()},
        await uploaded(command.components, scope, app),
        app.rules.rollout,
    )
    return _New(
        deployment_id(key, now, app.service.entropy),
        operation_id(app.service.outside_name, key, now, app.service.entropy),
        now,
        scope,
        ground,
    )


def enqueued(
    deployment: Deployment,
    target: Target,
    command: Deploy,
    *,
    scope: Scope,
    cause: Cause,
    app: DeploymentsApp,
    kind: str = "Deploy",
) -> Decision:
    """Enter all its queues at once; start it when it is first in all of them."""
    claim = Claim(
        deployment.deployment_id,
        deployment.operation_id,
        deployment.modules,
        deployment.kind,
        deployment.key,
        planning.content_key(command),
        path_prefixes=tuple(c.path_prefix for c in deployment.components if c.path_prefix),
        depends_on=tuple(sorted({need for c in deployment.components for need in c.depends_on})),
    )
    entered, admitted = targets.admit(targets.enter(target, claim, command.on_conflict))
    own = entered.claim(deployment.deployment_id)
    assert own is not None
    deployment = replace(deployment, token=own.token)
    path = f"/v1/runtime/deployments/{deployment.deployment_id}"
    operation = operations.accept(
        deployment.operation_id,
        kind,
        path,
        scope.caller,
        ROLL_OUT,
        Ticket(scope.tenant, deployment.deployment_id).written(),
        deployment.updated_at,
    )
    waits_for, _ = access.waiting_for(deployment, entered)
    if waits_for is access.WaitReason.QUEUE:
        operation = operations.wait(operation, waits_for, waits_for, deployment.updated_at)
    told = telling.requested(deployment, waits_for)
    rows: list[Row] = [publish(told, app, scope, cause, deployment.project_id)]
    rows += [start(one, scope) for one in admitted]
    return Decision(
        result=answer(deployment, entered),
        writes=writes(target=entered, deployment=deployment, operations_=[operation]),
        outbox=rows,
        audited=Audited(kind, deployment.deployment_id),
    )


def _modules(command: Deploy) -> tuple[str, ...]:
    return (*(component.module_id for component in command.components), *command.remove)


def _repeated(command: Deploy, target: Target) -> str | None:
    """Return the deployment that answers *command*: one on its way, or what is in force now."""
    key = planning.natural_key(command)
    active = next((claim for claim in target.claims if claim.key == key), None)
    if active is not None:
        if active.content != planning.content_key(command):
            raise NaturalKeyActive(active.deployment)
        return active.deployment
    if command.restart or not command.components or command.remove:
        return None
    unit = planning.unit_key(command.environment_id, command.components, command.configuration)
    states = [target.module(component.module_id) for component in command.components]
    if all(state.revision and state.key == unit for state in states):
        return states[0].by
    return None


async def _answer_repeat(
    command: Deploy, deployment: str, *, scope: Scope, app: DeploymentsApp
) -> Outcome:
    partition = place(command.environment_id, scope)
    view = await app.service.work.read(
        partition, deployment, targets.document_id(command.environment_id)
    )
    found = dossier(view, deployment)
    return Outcome(answer(found.deployment, found.target), is_repeat=True)


async def promote(
    command: PromoteDeployment, *, scope: Scope, cause: Cause, app: DeploymentsApp
) -> Outcome:
    """Deploy the same digests to the next environment, once they have soaked where they are.

    Raises:
        NotPromotable: not Completed, not in force, or not Healthy for long enough; says how long
            is left.
        EvidenceRequired: the command has no word of health.
    """
    source = await source_of(command.deployment_id, scope=scope, app=app)
    now = app.service.clock.now()
    refuse_unsoaked(source, command.evidence, app.rules.soak, now)
    wanted = command_of(source, command)
    return await deploy(wanted, scope=scope, cause=cause, app=app, evidence=command.evidence)


async def soak_evidence(
    deployment: str, *, token: str, scope: Scope, app: DeploymentsApp
) -> SoakEvidence:
    """Ask health, as the caller of *token*, how the services of *deployment* are.

    Raises:
        NotPromotable: it is not Completed and in force, or one of them is not Healthy.
    """
    source = await source_of(deployment, scope=scope, app=app)
    services = [one.service_id for one in source.unit.components]
    said = await app.verdicts.ask(scope, services, token=token)
    required = app.rules.soak.of(source.stage)
    return evidence_of(source, said, required, app.service.clock.now())


async def plan_promotion(
    command: PromoteDeployment, *, token: str, scope: Scope, app: DeploymentsApp
) -> DeploymentPlan:
    """Return what the promotion would do and all that speaks against it; change nothing."""
    source = await source_of(command.deployment_id, scope=scope, app=app)
    found: tuple[Reason, ...] = ()
    try:
        evidence = await soak_evidence(command.deployment_id, token=token, scope=scope, app=app)
        refuse_unsoaked(source, evidence, app.rules.soak, app.service.clock.now())
    except Refused as refusal:
        found = (Reason(code=refusal.code, message=refusal.message),)
    planned = await plan(command_of(source, command), scope=scope, app=app)
    return planned.model_copy(update={"refusals": (*found, *planned.refusals)[:100]})


async def source_of(deployment: str, *, scope: Scope, app: DeploymentsApp) -> Source:
    """Return what would be promoted.

    Raises:
        NotPromotable: it is not Completed, or not in force any more.
    """
    target_id = targets.document_id(environment_of(deployment))
    view = await app.service.work.read(place(deployment, scope), deployment, target_id)
    found = dossier(view, deployment)
    return Source.of(found.deployment, found.target)
