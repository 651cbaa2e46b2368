"""One step of a rollout: told before it acts, judged by what health says of each component."""

from dataclasses import replace
from datetime import datetime

import shared.kernel.operation as operations
from function_apps.deployments.activities.changing import component_of
from function_apps.deployments.activities.errands import (
    Going,
    Look,
    StepOf,
    change,
    holding,
    own,
    surface_of,
)
from function_apps.deployments.model import gates, telling
from function_apps.deployments.model.deployment import (
    Deployment,
    TrafficShift,
    evolve,
    with_step,
)
from function_apps.deployments.model.states import Change
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.use_cases.dossier import Dossier, decided, publish, writes
from shared.contracts.deployments import DeploymentStatus
from shared.contracts.gates import OnInconclusive, Verdict
from shared.contracts.releases import ReleasedComponent
from shared.contracts.values import Service, Url
from shared.durable.steps import Step
from shared.kernel.observation import Present
from shared.messaging.compose import envelope_of
from shared.messaging.legacy_unit_of_work import NOTHING, Audited, Decision
from shared.messaging.outbox import Row, Send

_PERCENT_FIRST, _PERCENT_LAST = 20, 85


async def begin_step(of: StepOf, step: Step, app: DeploymentsApp) -> bool:
    """Tell that the step is about to act; return whether it passed before a restart."""
    now = app.service.clock.now()
    is_passed = False

    def decide(found: Dossier) -> Decision:
        nonlocal is_passed
        deployment = own(found, step).deployment
        shift = deployment.steps[of.index]
        is_passed = shift.verdict is Verdict.PASS or deployment.status is DeploymentStatus.PROMOTING
        if shift.started_at is not None or is_passed:
            return NOTHING
        begun = replace(shift, started_at=now)
        after = evolve(deployment, Change.STEP_BEGUN, now, steps=with_step(deployment, begun))
        deadline_at = gates.deadline_of(after, app.rules.gate, now)
        told = telling.step_changed(after, of.index, begun.name, begun.weight, deadline_at)
        span = _PERCENT_LAST - _PERCENT_FIRST
        percent = _PERCENT_FIRST + span * of.index // len(deployment.steps)
        operation = operations.begin_step(found.open_operation, begun.name, now, percent=percent)
        row = publish(told, app, of.errand.scope, of.errand.cause(step), after.project_id)
        return decided(
            replace(found, deployment=after, operation=operation), [row], "BeginStep", {}
        )

    await change(of.errand, step, app, decide)
    return is_passed


async def ask_gates(of: StepOf, step: Step, app: DeploymentsApp) -> Look:
    """Ask health to judge each component of the step, once; return what to wait for.

    The gates are named by deployment, component, attempt and step, so asking again is the same
    question.
    """
    deployment = await holding(of.errand, step, app)
    seen = {
        unit.module_id: await _seen(deployment, unit, app)
        for unit in (deployment.unit.components if deployment.unit else ())
    }
    now = app.service.clock.now()
    wait_name = f"gates-{step.ordinal}"

    def decide(found: Dossier) -> Decision:
        current = own(found, step).deployment
        shift = current.steps[of.index]
        if shift.gates or shift.verdict is not None:
            return _waiting(found, wait_name, now)
        assert current.unit is not None
        asked = replace(
            shift,
            asked_at=now,
            deadline_at=gates.deadline_of(current, app.rules.gate, now),
            gates=tuple(
                gates.gate_of(current, unit.module_id, of.index) for unit in current.unit.components
            ),
        )
        after = evolve(
            current,
            Change.GATES_ASKED,
            now,
            steps=with_step(current, asked),
            wait_name=wait_name,
        )
        rows = [
            _question(after, asked, unit, *seen[unit.module_id], of, step, app)
            for unit in current.unit.components
        ]
        operation = operations.wait(found.open_operation, "gate", wait_name, now)
        return decided(replace(found, deployment=after, operation=operation), rows, "AskGates", {})

    await change(of.errand, step, app, decide)
    return Look(Going.OPEN, wait_name, now + gates.LOOK_AGAIN)


async def _seen(
    deployment: Deployment, unit: ReleasedComponent, app: DeploymentsApp
) -> tuple[dict[int, Url], Url | None]:
    """Return where each revision is reached alone, and both together; leave out what is unseen."""
    reading = await surface_of(unit, app).observe(component_of(deployment, unit.module_id))
    if not isinstance(reading, Present):
        return {}, None
    addresses = {
        revision.revision: f"http://{instance.address}/"
        for revision in reading.value.revisions
        for instance in reversed(revision.instances)
        if instance.address is not None and instance.is_ready
    }
    return addresses, reading.value.endpoint


