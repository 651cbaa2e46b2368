"""One step of a rollout: published before it acts, then judged by the health of each component."""

from dataclasses import replace
from datetime import datetime

from function_apps.deployments import events
from function_apps.deployments.activities.inputs import StepInput, WaitState, WaitStatus
from function_apps.deployments.model import analysis
from function_apps.deployments.model.deployment import evolve, with_wait
from function_apps.deployments.model.lifecycle import (
    AnalysisRequested,
    Paused,
    StepBegan,
    StepJudged,
)
from function_apps.deployments.model.preconditions import WaitReason
from function_apps.deployments.model.rollout_steps import RolloutStep
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.repository import DeploymentSet, commit_deployment_step, step
from shared.contracts.deployments import DeploymentStatus
from shared.contracts.gates import OnInconclusive, Verdict
from shared.contracts.values import Service
from shared.durable.activity import ActivityContext, Step
from shared.kernel.operation import Operation
from shared.messaging.outbox import Send

_PERCENT_FIRST, _PERCENT_LAST = 20, 85


async def begin_step(given: StepInput, ctx: ActivityContext, app: DeploymentsApp) -> bool:
    """Publish that the step is about to act; return whether it passed before a restart."""
    now = ctx.now()

    def decide(known: DeploymentSet, operation: Operation) -> Step[bool]:
        deployment = known.deployment
        planned = deployment.steps[given.index]
        is_promoting = deployment.status is DeploymentStatus.PROMOTING
        is_passed = planned.verdict is Verdict.PASS or is_promoting
        if planned.started_at is not None or is_passed:
            return Step(is_passed, operation)
        began = evolve(deployment, StepBegan(replace(planned, started_at=now)), now)
        deadline_at = analysis.deadline_of(began, app.rules.gate, now)
        event = events.step_changed(began, given.index, planned.name, planned.weight, deadline_at)
        span = _PERCENT_LAST - _PERCENT_FIRST
        percent = _PERCENT_FIRST + span * given.index // len(deployment.steps)
        progress = operation.begin_step(planned.name, now, percent=percent)
        after = replace(known, deployment=began)
        return step(False, progress, known, after, [event], action="BeginStep")

    return await commit_deployment_step(ctx, app, decide, is_recorded=False)


async def request_analysis(
    given: StepInput, ctx: ActivityContext, app: DeploymentsApp
) -> WaitStatus:
    """Ask health to judge each component of the step, once; return what to wait for.

    A gate's id follows from deployment, component, attempt and step, so asking again asks the same.
    """
    now, wait_name = ctx.now(), f"gates-{ctx.ordinal}"
    pending = WaitStatus(WaitState.PENDING, wait_name, now + analysis.ANALYSIS_POLL_EVERY)

    def decide(known: DeploymentSet, operation: Operation) -> Step[WaitStatus]:
        current = known.deployment
        planned = current.steps[given.index]
        if planned.gates or planned.verdict is not None:
            return _wait(pending, known, operation, now)
        asked = replace(
            planned,
            asked_at=now,
            deadline_at=analysis.deadline_of(current, app.rules.gate, now),
            gates=tuple(
                analysis.gate_of(current, component.module_id, given.index)
                for component in analysis.gated_components(current)
            ),
        )
        after = evolve(current, AnalysisRequested(asked, wait_name), now)
        requests = [
            Send(
                Service.HEALTH.value,
                analysis.gate_request(after, asked, component, app.rules.gate),
                project=after.project_id,
                module=component.module_id,
            )
            for component in analysis.gated_components(current)
        ]
        waiting = operation.wait(WaitReason.GATE, wait_name, now)
        return step(
            pending,
            waiting,
            known,
            replace(known, deployment=after),
            requests,
            action="RequestAnalysis",
        )

    return await commit_deployment_step(ctx, app, decide, is_recorded=False)


def _wait(
    pending: WaitStatus,
    known: DeploymentSet,
    operation: Operation,
    now: datetime,
    polled: RolloutStep | None = None,
) -> Step[WaitStatus]:
    """Commit the name of the wait *pending* before it begins, and the step as a poll left it."""
    if known.deployment.wait_name == pending.wait_name:
        return Step(pending, operation)
    after = with_wait(known.deployment, pending.wait_name, polled)
    reason = WaitReason.APPROVAL if after.paused_at else WaitReason.GATE
    waiting = operation.wait(reason, pending.wait_name, now)
    return step(pending, waiting, known, replace(known, deployment=after), action="WaitForGates")


