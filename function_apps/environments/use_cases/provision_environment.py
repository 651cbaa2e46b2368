"""ProvisionEnvironment: request an environment, or one that failed or is gone, again."""

from functools import partial

from function_apps.environments import repository
from function_apps.environments.model import environment as environments
from function_apps.environments.ports import EnvironmentsApp
from function_apps.environments.use_cases.plan_environment import require_plan
from shared.contracts.environments import ProvisionEnvironment
from shared.kernel.context import Context, NewIds
from shared.kernel.ids import ProjectId, environment_id, environment_key
from shared.messaging.unit_of_work import Decision, Json, Outcome, View
from shared.persistence.store import partition_of


async def provision_environment(
    command: ProvisionEnvironment, ctx: Context, app: EnvironmentsApp
) -> Outcome[Json]:
    """Request an environment, or retry one that failed; a repeat gets the first answer.

    Raises:
        EnvironmentExists: the name is active with other content.
        PlanChanged: `planId` is not the plan that would be applied now.
    """
    key = environment_key(ctx.tenant, ProjectId(command.project_id), command.name)
    identity, ids = environment_id(key), NewIds.draw(ctx, app.service.outside_name, key)
    fresh = environments.new_environment(
        command,
        environment_id=identity,
        tenant_id=ctx.tenant,
        operation_id=ids.operation_id,
        trace_id=ctx.cause.trace_id,
        now=ids.now,
    )

    async def precheck(view: View) -> None:
        known = repository.find(view, identity)
        if known is None or not environments.is_same_request(known, command):
            await require_plan(command.plan_id, fresh, app)

    def decide(view: View) -> Decision[Json]:
        known = repository.find(view, identity)
        if known is not None and environments.is_same_request(known, command):
            return Decision(repository.answer(known))
        requested = fresh
        if known is not None:
            requested = environments.request_again(
                known, command, operation_id=ids.operation_id, now=ids.now
            )
        return repository.begin(
            requested,
            view,
            ids,
            ctx,
            kind="ProvisionEnvironment",
            orchestration=repository.APPLY,
        )

    return await app.service.work.commit(
        ctx,
        partition_of(ctx.tenant, identity),
        [repository.document_id(identity)],
        decide,
        precheck=precheck,
        linked=partial(repository.owner_at_work, environment_id=identity),
    )
