"""RemediateDrift: bring what is in force of a module once more, as drift found it different."""

from collections.abc import Sequence

from function_apps.deployments.errors import NothingToRollOut
from function_apps.deployments.model import predecessors, repair
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.repository import REPAIR, TARGETS, releases_of
from function_apps.deployments.use_cases.deploy import enter_queue
from shared.contracts.roll_outs import RemediateDrift
from shared.kernel.context import Context, NewIds
from shared.messaging.unit_of_work import NOTHING, Decision, Json, Outcome, View


async def remediate_drift(
    command: RemediateDrift, ctx: Context, app: DeploymentsApp
) -> Outcome[Json]:
    """Put a deployment of kind repair into the queue of the module.

    A repair of it that waits or runs answers others. Where another release is in force by now, or
    the module has run to its end, there is nothing to repair, and nothing is done.

    Raises:
        EnvironmentNotUsable, BindingRequired, BindingSuspended, IsolationBreached, QueueFull.
    """
    environment_id, module = command.environment_id, command.module_id
    ids = NewIds.draw(ctx, app.service.public_name, environment_id)

    def decide(view: View) -> Decision[Json]:
        target = view.get(TARGETS, environment_id)
        if any(entry.key == repair.key_of(module) for entry in target.queue):
            return Decision({}, is_repeat=True)
        try:
            repair.require_in_force(target, module, command.recorded_revision)
        except NothingToRollOut:
            return NOTHING
        known = releases_of(module, target, view)
        found = predecessors.module_in_force(target, module, known)
        if found is None or found[1].runs_once is not None:
            return NOTHING
        release, component = found
        deployment = repair.repair_of(
            component, release, target, ids, ctx, replicas=command.replicas
        )
        return enter_queue(deployment, (), deployment.key, ids, target, ctx, kind=REPAIR)

    def in_force(view: View) -> Sequence[str]:
        return view.get(TARGETS, environment_id).module(module).released_in

    return await app.service.work.change(ctx, TARGETS, environment_id, decide, linked=in_force)
