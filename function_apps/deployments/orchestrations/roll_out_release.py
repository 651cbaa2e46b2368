"""Roll a release out step by step, each step judged; else bring the previous one back whole.

Rollback has two meanings. A Completed deployment is undone by a new deployment of kind rollback,
which goes forward to the earlier release unit, through `_roll_forward`. A deployment at work goes
back, through `_roll_back`, when a caller interrupts it or a step fails; it ends as RolledBack or
Failed. Both take the next fencing token; an interruption also has an operation of its own.
"""

from collections.abc import Callable
from dataclasses import field, replace
from datetime import timedelta
from typing import Any, Final, TypeVar

from function_apps.deployments.activities.analyze_step import (
    begin_step,
    check_analysis,
    request_analysis,
)
from function_apps.deployments.activities.apply_revision import (
    apply_candidate,
    check_drained,
    check_ready,
    stop_candidate,
    stop_previous,
)
from function_apps.deployments.activities.begin_rollback import begin_rollback
from function_apps.deployments.activities.begin_rollout import begin_rollout, start_rollout
from function_apps.deployments.activities.check_environment import check_environment
from function_apps.deployments.activities.complete_release import (
    begin_promotion,
    complete_release,
    drain_previous,
)
from function_apps.deployments.activities.inputs import (
    Completion,
    ModuleInput,
    ModuleStepInput,
    RemainingInput,
    RemovalInput,
    Restoration,
    RollbackPlan,
    RolloutPlan,
    StepInput,
    WaitState,
    WaitStatus,
)
from function_apps.deployments.activities.pin_release_unit import pin_release_unit
from function_apps.deployments.activities.restore_previous import (
    finish_rollback,
    remove_candidate,
    restore_previous,
)
from function_apps.deployments.activities.shift_traffic import keep_capacity, shift_traffic
from function_apps.deployments.errors import NotReadyInTime, ProofFailed
from function_apps.deployments.model.lifecycle import ROLLBACK_ASKED
from shared.contracts.deployments import DeploymentStatus
from shared.contracts.values import ModuleId
from shared.durable.activity import FailureReason
from shared.durable.orchestration import (
    Activity,
    ActivityFailed,
    Orchestration,
    OrchestrationContext,
    UndoTable,
    call,
    sleep,
    wait_for,
)
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Refused, Unavailable

R = TypeVar("R")
UNDO: Final[UndoTable] = {
    start_rollout: "changes nothing outside",
    check_environment: "changes nothing outside",
    pin_release_unit: "changes nothing outside",
    begin_rollout: "changes nothing outside",
    stop_previous: restore_previous,
    apply_candidate: remove_candidate,
    check_ready: "changes nothing outside",
    begin_step: "changes nothing outside",
    shift_traffic: restore_previous,
    keep_capacity: restore_previous,
    request_analysis: "changes nothing outside",
    check_analysis: "changes nothing outside",
    begin_promotion: "changes nothing outside",
    drain_previous: restore_previous,
    check_drained: "changes nothing outside",
    complete_release: "not undone: a Completed deployment is undone by a new one",
    begin_rollback: "changes nothing outside",
    stop_candidate: "belongs to the rollback",
    restore_previous: "belongs to the rollback",
    remove_candidate: "belongs to the rollback",
    finish_rollback: "not undone: it ends the deployment",
}
ENVIRONMENT_POLLS_MAX: Final = 400
"""24 hours of an environment on its way, polled every 15 minutes, is 96."""
POLLS_MAX: Final = 400
"""Of 20 s each while instances start or drain, or at a gate; the deadline comes first."""
PAUSE_POLL_EVERY_S: Final = 30.0
"""Of the instances during a pause of a step: some may be lost."""
INTERRUPTED_AFTER_S: Final = 60.0
"""A poll takes 20 s. In a longer one the host was away, and instances may have to start anew."""
INTERRUPTIONS_MAX: Final = 10
ANALYSES_MAX: Final = 50
"""A paused step is judged again each time that somebody retries it."""


def roll_out_release(context: OrchestrationContext) -> Orchestration[DeploymentStatus]:
    """Bring a release unit to its environment; else bring the previous one back.

    Instance id = operationId. Started anew it goes on from stored state.
    """
    start = yield from call(context, start_rollout)
    if not start.is_admitted:
        return start.status
    reason = FailureReason(ROLLBACK_ASKED, "asked by a caller")
    if not start.is_rolling_back:
        try:
            return (yield from _roll_forward(context))
        except (Refused, Unavailable, ActivityFailed) as problem:
            reason = FailureReason(problem.code, problem.message)
    plan = yield from call(context, begin_rollback, reason)
    if not plan.modules:
        return plan.status
    return (yield from _roll_back(context, plan))


