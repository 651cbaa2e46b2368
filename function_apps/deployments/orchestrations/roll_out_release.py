"""The order of steps of a rollout and of a drain, and nothing else."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final, TypeVar

from function_apps.deployments.activities import (
    changing,
    draining,
    ending,
    gating,
    preparing,
    turning_back,
)
from function_apps.deployments.activities import shift_traffic as shifts
from function_apps.deployments.activities.draining import DrainPage
from function_apps.deployments.activities.errands import (
    Completion,
    Course,
    Errand,
    Going,
    Look,
    ModuleOf,
    Problem,
    ProblemOf,
    RemainsOf,
    RemovalOf,
    Restoration,
    Retreat,
    ShiftOf,
    StepOf,
)
from function_apps.deployments.errors import NotReadyInTime, ProofFailed
from function_apps.deployments.use_cases.dossier import DrainTicket, Ticket
from shared.contracts.deployments import DeploymentStatus
from shared.contracts.values import ModuleId
from shared.durable.steps import (
    Activity,
    OrchestrationTable,
    StepFailed,
    Steps,
    Story,
    call,
    sleep,
    wait_for,
)
from shared.kernel.errors import Refused, Unavailable

R = TypeVar("R")
WAITS_MAX: Final = 400
"""24 hours of an environment on its way, looked at every 15 minutes, is 96."""
LOOKS_MAX: Final = 400
"""Of 20 s each while instances start or drain, or at a gate; the deadline comes first."""
LOOK_EVERY_S: Final = 30.0
"""During a pause of a step: instances may be lost."""
JUDGEMENTS_MAX: Final = 50
"""A paused step is judged again each time that somebody retries it."""
PAGES_MAX: Final = 40
"""1,000 services of one environment, 25 a page."""


@dataclass(frozen=True)
class Outcome:
    """How the deployment stands now that this operation has nothing more to do."""

    status: DeploymentStatus


@dataclass(frozen=True)
class DrainOutcome:
    """Not drained by this operation: it was done already, or another one does it."""

    is_drained: bool


def roll_out_release(story: Story) -> Steps[Outcome]:
    """Bring a release unit to its environment step by step, each judged; else turn it back whole.

    Instance id = operationId; ends at once if the deployment has ended or is another operation's.
    Started anew it goes on from stored state.
    """
    ticket = Ticket.read(story.context.get_input())
    opening = yield from call(story, preparing.open_rollout, ticket)
    errand = opening.errand
    if errand is None:
        return Outcome(opening.status)
    problem = Problem("RollbackAsked", "asked by a caller")
    if not opening.is_rolling_back:
        try:
            return (yield from _forward(story, errand))
        except (Refused, Unavailable, StepFailed) as raised:
            problem = _problem(raised)
    retreat = yield from call(story, turning_back.turn_back, ProblemOf(errand, problem))
    if not retreat.modules:
        # Ended, or another operation's now: opening it again closes this operation.
        last = yield from call(story, preparing.open_rollout, ticket)
        return Outcome(last.status)
    return (yield from _back(story, errand, retreat))


def _problem(raised: Refused | Unavailable | StepFailed) -> Problem:
    match raised:
        case StepFailed():
            return Problem("StepFailed", f"{raised.name} failed: {raised.message}")
        case _:
            return Problem(raised.code, raised.message)


def _forward(story: Story, errand: Errand) -> Steps[Outcome]:
    yield from _await_environment(story, errand)
    course = yield from call(story, preparing.fix_unit, errand)
    yield from call(story, preparing.begin_rollout, errand)
    if course.is_recreate:
        yield from _stop_old(story, errand, course)
    for module in course.order:
        of = ModuleOf(errand, module)
        yield from call(story, changing.apply_candidate, of)
        yield from _until(
            story, changing.look_ready, of, course.ready_s, "did not get all its instances ready"
        )
    for step in course.steps:
        yield from _shift(story, errand, course, step.index, step.pause_s)
    yield from call(story, ending.begin_promotion, errand)
    going = [ModuleOf(errand, module) for module in (*course.order, *course.removed)]
    for of in going:
        yield from call(story, ending.drain_old, of)
    for of in going:
        yield from _until(story, changing.look_gone, of, course.gone_s, "did not drain")
    done = yield from _poll(story, ending.complete, errand, course.prove_s, _is_completed)
    if done.status is None:
        raise ProofFailed(done.departure)
    return Outcome(done.status)


def _is_completed(done: Completion) -> bool:
    return done.status is not None


def _await_environment(story: Story, errand: Errand) -> Steps[None]:
    for _ in range(WAITS_MAX):
        look = yield from call(story, preparing.look_at_environment, errand)
        if look.going is Going.GO:
            return
        assert look.until is not None
        yield from wait_for(story, look.wait_name, look.until)
    raise NotReadyInTime("the environment was looked at too often", code="EnvironmentLate")


def _stop_old(story: Story, errand: Errand, course: Course) -> Steps[None]:
    """Recreate: who depends on others stops first."""
    stopping = [ModuleOf(errand, module) for module in reversed(course.order)]
    for of in stopping:
        yield from call(story, changing.stop_old, of)
    for of in stopping:
        yield from _until(story, changing.look_gone, of, course.gone_s, "did not stop")


def _shift(story: Story, errand: Errand, course: Course, index: int, pause_s: float) -> Steps[None]:
    """One step: told, weights of all components dependencies first, then judged."""
    is_passed = yield from call(story, gating.begin_step, StepOf(errand, index))
    if is_passed:
        return
    for module in course.order:
        yield from call(story, shifts.shift_traffic, ShiftOf(errand, index, module))
    yield from _pause(story, StepOf(errand, index), pause_s)
    if course.is_gated:
        yield from _judge(story, StepOf(errand, index))


def _pause(story: Story, of: StepOf, pause_s: float) -> Steps[None]:
    """Stay at this weight for *pause_s* seconds, as long as ready instances carry it."""
    ends_at = story.now + timedelta(seconds=pause_s)
    every_s = max(LOOK_EVERY_S, pause_s / LOOKS_MAX)
    for _ in range(LOOKS_MAX + 1):
        left_s = (ends_at - story.now).total_seconds()
        if left_s <= 0:
            return
        yield from sleep(story, min(every_s, left_s))
        yield from call(story, shifts.keep_capacity, of)


def _judge(story: Story, of: StepOf) -> Steps[None]:
    for _ in range(JUDGEMENTS_MAX):
        look = yield from _judge_once(story, of)
        match look.going:
            case Going.GO:
                return
            case Going.FAILED:
                raise Refused(look.message, code=look.code)
            case Going.AGAIN | Going.OPEN:
                continue
    raise Refused(f"judged {JUDGEMENTS_MAX} times without a verdict", code="GateInconclusive")


def _judge_once(story: Story, of: StepOf) -> Steps[Look]:
    """Ask the gates of a step and wait for their verdict, or for a retry of a paused one."""
    look = yield from call(story, gating.ask_gates, of)
    for _ in range(LOOKS_MAX):
        if look.going is not Going.OPEN:
            break
        assert look.until is not None
        is_told = yield from wait_for(story, look.wait_name, look.until)
        if not is_told:
            yield from call(story, shifts.keep_capacity, of)
        look = yield from call(story, gating.look_at_gates, of)
    return look


def _until(
    story: Story, look: Activity[bool], of: ModuleOf, within_s: float, failure: str
) -> Steps[None]:
    """Look until it is so, at the longest *within_s* seconds."""
    if not (yield from _poll(story, look, of, within_s, bool)):
        raise NotReadyInTime(f"{of.module} {failure} within {within_s:.0f} s")


def _poll(
    story: Story,
    activity: Activity[R],
    argument: object,
    within_s: float,
    is_done: Callable[[R], bool],
) -> Steps[R]:
    """Run *activity* until it is done, or for *within_s* seconds; return what it said last.

    An outage that is over by then is no reason to turn back.
    """
    deadline = story.now + timedelta(seconds=within_s)
    for _ in range(LOOKS_MAX):
        is_last = story.now >= deadline
        try:
            result: R = yield from call(story, activity, argument)
        except Unavailable:
            if is_last:
                raise
            continue
        if is_last or is_done(result):
            return result
    raise NotReadyInTime(f"{activity.__name__} was asked {LOOKS_MAX} times")


def _back(story: Story, errand: Errand, retreat: Retreat) -> Steps[Outcome]:
    """Traffic first, for all components in reverse order; then the rejected instances."""
    remaining: list[str] = []
    stranded: list[ModuleId] = []
    for module in retreat.modules:
        steps = _restore(story, ModuleOf(errand, module), retreat.ready_s, remaining, stranded)
        yield from _noting(steps, module, remaining)
    for module in retreat.modules:
        of = RemovalOf(errand, module, is_stranded=module in stranded)
        steps = call(story, turning_back.remove_candidate, of)
        yield from _noting(steps, module, remaining)
    for module in retreat.modules:
        look = _until(
            story, changing.look_gone, ModuleOf(errand, module), retreat.gone_s, "did not drain"
        )
        yield from _noting(look, module, remaining)
    left = RemainsOf(errand, tuple(remaining), tuple(stranded))
    return (yield from _finish(story, left, retreat.prove_s))


def _restore(
    story: Story, of: ModuleOf, within_s: float, remaining: list[str], stranded: list[ModuleId]
) -> Steps[None]:
    """Bring one module back; note what cannot be, and whether it has nothing to go back to."""
    found = yield from _poll(story, turning_back.restore, of, within_s, _is_decided)
    if found.going is not Going.GO:
        remaining.append(found.message)
        if found.is_dead:
            stranded.append(of.module)


def _is_decided(found: Restoration) -> bool:
    return found.going is not Going.OPEN


def _finish(story: Story, left: RemainsOf, within_s: float) -> Steps[Outcome]:
    """Prove what runs again, for a while where instances may be just restarting."""
    deadline = story.now + timedelta(seconds=within_s)
    for _ in range(LOOKS_MAX):
        is_last = bool(left.remaining) or story.now >= deadline
        status = yield from call(
            story, turning_back.finish_rollback, replace(left, is_last=is_last)
        )
        if status is not None:
            return Outcome(status)
    raise NotReadyInTime(f"the rollback was proved {LOOKS_MAX} times")


def _noting(steps: Steps[Any], module: str, remaining: list[str]) -> Steps[None]:
    """Go on with the other components when one cannot be brought back; say what is left."""
    try:
        yield from steps
    except (Refused, Unavailable, StepFailed) as problem:
        remaining.append(f"{module}: {problem}")


def drain_environment(story: Story) -> Steps[DrainOutcome]:
    """Cancel what is on its way in an environment that goes, take away what runs, and tell it.

    Instance id = operationId. Deployments that are rolling back get time to end; then what is left
    is taken away under a higher token than theirs.
    """
    ticket = DrainTicket.read(story.context.get_input())
    plan = yield from call(story, draining.open_drain, ticket)
    if plan.is_over:
        return DrainOutcome(is_drained=False)
    yield from _cancel_all(story, ticket, plan.queue_s)
    token = yield from call(story, draining.take_over, ticket)
    for _ in range(PAGES_MAX):
        if (yield from call(story, draining.drain_page, DrainPage(ticket, token))):
            break
    yield from call(story, draining.tell_drained, ticket)
    return DrainOutcome(is_drained=True)


def _cancel_all(story: Story, ticket: DrainTicket, within_s: float) -> Steps[None]:
    deadline = story.now + timedelta(seconds=within_s)
    for _ in range(PAGES_MAX):
        left = yield from call(story, draining.cancel_page, ticket)
        if not left or story.now >= deadline:
            return
        yield from sleep(story, 5.0)


ORCHESTRATIONS: Final[OrchestrationTable] = {roll_out_release: 1, drain_environment: 1}
