"""Rollback, cancel, retry and the release of holds: what people do to a deployment on its way."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import shared.kernel.operation as operations
from function_apps.deployments.errors import (
    DeploymentMissing,
    NotCancellable,
    NothingHeld,
    NotInForce,
    NotRetryable,
    NotRollbackable,
)
from function_apps.deployments.model import access, planning, units
from function_apps.deployments.model import deployment as deployments
from function_apps.deployments.model import target as targets
from function_apps.deployments.model.deployment import (
    Deployment,
    Origin,
    TrafficShift,
    evolve,
)
from function_apps.deployments.model.states import BEFORE_APPLIED, CHANGING, Change
from function_apps.deployments.model.target import Claim, Target
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.use_cases.dossier import (
    ROLL_OUT,
    Dossier,
    answer,
    argument,
    dossier,
    environment_of,
    leaving,
    place,
    start,
    writes,
)
from function_apps.deployments.use_cases.requests import admitted_into_lines
from shared.contracts.deployments import (
    Deploy,
    DeploymentKind,
    DeploymentReason,
    DeploymentStatus,
    EndReason,
    OnConflict,
    RollbackDeployment,
    Strategy,
)
from shared.contracts.gates import Verdict
from shared.contracts.releases import ReleasedComponent
from shared.kernel.ids import DeploymentId, OperationId, deployment_id, operation_id, parse_id
from shared.kernel.scope import Scope
from shared.messaging.cause import Cause
from shared.messaging.outbox import Raise, Row, Start
from shared.messaging.unit_of_work import Audited, Decision, Outcome, View


async def rollback(
    command: RollbackDeployment, *, scope: Scope, cause: Cause, app: DeploymentsApp
) -> Outcome:
    """Undo a deployment: of a Completed one by a new one of kind rollback, else by interrupting it.

    Raises:
        NotRollbackable: it has ended otherwise, or is not the one that is in force.
        Held: what *to_deployment_id* names was itself rolled back here.
    """
    ids = _Ids.drawn(command.deployment_id, app)
    wanted = command.to_deployment_id

    def decide(view: View, found: Dossier) -> Decision:
        status = found.deployment.status
        if status is DeploymentStatus.ROLLING_BACK:
            return Decision(result=answer(found.deployment, found.target))
        if status is DeploymentStatus.COMPLETED:
            back = _body_of(view, wanted) if wanted else None
            return _undo(found, back, ids, scope=scope, cause=cause, app=app)
        reason = EndReason(code="RollbackAsked", message=command.reason or "asked by a caller")
        if status in BEFORE_APPLIED:
            return _cancelled(found, reason, scope=scope, cause=cause, app=app)
        if status in CHANGING:
            kind = "RollbackDeployment"
            return _interrupted(found, reason, kind, ids, scope=scope)
        raise NotRollbackable(
            f"{command.deployment_id} has ended as {status}; only Completed ones and those on "
            "their way are rolled back"
        )

    return await _write(
        command.deployment_id,
        decide,
        scope=scope,
        cause=cause,
        app=app,
        also=[wanted] if wanted else [],
    )


async def cancel(
    deployment: str, command: DeploymentReason, *, scope: Scope, cause: Cause, app: DeploymentsApp
) -> Outcome:
    """Stop a deployment: at once while nothing was applied, else by rolling it back; no hold.

    Raises:
        NotCancellable: it has ended.
    """
    ids = _Ids.drawn(deployment, app)

    def decide(_view: View, found: Dossier) -> Decision:
        reason = EndReason(code="Cancelled", message=command.reason or "cancelled by a caller")
        status = found.deployment.status
        if status is DeploymentStatus.ROLLING_BACK:
            return Decision(result=answer(found.deployment, found.target))
        if status in BEFORE_APPLIED:
            return _cancelled(found, reason, scope=scope, cause=cause, app=app)
        if status in CHANGING:
            kind = "CancelDeployment"
            return _interrupted(found, reason, kind, ids, scope=scope)
        raise NotCancellable(
            f"{deployment} has ended as {status}; only deployments on their way are cancelled"
        )

    return await _write(deployment, decide, scope=scope, cause=cause, app=app)


async def retry(
    deployment: str, command: DeploymentReason, *, scope: Scope, cause: Cause, app: DeploymentsApp
) -> Outcome:
    """Begin a Failed deployment anew, or have the step judged again at which one is paused.

    Raises:
        NotRetryable: it is in another state.
        Held, EnvironmentNotUsable, BindingRequired: as for a new one.
    """
    ids = _Ids.drawn(deployment, app)

    def decide(_view: View, found: Dossier) -> Decision:
        if found.deployment.paused_at is not None:
            return _judged_again(found, ids.now)
        if found.deployment.status is not DeploymentStatus.FAILED:
            raise NotRetryable(
                f"{deployment} is {found.deployment.status}; Failed and paused ones are tried again"
            )
        return _begun_anew(found, ids, scope=scope, cause=cause, app=app)

    del command
    return await _write(deployment, decide, scope=scope, cause=cause, app=app)


async def release_hold(
    deployment: str, command: DeploymentReason, *, scope: Scope, cause: Cause, app: DeploymentsApp
) -> Outcome:
    """Let the unit that *deployment* left behind be deployed again.

    Raises:
        NothingHeld: it has no holds (any more).
    """
    now = app.service.clock.now()

    def decide(_view: View, found: Dossier) -> Decision:
        if not found.deployment.holds:
            raise NothingHeld(f"{deployment} holds nothing in {found.target.environment_id}")
        released = evolve(found.deployment, Change.HOLD_RELEASED, now, holds=())
        target = targets.release_holds(found.target, deployment)
        return Decision(
            result=answer(released, target),
            writes=writes(target=target, deployment=released),
            audited=Audited("ReleaseHold", deployment, command.reason or "Released"),
        )

    return await _write(deployment, decide, scope=scope, cause=cause, app=app)


class _Ids:
    """Drawn before a decision, which may be made twice."""

    def __init__(self, now: datetime, deployment: DeploymentId, operation: OperationId) -> None:
        self.now = now
        self.deployment = deployment
        self.operation = operation

    @classmethod
    def drawn(cls, deployment: str, app: DeploymentsApp) -> "_Ids":
        now, entropy = app.service.clock.now(), app.service.entropy
        key = parse_id(deployment, "dep").environment
        operation = operation_id(app.service.outside_name, key, now, entropy)
        return cls(now, deployment_id(key, now, entropy), operation)


Decide = Callable[[View, Dossier], Decision]


async def _write(
    deployment: str,
    decide: Decide,
    *,
    scope: Scope,
    cause: Cause,
    app: DeploymentsApp,
    also: Sequence[str] = (),
) -> Outcome:
    """Decide on target and deployment; the operation that was at work ends itself, overtaken."""
    ids = [deployment, targets.document_id(environment_of(deployment)), *also]

    def decide_on(view: View) -> Decision:
        return decide(view, dossier(view, deployment))

    return await app.service.work.write(scope, place(deployment, scope), ids, decide_on, cause)


def _body_of(view: View, deployment: str) -> Deployment:
    body = view.body(deployment)
    if body is None:
        raise DeploymentMissing(deployment)
    return deployments.from_body(body)


def _cancelled(
    found: Dossier, reason: EndReason, *, scope: Scope, cause: Cause, app: DeploymentsApp
) -> Decision:
    """End it where nothing was applied. Its orchestration is woken, or started, to end with it."""
    now = app.service.clock.now()
    ended = evolve(found.deployment, Change.CANCELLED, now, reason=reason, ended_at=now)
    left = leaving(ended, found.target, app, scope, cause)
    claim = found.target.claim(ended.deployment_id)
    assert claim is not None, ended.deployment_id
    nudge: Row = Raise(claim.operation, claim.wait) if claim.wait else start(claim, scope)
    return Decision(
        result=answer(ended, left.target),
        writes=writes(target=left.target, deployment=ended),
        outbox=[*left.rows, nudge],
        audited=Audited("CancelDeployment", ended.deployment_id, ended.status),
    )


def _interrupted(
    found: Dossier,
    reason: EndReason,
    kind: str,
    ids: _Ids,
    *,
    scope: Scope,
) -> Decision:
    """Turn it back under a new token, so that the orchestration at work changes nothing more."""
    before = found.deployment
    target, token = targets.pass_on(found.target, before.deployment_id, ids.operation)
    turned = evolve(
        before,
        Change.ROLLBACK_BEGUN,
        ids.now,
        reason=reason,
        token=token,
        operation_id=ids.operation,
        paused_at=None,
        wait_name="",
    )
    argued = argument(scope.tenant, before.deployment_id)
    path = f"/v1/runtime/deployments/{before.deployment_id}"
    operation = operations.accept(
        ids.operation, kind, path, scope.caller, ROLL_OUT, argued, ids.now
    )
    rows: list[Row] = [Start(ROLL_OUT, ids.operation, argued)]
    if before.wait_name:
        rows.append(Raise(before.operation_id, before.wait_name))
    return Decision(
        result=answer(turned, target),
        writes=writes(target=target, deployment=turned, operations_=[operation]),
        outbox=rows,
        audited=Audited(kind, before.deployment_id, turned.status),
    )


def _undo(
    found: Dossier,
    wanted: Deployment | None,
    ids: _Ids,
    *,
    scope: Scope,
    cause: Cause,
    app: DeploymentsApp,
) -> Decision:
    """Make the deployment of kind rollback that brings back what ran before a Completed one."""
    undone = found.deployment
    key = f"undo {undone.deployment_id}"
    active = next((claim for claim in found.target.claims if claim.key == key), None)
    if active is not None:
        return Decision(result=_answer_claim(active, undone, found.target))
    for module in undone.modules:
        line = found.target.line(module)
        if line.by not in {undone.deployment_id, None}:
            raise NotInForce(
                f"{module} of {undone.deployment_id} is not in force: {line.by} is; roll that "
                "back first"
            )
    access.waits_for(found.target, scope.tenant)
    back = _units_before(undone, wanted)
    targets.refuse_held(found.target, [(one.module_id, one.digest) for one in back])
    components = tuple(units.component_of(one) for one in back)
    restored = {one.module_id for one in components}
    brought = {one.module_id for one in undone.components}
    remove = tuple(sorted(brought - restored))
    if not components and not remove:
        raise NotRollbackable(
            f"{undone.deployment_id} only removed modules that nothing was before"
        )
    command = Deploy(
        environment_id=undone.environment_id,
        release_ref=wanted.release_ref if wanted else f"before {undone.release_ref}"[:128],
        components=components,
        remove=remove,
        strategy=Strategy(),
        on_conflict=OnConflict.QUEUE,
    )
    order, _ = planning.order_of(components)
    environment = found.target.environment
    assert environment is not None
    made = Deployment(
        deployment_id=ids.deployment,
        tenant_id=scope.tenant,
        environment_id=undone.environment_id,
        kind=DeploymentKind.ROLLBACK,
        release_ref=command.release_ref,
        strategy=command.strategy,
        gate=command.gate,
        components=components,
        remove=remove,
        order=order,
        on_conflict=OnConflict.QUEUE,
        key=key,
        origin=Origin(cause.actor, cause.trace_id, cause.correlation_id, cause.causation_id),
        operation_id=ids.operation,
        created_at=ids.now,
        updated_at=ids.now,
        project_id=environment.project,
        stage=environment.stage,
        rolled_back_deployment_id=undone.deployment_id,
    )
    return admitted_into_lines(
        made,
        found.target,
        command,
        scope=scope,
        cause=cause,
        app=app,
        waits_for=None,
        kind="RollbackDeployment",
    )


def _units_before(undone: Deployment, wanted: Deployment | None) -> tuple[ReleasedComponent, ...]:
    """Return what *undone* goes back to: what it replaced, or what *wanted* brought."""
    if wanted is None:
        return undone.previous
    if wanted.status is not DeploymentStatus.COMPLETED or wanted.unit is None:
        raise NotRollbackable(
            f"{wanted.deployment_id} is {wanted.status}; only a Completed one is gone back to"
        )
    back = tuple(one for one in wanted.unit.components if one.module_id in undone.modules)
    missing = sorted({*undone.modules} - {one.module_id for one in back})
    if missing:
        raise NotRollbackable(
            f"{wanted.deployment_id} has no {missing[0]}, which {undone.deployment_id} changed"
        )
    return back


def _answer_claim(claim: Claim, undone: Deployment, target: Target) -> Mapping[str, Any]:
    shown = replace(
        undone,
        deployment_id=claim.deployment,
        operation_id=claim.operation,
        kind=claim.kind,
        status=DeploymentStatus.REQUESTED,
    )
    return answer(shown, target)


def _judged_again(found: Dossier, now: datetime) -> Decision:
    before = found.deployment
    again = evolve(
        before,
        Change.JUDGED_AGAIN,
        now,
        attempt=before.attempt + 1,
        paused_at=None,
        steps=tuple(
            step if step.verdict is Verdict.PASS else _unasked(step) for step in before.steps
        ),
    )
    return Decision(
        result=answer(again, found.target),
        writes=writes(deployment=again),
        outbox=[Raise(before.operation_id, before.wait_name)] if before.wait_name else [],
        audited=Audited("RetryDeployment", before.deployment_id, again.status),
    )


def _unasked(step: TrafficShift) -> TrafficShift:
    return replace(
        step,
        asked_at=None,
        deadline_at=None,
        gates=(),
        evidence=(),
        verdict=None,
        marked=False,
        ended_at=None,
    )


def _begun_anew(
    found: Dossier, ids: _Ids, *, scope: Scope, cause: Cause, app: DeploymentsApp
) -> Decision:
    before = found.deployment
    waits_for = access.waits_for(found.target, scope.tenant)
    wanted = [(one.module_id, units.digest_of(one)) for one in before.components]
    targets.refuse_held(found.target, wanted)
    if any(claim.key == before.key for claim in found.target.claims):
        raise NotRetryable(f"the same versions as in {before.deployment_id} are on their way")
    again = evolve(
        before,
        Change.RETRIED,
        ids.now,
        attempt=before.attempt + 1,
        operation_id=ids.operation,
        opened_at=None,
        unit=None,
        absent=(),
        previous=(),
        previous_deployment_id=None,
        steps=(),
        reason=None,
        restored=None,
        proof=None,
        remaining=(),
        ended_at=None,
        wait_name="",
    )
    command = Deploy(
        environment_id=before.environment_id,
        release_ref=before.release_ref,
        components=before.components,
        remove=before.remove,
        configuration=before.configuration,
        strategy=before.strategy,
        gate=before.gate,
        restart=before.restart,
        on_conflict=before.on_conflict,
    )
    return admitted_into_lines(
        again,
        found.target,
        command,
        scope=scope,
        cause=cause,
        app=app,
        waits_for=waits_for,
        kind="RetryDeployment",
    )
