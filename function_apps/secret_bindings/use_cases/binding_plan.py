"""A dry run of BindSecret: what it would change, and why its work would end without a version."""

from collections.abc import Sequence
from typing import Final

from function_apps.secret_bindings.model.generators import (
    KEY,
    bits_of,
    resource_of,
    text_of,
    user_of,
)
from function_apps.secret_bindings.model.secret_head import SecretHead
from function_apps.secret_bindings.model.versions import usable_version
from function_apps.secret_bindings.ports import SecretBindingsApp
from function_apps.secret_bindings.repository import BINDINGS, HEADS
from function_apps.secret_bindings.use_cases.bind_secret import AskedBinding, asked_binding
from shared.contracts.secret_bindings import BindingChange, BindSecret, SecretBindingPlan
from shared.contracts.values import Reason
from shared.kernel.context import Context
from shared.kernel.errors import Refused
from shared.messaging.outbox import Audited
from shared.messaging.unit_of_work import Decision, View
from shared.persistence.store import partition_of
from shared.vault.port import SecretValue

LOOK: Final = "LookUpSecret"
"""The action of a dry run in the audit trail."""


async def plan_binding(
    command: BindSecret, ctx: Context, app: SecretBindingsApp
) -> SecretBindingPlan:
    """Return what binding would change, and why its work would fail.

    Nothing is changed. That the vault is looked into is recorded in the audit trail, before it is.
    Raises as binding does, Stale, and Unavailable where the vault does not answer.
    """
    asked = await asked_binding(command, ctx, app)
    binding_id, work = asked.fresh.binding_id, app.service.work
    view = await work.read_for_plan(BINDINGS, binding_id, ctx)
    ids = (*asked.also, *asked.operation_of(view))
    more = await work.read(partition_of(ctx.tenant, binding_id), *ids)
    view = View({**view.documents, **more.documents})
    decision = await asked.decision(view)
    known, head = view.find(BINDINGS, binding_id), view.find(HEADS, asked.fresh.secret)
    again = BindingChange.BIND_AGAIN if known else BindingChange.BIND
    given = known.version if known and decision.is_repeat else head and head.in_force
    is_bound = decision.is_repeat and given is not None
    return SecretBindingPlan(
        binding_id=binding_id,
        change=BindingChange.NOTHING if decision.is_repeat else again,
        status=known.status if known else None,
        version=given,
        refusals=() if is_bound else await _refusals(asked, head),
    )


async def _refusals(asked: AskedBinding, head: SecretHead | None) -> Sequence[Reason]:
    """Return why the work of *asked* would end without a version, as its vault is now.

    Raises:
        Unavailable: the vault is throttled or away, or who checks a login is.
    """
    await _record_look(asked)
    name, in_force = asked.fresh.secret_name, head.in_force if head else None
    try:
        versions = await asked.app.vaults.at(asked.fresh.vault_uri).versions(name)
        failed = head.failed_versions if head else ()
        found = usable_version(versions, in_force, name, asked.fresh.generator, failed)
        await _require_maker(asked, is_made=found is None)
    except Refused as problem:
        return [Reason(code=problem.code, message=problem.message)]
    return []


async def _require_maker(asked: AskedBinding, *, is_made: bool) -> None:
    """Refuse a generator whose data resource, or whose key, is not there. Nothing is made.

    Whether a login that is there already may be rotated, its resource says, too.

    Raises:
        ResourceMissing, AdministratorRefused, Invalid: as `PasswordResources.new_value`.
        NotFound: the vault has no key for the webhook.
        Unavailable: one of them is away.
    """
    generator, app = asked.fresh.generator, asked.app
    resource = resource_of(generator, asked.fresh.environment_id)
    if generator is not None and resource is not None:
        text = text_of(generator, app.service.entropy.bits(bits_of(generator)))
        await app.passwords.new_value(resource, user_of(generator), SecretValue(text))
    elif is_made and generator is not None and KEY in generator.settings:
        await app.vaults.at(asked.fresh.vault_uri).get(generator.settings[KEY])


async def _record_look(asked: AskedBinding) -> None:
    """Record who has the vault looked into, and for what: the answer says which secrets it has."""
    binding_id, ctx, generator = asked.fresh.binding_id, asked.ctx, asked.fresh.generator
    key = generator.settings.get(KEY) if generator else None
    names = f"{asked.fresh.secret_name} and {key}" if key else asked.fresh.secret_name
    what = f"{names} in {asked.fresh.vault_uri}"
    seen = Audited(LOOK, binding_id, reason=what)
    await asked.app.service.work.change(
        ctx.without_marker(), BINDINGS, binding_id, lambda _: Decision(None, audited=seen)
    )
