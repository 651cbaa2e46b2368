"""The events of an environment: what tenants are bound to, and how far it is.

The binding of the tenant that is told follows: Enforced once its isolation is in force, Unbound
once nothing of it is left, or the environment is gone.
"""

from dataclasses import replace

from function_apps.tenants.model.environment import (
    EnvironmentProjection,
    on_environment_event,
    on_status,
)
from function_apps.tenants.model.environment_news import on_environment
from function_apps.tenants.model.move import why_taken_back
from function_apps.tenants.ports import TenantsApp
from function_apps.tenants.repository import BINDINGS, ENVIRONMENTS, changed
from shared.contracts.environments import (
    RuntimeEnvironmentDecommissioned,
    RuntimeEnvironmentFailed,
    RuntimeEnvironmentStatusChanged,
)
from shared.contracts.environments import RuntimeEnvironmentProvisioned as Provisioned
from shared.kernel.context import Context
from shared.kernel.ids import parse_id, tenant_binding_id
from shared.messaging.unit_of_work import NOTHING, Decision, Json, Outcome, View


async def record_environment(
    event: Provisioned | RuntimeEnvironmentDecommissioned, ctx: Context, app: TenantsApp
) -> Outcome[Json]:
    """Record the newest state of an environment, and what it means for the tenant's binding."""
    identity, heard = event.environment_id, _projection(event)
    binding_id = tenant_binding_id(parse_id(identity, "env").environment, ctx.tenant)

    def decide(view: View) -> Decision[Json]:
        environment = on_environment_event(view.find(ENVIRONMENTS, identity), heard)
        if environment is None:
            return NOTHING
        written = ENVIRONMENTS.put(environment)
        binding = view.find(BINDINGS, binding_id)
        after = on_environment(binding, environment, ctx.now()) if binding else None
        if binding is None or after is None or after == binding:
            return Decision({}, writes=[written])
        batch = changed(after, "RecordEnvironment", why_taken_back(binding, after))
        return Decision(
            {}, writes=[written, *batch.writes], outbox=batch.outbox, audited=batch.audited
        )

    return await app.service.work.change(
        ctx.without_marker(),
        ENVIRONMENTS,
        identity,
        decide,
        also=[BINDINGS.document_id(binding_id)],
    )


async def record_status(
    event: RuntimeEnvironmentStatusChanged | RuntimeEnvironmentFailed,
    ctx: Context,
    app: TenantsApp,
) -> Outcome[Json]:
    """Record that an environment is being taken down, or is no longer."""
    identity = event.environment_id

    def decide(view: View) -> Decision[Json]:
        after = on_status(view.find(ENVIRONMENTS, identity), event.revision, event.status)
        return NOTHING if after is None else Decision({}, writes=[ENVIRONMENTS.put(after)])

    return await app.service.work.change(ctx.without_marker(), ENVIRONMENTS, identity, decide)


def _projection(event: Provisioned | RuntimeEnvironmentDecommissioned) -> EnvironmentProjection:
    known = EnvironmentProjection(
        event.environment_id,
        event.revision,
        isinstance(event, Provisioned),
        event.owner_tenant_id,
        event.stage,
        event.region,
        event.isolation_model,
        generation=event.generation,
    )
    if not isinstance(event, Provisioned):
        return replace(known, retained=event.remaining)
    return replace(
        known,
        compute_targets=event.compute_targets,
        admits=event.admits,
        isolation=event.isolation,
    )
