"""RuntimeEnvironmentProvisioned and Decommissioned: in which environments secrets may be bound."""

from function_apps.secret_bindings.model.environment import (
    EnvironmentProjection,
    on_environment_event,
)
from function_apps.secret_bindings.ports import SecretBindingsApp
from function_apps.secret_bindings.repository import ENVIRONMENTS
from function_apps.secret_bindings.use_cases.revocation import forget_consumers, revoke_all
from shared.contracts.environments import RuntimeEnvironmentDecommissioned
from shared.contracts.environments import RuntimeEnvironmentProvisioned as Provisioned
from shared.kernel.context import Context
from shared.kernel.ids import parse_id
from shared.messaging.unit_of_work import NOTHING, Decision, Json, Outcome, View
from shared.vault.vault_uris import VaultMissing


async def record_environment(
    event: Provisioned | RuntimeEnvironmentDecommissioned, ctx: Context, app: SecretBindingsApp
) -> Outcome[Json]:
    """Open an environment to bindings, with its own vault; or close it, and revoke them.

    That of another tenant has no vault here: what is in it was made for its owner.
    """
    identity = event.environment_id
    is_open = isinstance(event, Provisioned)
    is_foreign = event.owner_tenant_id != ctx.tenant
    vault_uri = (
        _own_vault(event, app) if isinstance(event, Provisioned) and not is_foreign else None
    )
    heard = EnvironmentProjection(identity, event.revision, is_open, vault_uri, is_foreign)

    def decide(view: View) -> Decision[Json]:
        after = on_environment_event(view.find(ENVIRONMENTS, identity), heard)
        return NOTHING if after is None else Decision({}, writes=[ENVIRONMENTS.put(after)])

    outcome = await app.service.work.change(ctx.without_marker(), ENVIRONMENTS, identity, decide)
    if not heard.is_open:
        # Also at a repeat: the first time may have ended between two pages.
        known = await app.service.work.find(ENVIRONMENTS, identity, ctx.tenant)
        if known is not None and not known.is_open:
            await revoke_all(identity, ctx, app)
            await forget_consumers(identity, ctx, app)
    return outcome


def _own_vault(event: Provisioned, app: SecretBindingsApp) -> str | None:
    key = parse_id(event.environment_id, "env").environment
    try:
        return app.vaults.of_environment(key, event.outputs)
    except VaultMissing:
        return None