async def check_analysis(given: StepInput, ctx: ActivityContext, app: DeploymentsApp) -> WaitStatus:
    """Return the verdict of the step over all components, once there is one, and record it."""
    now, wait_name = ctx.now(), f"gates-{ctx.ordinal}"

    def decide(known: DeploymentSet, operation: Operation) -> Step[WaitStatus]:
        return _judged(known, known.deployment.steps[given.index], operation, wait_name, now, app)

    return await commit_deployment_step(ctx, app, decide, is_recorded=False)


def _judged(
    known: DeploymentSet,
    asked: RolloutStep,
    operation: Operation,
    wait_name: str,
    now: datetime,
    app: DeploymentsApp,
) -> Step[WaitStatus]:
    deployment = known.deployment
    if asked.verdict is not None:
        return Step(_status_of(asked), operation)
    if not asked.gates:
        return Step(WaitStatus(WaitState.RESTART), operation)
    if deployment.paused_at is not None:
        return _still_paused(known, deployment.paused_at, operation, wait_name, now, app)
    polled = analysis.after_poll(asked, now)
    verdict = analysis.verdict_of(polled, now)
    if verdict is None:
        pending = WaitStatus(WaitState.PENDING, wait_name, analysis.next_poll_at(polled, now))
        return _wait(pending, known, operation, now, polled)
    choice = analysis.on_inconclusive(deployment, app.rules.gate)
    is_open = verdict is Verdict.INCONCLUSIVE
    if is_open and choice is OnInconclusive.PAUSE:
        return _paused(known, operation, wait_name, now, app)
    is_marked = is_open and choice is OnInconclusive.PASS
    judged = replace(
        asked, verdict=Verdict.PASS if is_marked else verdict, marked=is_marked, ended_at=now
    )
    return _recorded(known, judged, operation, now)


def _still_paused(
    known: DeploymentSet,
    since: datetime,
    operation: Operation,
    wait_name: str,
    now: datetime,
    app: DeploymentsApp,
) -> Step[WaitStatus]:
    limit = app.rules.paused_at_most
    if now >= since + limit:
        hours = limit.total_seconds() / 3600
        message = f"nobody decided within {hours:g} hours of the pause"
        failed = WaitStatus(WaitState.FAILED, code="GateInconclusive", message=message)
        return Step(failed, operation)
    until = analysis.next_pause_poll_at(since, since + limit, now)
    return _wait(WaitStatus(WaitState.PENDING, wait_name, until), known, operation, now)


def _recorded(
    known: DeploymentSet, judged: RolloutStep, operation: Operation, now: datetime
) -> Step[WaitStatus]:
    after = evolve(known.deployment, StepJudged(judged), now)
    progress = operation.begin_step(
        judged.name,
        now,
        percent=operation.percent,
        detail=f"{judged.verdict}{', although inconclusive' if judged.marked else ''}",
    )
    return step(
        _status_of(judged), progress, known, replace(known, deployment=after), action="JudgeStep"
    )


def _status_of(step: RolloutStep) -> WaitStatus:
    if step.verdict is Verdict.PASS:
        return WaitStatus(WaitState.PASSED)
    assert step.verdict is not None
    reason = analysis.reason_of(step, step.verdict)
    return WaitStatus(WaitState.FAILED, code=reason.code, message=reason.message)


def _paused(
    known: DeploymentSet,
    operation: Operation,
    wait_name: str,
    now: datetime,
    app: DeploymentsApp,
) -> Step[WaitStatus]:
    after = evolve(known.deployment, Paused(wait_name), now)
    waiting = operation.wait(WaitReason.APPROVAL, wait_name, now)
    until = analysis.next_pause_poll_at(now, now + app.rules.paused_at_most, now)
    pending = WaitStatus(WaitState.PENDING, wait_name, until)
    return step(pending, waiting, known, replace(known, deployment=after), action="PauseDeployment")
