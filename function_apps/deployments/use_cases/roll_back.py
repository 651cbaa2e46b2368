"""Rollback, cancel, retry and the release of holds: what people do to a deployment on its way."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

import shared.kernel.operation as operations
from function_apps.deployments.errors import (
    DeploymentMissing,
    NotCancellable,
    NothingHeld,
    NotRetryable,
    NotRollbackable,
)
from function_apps.deployments.model import access
from function_apps.deployments.model import deployment as deployments
from function_apps.deployments.model import target as targets
from function_apps.deployments.model.deployment import (
    Deployment,
    TrafficShift,
    evolve,
)
from function_apps.deployments.model.holds import without_holds_of
from function_apps.deployments.model.promotion import refuse_stale
from function_apps.deployments.model.states import BEFORE_APPLIED, CHANGING, Change
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.use_cases.dossier import (
    ROLL_OUT,
    Dossier,
    Drawn,
    Ticket,
    answer,
    dossier,
    environment_of,
    leaving,
    place,
    start,
    writes,
)
from function_apps.deployments.use_cases.requests import enqueued
from function_apps.deployments.use_cases.undoing import undo
from shared.contracts.deployments import (
    Deploy,
    DeploymentReason,
    DeploymentStatus,
    EndReason,
    RollbackDeployment,
)
from shared.contracts.gates import Verdict
from shared.kernel.scope import Scope
from shared.messaging.cause import Cause
from shared.messaging.legacy_unit_of_work import Audited, Decision, Outcome, View
from shared.messaging.outbox import Raise, Row, Start


async def rollback(
    command: RollbackDeployment, *, scope: Scope, cause: Cause, app: DeploymentsApp
) -> Outcome:
    """Undo a deployment: of a Completed one by a new one of kind rollback, else by interrupting it.

    Raises:
        NotRollbackable: it has ended otherwise, or is not the one that is in force.
        Held: what *to_deployment_id* names was itself rolled back here.
    """
    ids = Drawn.new(command.deployment_id, app)
    wanted = command.to_deployment_id

    def decide(view: View, found: Dossier) -> Decision:
        status = found.deployment.status
        if status is DeploymentStatus.ROLLING_BACK:
            return Decision(result=answer(found.deployment, found.target))
        if status is DeploymentStatus.COMPLETED:
            back = _body_of(view, wanted) if wanted else None
            return undo(found, back, ids, scope=scope, cause=cause, app=app)
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
    ids = Drawn.new(deployment, app)

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
    deployment: str, _reason: DeploymentReason, *, scope: Scope, cause: Cause, app: DeploymentsApp
) -> Outcome:
    """Begin a Failed deployment anew, or have the step judged again at which one is paused.

    Raises:
        NotRetryable: it is in another state.
        Held, EnvironmentNotUsable, BindingRequired: as for a new one.
    """
    ids = Drawn.new(deployment, app)

    def decide(_view: View, found: Dossier) -> Decision:
        if found.deployment.paused_at is not None:
            return _judged_again(found, ids.now)
        if found.deployment.status is not DeploymentStatus.FAILED:
            raise NotRetryable(
                f"{deployment} is {found.deployment.status}; Failed and paused ones are tried again"
            )
        return _begun_anew(found, ids, scope=scope, cause=cause, app=app)

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
        target = replace(found.target, holds=without_holds_of(found.target.holds, deployment))
        return Decision(
            result=answer(released, target),
            writes=writes(target=target, deployment=released),
            audited=Audited("ReleaseHold", deployment, command.reason or "Released"),
        )

    return await _write(deployment, decide, scope=scope, cause=cause, app=app)


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
    ids: Drawn,
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
    argued = Ticket(scope.tenant, before.deployment_id).written()
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
    found: Dossier, ids: Drawn, *, scope: Scope, cause: Cause, app: DeploymentsApp
) -> Decision:
    before = found.deployment
    access.require_admission(before, found.target)
    if before.evidence is not None:
        refuse_stale(before.evidence, app.rules.soak, ids.now)
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
        earlier=(),
        earlier_releases={},
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
    return enqueued(
        again,
        found.target,
        command,
        scope=scope,
        cause=cause,
        app=app,
        kind="RetryDeployment",
    )
