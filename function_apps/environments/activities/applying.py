"""The steps of applying: a plan without refusals becomes a run, and its end is told."""

import shared.kernel.operation as operations
from function_apps.environments.activities.errands import (
    ApprovedPlan,
    Change,
    Ending,
    PlannedRun,
    change,
    load,
    planned,
)
from function_apps.environments.model.environment import RuntimeEnvironment
from function_apps.environments.model.states import (
    Applied,
    ApplyBegan,
    State,
)
from function_apps.environments.ports import EnvironmentsApp
from function_apps.environments.use_cases.dossier import Errand
from function_apps.environments.use_cases.planning import inputs_of, require_no_refusals
from shared.contracts.environments import ComputeTarget
from shared.durable.steps import Step
from shared.infrastructure.port import StackName
from shared.kernel.operation import Operation


async def plan_apply(errand: Errand, step: Step, app: EnvironmentsApp) -> str:
    """Return the hash of a plan without refusals; nothing is changed."""
    environment, _ = await load(errand, step, app)
    preview = await app.engine.preview(StackName(environment.stack), inputs_of(environment))
    require_no_refusals(preview)
    return preview.plan_hash


async def begin_apply(approved: ApprovedPlan, step: Step, app: EnvironmentsApp) -> PlannedRun:
    """Record the plan as the stack's run; no resource is changed yet, so nothing to undo."""
    errand = approved.errand
    environment, _ = await load(errand, step, app)
    run = await app.engine.begin_update(
        StackName(environment.stack),
        inputs_of(environment),
        approved.plan_hash,
        step.fence(errand.token),
    )

    def decide(environment: RuntimeEnvironment, operation: Operation) -> Change:
        events = [ApplyBegan()] if environment.status is State.PLANNING else []
        now = app.service.clock.now()
        return events, operations.begin_step(operation, "apply", now, percent=10)

    await change(errand, step, app, decide)
    return planned(run)


async def conclude_apply(ending: Ending, step: Step, app: EnvironmentsApp) -> None:
    """Record the stack's outputs and tell everyone that the environment is usable."""
    errand = ending.errand
    environment, _ = await load(errand, step, app)
    finished = await app.engine.finish(
        StackName(environment.stack), ending.run_id, step.fence(errand.token)
    )
    targets = tuple(
        ComputeTarget.model_validate(each) for each in finished.outputs["computeTargets"]
    )
    facts = {name: str(value) for name, value in finished.outputs.get("facts", {}).items()}

    def decide(environment: RuntimeEnvironment, operation: Operation) -> Change:
        result = {"environmentId": environment.environment_id}
        done = operations.succeed(operation, result, app.service.clock.now())
        return [Applied(targets, facts)], done

    await change(errand, step, app, decide)