def _roll_forward(context: OrchestrationContext) -> Orchestration[DeploymentStatus]:
    yield from _wait_for_environment(context)
    plan = yield from call(context, pin_release_unit)
    yield from call(context, begin_rollout)
    if plan.is_recreate:
        yield from _stop_previous(context, plan)
    for module in plan.order:
        given = ModuleInput(module)
        yield from call(context, apply_candidate, given)
        within_s = plan.jobs.get(module, plan.ready_s)
        failure = "did not end" if module in plan.jobs else "did not get all its instances ready"
        yield from _wait_until(context, check_ready, given, within_s, failure)
    for step in plan.steps:
        yield from _take_step(context, plan, step.index, step.pause_s)
    yield from call(context, begin_promotion)
    modules = [ModuleInput(module) for module in (*plan.order, *plan.removed)]
    for given in modules:
        yield from call(context, drain_previous, given)
    for given in modules:
        yield from _wait_until(context, check_drained, given, plan.gone_s, "did not drain")
    done = yield from _poll(context, complete_release, None, plan.prove_s, _is_completed)
    if done.status is None:
        raise ProofFailed(done.departure)
    return done.status


def _is_completed(done: Completion) -> bool:
    return done.status is not None


def _wait_for_environment(context: OrchestrationContext) -> Orchestration[None]:
    for _ in range(ENVIRONMENT_POLLS_MAX):
        status = yield from call(context, check_environment)
        if status.state is WaitState.PASSED:
            return
        assert status.until is not None
        yield from wait_for(context, status.wait_name, status.until)
    message = f"the environment was not ready after {ENVIRONMENT_POLLS_MAX} polls"
    raise NotReadyInTime(message, code="EnvironmentLate")


def _stop_previous(context: OrchestrationContext, plan: RolloutPlan) -> Orchestration[None]:
    """Recreate: a module that depends on others stops first."""
    modules = [ModuleInput(module) for module in reversed(plan.order)]
    for given in modules:
        yield from call(context, stop_previous, given)
    for given in modules:
        yield from _wait_until(context, check_drained, given, plan.gone_s, "did not stop")


def _take_step(
    context: OrchestrationContext, plan: RolloutPlan, index: int, pause_s: float
) -> Orchestration[None]:
    """Publish the step, set the weights of all components dependencies first, then judge it."""
    is_passed = yield from call(context, begin_step, StepInput(index))
    if is_passed:
        return
    for module in plan.order:
        yield from call(context, shift_traffic, ModuleStepInput(index, module))
    yield from _pause(context, StepInput(index), pause_s)
    if plan.is_gated:
        yield from _analyze(context, StepInput(index))


def _pause(context: OrchestrationContext, given: StepInput, pause_s: float) -> Orchestration[None]:
    """Stay at this weight for *pause_s* seconds, as long as ready instances carry it."""
    ends_at = context.now + timedelta(seconds=pause_s)
    every_s = max(PAUSE_POLL_EVERY_S, pause_s / POLLS_MAX)
    for _ in range(POLLS_MAX + 1):
        left_s = (ends_at - context.now).total_seconds()
        if left_s <= 0:
            return
        yield from sleep(context, min(every_s, left_s))
        yield from call(context, keep_capacity, given)


def _analyze(context: OrchestrationContext, given: StepInput) -> Orchestration[None]:
    for _ in range(ANALYSES_MAX):
        status = yield from _analyze_once(context, given)
        match status.state:
            case WaitState.PASSED:
                return
            case WaitState.FAILED:
                raise Refused(status.message, code=status.code)
            case WaitState.RESTART | WaitState.PENDING:
                continue
    raise Refused(f"judged {ANALYSES_MAX} times without a verdict", code="GateInconclusive")


def _analyze_once(context: OrchestrationContext, given: StepInput) -> Orchestration[WaitStatus]:
    """Ask the gates of a step and wait for their verdict, or for a retry of a paused one."""
    status = yield from call(context, request_analysis, given)
    for _ in range(POLLS_MAX):
        if status.state is not WaitState.PENDING:
            break
        assert status.until is not None
        has_come = yield from wait_for(context, status.wait_name, status.until)
        if not has_come:
            yield from call(context, keep_capacity, given)
        status = yield from call(context, check_analysis, given)
    return status


def _wait_until(
    context: OrchestrationContext,
    check: Activity[bool],
    given: ModuleInput,
    within_s: float,
    failure: str,
) -> Orchestration[None]:
    """Run *check* until it is true, at the longest *within_s* seconds."""
    if not (yield from _poll(context, check, given, within_s, bool)):
        raise NotReadyInTime(f"{given.module} {failure} within {within_s:.0f} s")


