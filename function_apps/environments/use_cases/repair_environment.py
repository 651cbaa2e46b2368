"""RepairEnvironment: bring what is live back to what was provisioned, and to what was bound."""

from collections.abc import Sequence
from dataclasses import replace

from function_apps.environments import repository
from function_apps.environments.errors import EnvironmentNotFound, NotSupported
from function_apps.environments.model import requests
from function_apps.environments.model.tenant_isolation import to_be_made_again
from function_apps.environments.ports import EnvironmentsApp
from function_apps.environments.repository import ENVIRONMENTS, ISOLATIONS
from shared.contracts.environments import RepairEnvironment
from shared.kernel.context import Context, NewIds
from shared.kernel.ids import parse_id, tenant_binding_id
from shared.messaging.outbox import Audited
from shared.messaging.unit_of_work import Decision, Json, Outcome, View
from shared.persistence.codec import Put


async def repair_environment(
    command: RepairEnvironment, ctx: Context, app: EnvironmentsApp
) -> Outcome[Json]:
    """Apply what is in force once more, and have the tenant isolated again where it is bound.

    What is at work already is left so. Of another tenant's environment the isolation is repaired.

    Raises:
        EnvironmentNotFound: it is neither the tenant's, nor is the tenant bound to it.
        NotSupported: `targets` names single resources.
        TransitionRefused: it is not Provisioned.
    """
    if command.targets:
        raise NotSupported(
            "targets: a repair looks at all that an environment has; leave them out",
            target="/targets",
        )
    environment_id = command.environment_id
    binding_id = tenant_binding_id(parse_id(environment_id, "env").environment, ctx.tenant)
    ids = NewIds.draw(ctx, app.service.public_name, environment_id)

    def decide(view: View) -> Decision[Json]:
        known = view.find(ENVIRONMENTS, environment_id)
        isolation = _isolated_again(view, binding_id, ids)
        if known is None:
            if view.find(ISOLATIONS, binding_id) is None:
                raise EnvironmentNotFound(environment_id)
            return Decision({}, writes=isolation, audited=Audited("RepairIsolation", binding_id))
        after = requests.repair(known, operation_id=ids.operation_id, now=ids.now)
        if after is known:
            return Decision({}, writes=isolation, audited=Audited("RepairIsolation", binding_id))
        begun = repository.begin(after, view, ids, ctx, repository.REPAIR)
        return replace(begun, writes=[*begun.writes, *isolation])

    return await app.service.work.change(
        ctx, ENVIRONMENTS, environment_id, decide,
        also=[ISOLATIONS.document_id(binding_id)],
        linked=lambda view: repository.owner_at_work(view, environment_id),
    )  # fmt: skip


def _isolated_again(view: View, binding_id: str, ids: NewIds) -> Sequence[Put]:
    """Return the write by which the tenant is isolated again; none where it is not in force."""
    known = view.find(ISOLATIONS, binding_id)
    after = to_be_made_again(known, ids.now) if known else None
    return [] if after is None or after == known else [ISOLATIONS.put(after)]
