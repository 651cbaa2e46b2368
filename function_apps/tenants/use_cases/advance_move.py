"""AdvanceMove: look at what runs of a tenant that is moved, and take the next step."""

from collections.abc import Collection

from function_apps.tenants.model.binding import TenantBinding
from function_apps.tenants.model.move import advance, ask_again, is_to_advance
from function_apps.tenants.ports import TenantsApp
from function_apps.tenants.repository import BINDINGS, changed
from function_apps.tenants.use_cases.live_boundary import live_boundaries
from shared.contracts.roll_outs import ConfirmCutOver, RelocateWorkload
from shared.contracts.tenants import AdvanceMove
from shared.contracts.values import ModuleId
from shared.kernel.context import Context
from shared.kernel.errors import Unavailable
from shared.kernel.ids import EnvironmentId
from shared.kernel.observation import Absent, Present, Unknown
from shared.messaging.outbox import Send
from shared.messaging.unit_of_work import NOTHING, Decision, Json, Outcome, View


async def advance_move(command: AdvanceMove, ctx: Context, app: TenantsApp) -> Outcome[Json]:
    """Go on with a move that waits for nobody else; a step that is taken again changes nothing.

    Raises:
        Unavailable: a surface did not answer, or not for everything. The move stands meanwhile.
    """
    binding = await app.service.work.find(BINDINGS, command.binding_id, ctx.tenant)
    if binding is None or binding.move is None:
        return Outcome({})
    running: Collection[ModuleId] = ()
    problem = ""
    if is_to_advance(binding):
        running, problem = await _running(binding, app), await _problem(binding, app)

    def decide(view: View) -> Decision[Json]:
        known = view.get(BINDINGS, command.binding_id)
        if known.revision != binding.revision:
            return NOTHING  # what changed it takes the next step itself
        if not is_to_advance(known):
            again = ask_again(known, ctx.now())
            return NOTHING if again is known else changed(again, "AdvanceMove")
        after, asked = advance(
            known, running, problem, ctx.now(), confirmed_revision=command.confirmed_revision
        )
        sent = [Send("deployments", each, module=_module_of(each)) for each in asked]
        if after is known:
            return Decision({}, outbox=sent)
        batch = changed(after, "AdvanceMove")
        return Decision(
            {}, writes=batch.writes, outbox=[*batch.outbox, *sent], audited=batch.audited
        )

    return await app.service.work.change(ctx, BINDINGS, command.binding_id, decide)


def _module_of(command: RelocateWorkload | ConfirmCutOver) -> str | None:
    return command.module_id if isinstance(command, RelocateWorkload) else None


async def _running(binding: TenantBinding, app: TenantsApp) -> Collection[ModuleId]:
    """Return the modules of the tenant on all targets of its environment. Raises Unavailable."""
    environment, found = EnvironmentId(binding.environment_id), set[ModuleId]()
    for target in binding.compute_targets:
        reader = app.inventories.get(target.kind)
        if reader is None:
            raise Unavailable(f"no {target.kind} is configured")
        match await reader.inventory(environment):
            case Unknown(reason):
                raise Unavailable(f"{target.kind} did not answer: {reason}")
            case Present(inventory) if not inventory.is_complete:
                raise Unavailable(f"not all could be read: {inventory.unread_because(())}")
            case Present(inventory):
                own = (each.component for each in inventory.components if each.revisions)
                found |= {each.module for each in own if each.tenant == binding.tenant_id}
            case Absent():
                pass
    return found


async def _problem(binding: TenantBinding, app: TenantsApp) -> str:
    """Return why the tenant is not kept apart; empty where it is. Raises Unavailable."""
    for target, look in await live_boundaries(binding, app):
        match look:
            case Unknown(reason):
                raise Unavailable(f"{target.kind} did not answer: {reason}")
            case Absent():
                return f"{target.kind} has no boundary of the tenant"
            case Present(boundary) if not boundary.is_ready:
                return f"{boundary.name} is opened, or a part of it is missing"
            case Present():
                pass
    return ""