class _Deadline:
    """The end of a wait; after an interruption the wait begins anew."""

    def __init__(self, context: OrchestrationContext, within_s: float) -> None:
        self._context = context
        self._within = timedelta(seconds=within_s)
        self._asked_at = context.now
        self._ends_at = context.now + self._within
        self._interruptions = 0

    def left_s(self) -> float:
        """Return the seconds until the end; 0 behind it."""
        return max(0.0, (self._ends_at - self._context.now).total_seconds())

    def is_over(self) -> bool:
        """Return whether the wait has ended; to be asked before each poll."""
        now = self._context.now
        polled_s = (now - self._asked_at).total_seconds()
        self._asked_at = now
        if polled_s > INTERRUPTED_AFTER_S and self._interruptions < INTERRUPTIONS_MAX:
            self._interruptions += 1
            self._ends_at = now + self._within
        return now >= self._ends_at


def _poll(
    context: OrchestrationContext,
    activity: Activity[R],
    given: object,
    within_s: float,
    is_done: Callable[[R], bool],
) -> Orchestration[R]:
    """Run *activity* until it is done, or for *within_s* seconds; return its last result.

    An outage that is over by then is no reason to roll back: the last look is after it. A module is
    watched until then, and not longer. The time begins anew after an interruption.
    """
    deadline = _Deadline(context, within_s)
    for _ in range(POLLS_MAX):
        is_last = deadline.is_over()
        if isinstance(given, ModuleInput):
            given = replace(given, watch_s=deadline.left_s())
        try:
            result: R = yield from call(context, activity, given)
        except Unavailable:
            if is_last:
                raise
            continue
        if is_done(result) or (is_last and deadline.is_over()):
            return result
    raise NotReadyInTime(f"{activity.__name__} was asked {POLLS_MAX} times")


@dataclass
class _Remains:
    """Sentences on the modules that could not be restored so far, and those with a dead version."""

    remaining: list[str] = field(default_factory=list)
    dead: list[ModuleId] = field(default_factory=list)

    def collect(self, steps: Orchestration[Any], module: str) -> Orchestration[None]:
        """Go on with the other components when one cannot be restored."""
        try:
            yield from steps
        except (Refused, Unavailable, ActivityFailed) as problem:
            self.remaining.append(f"{module}: {problem.message}")


def _roll_back(
    context: OrchestrationContext, plan: RollbackPlan
) -> Orchestration[DeploymentStatus]:
    """Traffic first, for all components in reverse order; then the rejected instances.

    After a recreate they go first where what comes back needs their room.
    """
    if plan.is_recreate:
        yield from _stop_candidates(context, plan)
    remains = _Remains()
    for module in plan.modules:
        steps = _restore(context, ModuleInput(module), plan.ready_s, remains)
        yield from remains.collect(steps, module)
    for module in plan.modules:
        given = RemovalInput(module, is_stranded=module in remains.dead)
        yield from remains.collect(call(context, remove_candidate, given), module)
    for module in plan.modules:
        given_module = ModuleInput(module)
        steps = _wait_until(context, check_drained, given_module, plan.gone_s, "did not drain")
        yield from remains.collect(steps, module)
    left = RemainingInput(tuple(remains.remaining), tuple(remains.dead))
    return (yield from _finish(context, left, plan.prove_s))


def _stop_candidates(context: OrchestrationContext, plan: RollbackPlan) -> Orchestration[None]:
    """Make room for what comes back; what fails here is tried again behind the traffic."""
    ignored = _Remains()
    modules = [ModuleInput(module) for module in plan.modules]
    for given in modules:
        yield from ignored.collect(call(context, stop_candidate, given), given.module)
    for given in modules:
        steps = _wait_until(context, check_drained, given, plan.gone_s, "did not stop")
        yield from ignored.collect(steps, given.module)


def _restore(
    context: OrchestrationContext, given: ModuleInput, within_s: float, remains: _Remains
) -> Orchestration[None]:
    """Bring one module back; record what cannot be, and whether it has nothing to go back to."""
    restoration = yield from _poll(context, restore_previous, given, within_s, _is_decided)
    if restoration.state is not WaitState.PASSED:
        remains.remaining.append(restoration.message)
        if restoration.is_dead:
            remains.dead.append(given.module)


def _is_decided(restoration: Restoration) -> bool:
    return restoration.state is not WaitState.PENDING


def _finish(
    context: OrchestrationContext, left: RemainingInput, within_s: float
) -> Orchestration[DeploymentStatus]:
    """Prove the previous unit, for a while where instances may be just restarting."""
    deadline = _Deadline(context, within_s)
    for _ in range(POLLS_MAX):
        is_last = deadline.is_over() or bool(left.remaining)
        status = yield from call(context, finish_rollback, replace(left, is_last=is_last))
        if status is not None:
            return status
    raise NotReadyInTime(f"the rollback was proved {POLLS_MAX} times")
