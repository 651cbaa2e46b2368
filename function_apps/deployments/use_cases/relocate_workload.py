"""RelocateWorkload: start a module's instances again, as its tenant's binding was moved."""

from collections.abc import Sequence

from function_apps.deployments.model import relocation as relocations
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.repository import RELOCATE, TARGETS, releases_of
from function_apps.deployments.use_cases.deploy import enter_queue
from function_apps.deployments.use_cases.end_at_once import end_at_once
from shared.contracts.roll_outs import RelocateWorkload
from shared.kernel.context import Context, NewIds
from shared.kernel.errors import Refused
from shared.messaging.unit_of_work import Decision, Json, Outcome, View


async def relocate_workload(
    command: RelocateWorkload, ctx: Context, app: DeploymentsApp
) -> Outcome[Json]:
    """Put a deployment of kind relocation into the queue of its module, before all other kinds.

    Behind one that has begun by the binding of before it waits, also where nothing is in force yet:
    the first release of the module may run so. Its sender hears of everything by an event: where
    there is nothing to start again, or that is refused, the deployment ends at once.

    Raises:
        Unavailable: the event of the moved binding has not come yet.
    """
    environment_id, asked = command.environment_id, command.relocation
    ids = NewIds.draw(ctx, app.service.public_name, environment_id)

    def decide(view: View) -> Decision[Json]:
        target = view.get(TARGETS, environment_id)
        if any(entry.key == relocations.key_of(asked) for entry in target.queue):
            return Decision({}, is_repeat=True)
        relocations.require_told(asked, target)
        deployment = relocations.new_relocation(asked, environment_id, target, ids, ctx)
        try:
            known = releases_of(asked.module_id, target, view)
            deployment = relocations.of_release_or_later(deployment, target, known)
            return enter_queue(deployment, (), deployment.key, ids, target, ctx, kind=RELOCATE)
        except Refused as refused:
            return end_at_once(deployment, refused, ids, ctx, kind=RELOCATE)

    def in_force(view: View) -> Sequence[str]:
        return view.get(TARGETS, environment_id).module(asked.module_id).released_in

    return await app.service.work.change(ctx, TARGETS, environment_id, decide, linked=in_force)
