"""The steps of decommissioning: wait for the drain, destroy, say what was left."""

import shared.kernel.operation as operations
from function_apps.environments.activities.errands import (
    Change,
    Ending,
    PlannedRun,
    change,
    load,
    planned,
    reason_of,
)
from function_apps.environments.model.environment import RuntimeEnvironment
from function_apps.environments.model.states import (
    Destroyed,
    DestroyFailed,
)
from function_apps.environments.ports import EnvironmentsApp
from function_apps.environments.use_cases.dossier import Errand
from function_apps.environments.use_cases.signals import drained_name
from shared.durable.steps import Step
from shared.infrastructure.port import StackName
from shared.kernel.operation import Operation


async def await_drain(errand: Errand, step: Step, app: EnvironmentsApp) -> str:
    """Commit the name of the nudge that is waited for, then return it."""
    name = drained_name(step.operation_id)

    def decide(_environment: RuntimeEnvironment, operation: Operation) -> Change:
        now = app.service.clock.now()
        begun = operations.begin_step(operation, "drain", now, percent=10)
        return [], operations.wait(begun, "drain", name, now)

    await change(errand, step, app, decide)
    return name


async def drain_seconds(errand: Errand, step: Step, app: EnvironmentsApp) -> float:
    """Return how long to wait for the drain: zero once it is done."""
    environment, _ = await load(errand, step, app)
    return 0.0 if environment.drained else app.rules.drain_timeout.total_seconds()


async def begin_destroy(errand: Errand, step: Step, app: EnvironmentsApp) -> PlannedRun:
    """Record the destruction of the stack, last resource first."""
    environment, _ = await load(errand, step, app)
    run = await app.engine.begin_destroy(
        StackName(environment.stack),
        step.fence(errand.token),
        retain=environment.retain,
        unprotect=True,
    )

    def decide(_environment: RuntimeEnvironment, operation: Operation) -> Change:
        now = app.service.clock.now()
        return [], operations.begin_step(operation, "destroy", now, percent=30)

    await change(errand, step, app, decide)
    return planned(run)


async def conclude_destroy(ending: Ending, step: Step, app: EnvironmentsApp) -> None:
    """Record what is gone; what was not asked to stay and is there makes it a failure."""
    errand = ending.errand
    environment, _ = await load(errand, step, app)
    finished = await app.engine.finish(
        StackName(environment.stack), ending.run_id, step.fence(errand.token)
    )
    retained = [each.urn for each in finished.left if each.code in {"Retained", "HeldBy"}]
    stuck = [each for each in finished.left if each.code not in {"Retained", "HeldBy"}]

    def decide(environment: RuntimeEnvironment, operation: Operation) -> Change:
        now = app.service.clock.now()
        if stuck:
            message = "; ".join(f"{each.name}: {each.reason}" for each in stuck)
            event = DestroyFailed(reason_of("DestroyFailed", message), [each.urn for each in stuck])
            return [event], operations.fail(operation, "DestroyFailed", message, now)
        result = {"environmentId": environment.environment_id, "retained": retained}
        return [Destroyed(retained)], operations.succeed(operation, result, now)

    await change(errand, step, app, decide)
