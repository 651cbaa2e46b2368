"""UpdateEnvironment: apply other content to a provisioned environment."""

from dataclasses import replace

from function_apps.environments import repository
from function_apps.environments.model import environment as environments
from function_apps.environments.ports import EnvironmentsApp
from function_apps.environments.use_cases.plan_environment import require_plan
from shared.contracts.environments import UpdateEnvironment
from shared.kernel.context import Context, NewIds
from shared.kernel.ids import parse_id
from shared.messaging.unit_of_work import Decision, Json, Outcome, View
from shared.persistence.store import partition_of


async def update_environment(
    command: UpdateEnvironment, ctx: Context, app: EnvironmentsApp
) -> Outcome[Json]:
    """Apply other content to a provisioned environment; a repeat gets the first answer.

    Raises:
        EnvironmentNotFound, TransitionRefused.
        PlanChanged: `planId` is not the plan that would be applied now.
    """
    identity, spec = command.environment_id, environments.spec_of(command)
    key = parse_id(identity, "env").environment
    ids = NewIds.draw(ctx, app.service.outside_name, key)

    async def precheck(view: View) -> None:
        known = repository.stored(view, identity)
        if not environments.is_same_update(known, spec):
            await require_plan(command.plan_id, replace(known, spec=spec), app)

    def decide(view: View) -> Decision[Json]:
        known = repository.stored(view, identity)
        if environments.is_same_update(known, spec):
            return Decision(repository.answer(known))
        updating = environments.update(
            known, spec, plan_id=command.plan_id, operation_id=ids.operation_id, now=ids.now
        )
        return repository.begin(
            updating, view, ids, ctx, kind="UpdateEnvironment", orchestration=repository.APPLY
        )

    return await app.service.work.commit(
        ctx,
        partition_of(ctx.tenant, identity),
        [repository.document_id(identity)],
        decide,
        precheck=precheck,
    )