def _question(
    deployment: Deployment,
    shift: TrafficShift,
    unit: ReleasedComponent,
    addresses: dict[int, Url],
    public: Url | None,
    of: StepOf,
    step: Step,
    app: DeploymentsApp,
) -> Row:
    asked = gates.question(deployment, shift, unit, addresses, public, app.rules.gate)
    envelope = envelope_of(
        asked,
        tenant=of.errand.tenant,
        cause=of.errand.cause(step),
        clock=app.service.clock,
        entropy=app.service.entropy,
        project=deployment.project_id,
        module=unit.module_id,
    )
    return Send(Service.HEALTH.outside_name, envelope)


def _waiting(found: Dossier, wait_name: str, now: datetime) -> Decision:
    """Commit the name of the next wait before it begins."""
    if found.deployment.wait_name == wait_name:
        return NOTHING
    after = replace(found.deployment, wait_name=wait_name)
    waiting_for = "approval" if after.paused_at else "gate"
    operation = operations.wait(found.open_operation, waiting_for, wait_name, now)
    return Decision(
        writes=writes(deployment=after, operations_=[operation]),
        audited=Audited("WaitForGates", after.deployment_id, after.status),
    )


async def look_at_gates(of: StepOf, step: Step, app: DeploymentsApp) -> Look:
    """Return the verdict of the step over all components, once there is one, and record it."""
    now = app.service.clock.now()
    wait_name = f"gates-{step.ordinal}"
    looked: list[Look] = []

    def decide(found: Dossier) -> Decision:
        looked.clear()
        deployment = own(found, step).deployment
        look, decision = _judged(found, deployment.steps[of.index], wait_name, now, app)
        looked.append(look)
        return decision

    await change(of.errand, step, app, decide)
    return looked[0]


def _judged(
    found: Dossier, shift: TrafficShift, wait_name: str, now: datetime, app: DeploymentsApp
) -> tuple[Look, Decision]:
    deployment = found.deployment
    if shift.verdict is not None:
        return _said(shift), NOTHING
    if not shift.gates:
        return Look(Going.AGAIN), NOTHING
    if deployment.paused_at is not None:
        return _still_paused(found, deployment.paused_at, wait_name, now, app)
    verdict = gates.verdict_of(shift, now)
    if verdict is None:
        return Look(Going.OPEN, wait_name, gates.look_again_at(shift, now)), _waiting(
            found, wait_name, now
        )
    choice = gates.on_inconclusive(deployment, app.rules.gate)
    is_open = verdict is Verdict.INCONCLUSIVE
    if is_open and choice is OnInconclusive.PAUSE:
        return _paused(found, wait_name, now, app)
    is_marked = is_open and choice is OnInconclusive.PASS
    judged = replace(
        shift, verdict=Verdict.PASS if is_marked else verdict, marked=is_marked, ended_at=now
    )
    return _said(judged), _recorded(found, judged, now)


def _still_paused(
    found: Dossier, since: datetime, wait_name: str, now: datetime, app: DeploymentsApp
) -> tuple[Look, Decision]:
    until = since + app.rules.paused_at_most
    if now >= until:
        message = f"nobody decided within {app.rules.paused_at_most} of the pause"
        return Look(Going.FAILED, code="GateInconclusive", message=message), NOTHING
    again_at = gates.look_at_pause_again_at(since, until, now)
    return Look(Going.OPEN, wait_name, again_at), _waiting(found, wait_name, now)


def _recorded(found: Dossier, judged: TrafficShift, now: datetime) -> Decision:
    after = evolve(
        found.deployment,
        Change.STEP_JUDGED,
        now,
        steps=with_step(found.deployment, judged),
        wait_name="",
    )
    operation = operations.begin_step(
        found.open_operation,
        judged.name,
        now,
        percent=found.open_operation.percent,
        detail=f"{judged.verdict}{', although inconclusive' if judged.marked else ''}",
    )
    return decided(replace(found, deployment=after, operation=operation), [], "JudgeStep", {})


def _said(shift: TrafficShift) -> Look:
    if shift.verdict is Verdict.PASS:
        return Look(Going.GO)
    assert shift.verdict is not None
    reason = gates.reason_of(shift, shift.verdict)
    return Look(Going.FAILED, code=reason.code, message=reason.message)


def _paused(
    found: Dossier, wait_name: str, now: datetime, app: DeploymentsApp
) -> tuple[Look, Decision]:
    after = evolve(found.deployment, Change.PAUSED, now, paused_at=now, wait_name=wait_name)
    operation = operations.wait(found.open_operation, "approval", wait_name, now)
    until = gates.look_at_pause_again_at(now, now + app.rules.paused_at_most, now)
    look = Look(Going.OPEN, wait_name, until)
    return look, decided(
        replace(found, deployment=after, operation=operation), [], "PauseDeployment", {}
    )
