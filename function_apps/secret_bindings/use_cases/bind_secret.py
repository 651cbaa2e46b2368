"""BindSecret: give a module a secret of a vault, from its next release on."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from function_apps.secret_bindings import repository
from function_apps.secret_bindings.errors import (
    SecretNameReserved,
    VaultNotOfEnvironment,
    VaultOfAnEnvironment,
)
from function_apps.secret_bindings.model.binding import Binding, new_binding, request, require_place
from function_apps.secret_bindings.model.environment import (
    EnvironmentProjection,
    require_open,
    require_own_server,
)
from function_apps.secret_bindings.model.generators import KEY, require_supported
from function_apps.secret_bindings.model.secret_head import (
    require_generator,
    require_room,
)
from function_apps.secret_bindings.model.tenant import require_not_suspended
from function_apps.secret_bindings.ports import SecretBindingsApp
from function_apps.secret_bindings.repository import BIND, BINDINGS, ENVIRONMENTS, HEADS, TENANTS
from function_apps.secret_bindings.resources import answer
from shared.contracts.secret_bindings import BindSecret
from shared.durable.operations import OPERATIONS, begin_operation, close_superseded
from shared.kernel.context import Context, NewIds
from shared.kernel.dataclass import dataclass
from shared.kernel.ids import parse_id, secret_binding_id, secret_key
from shared.messaging.outbox import Audited
from shared.messaging.unit_of_work import Decision, Json, Outcome, View
from shared.passwords.servers import administrator_secret
from shared.surfaces.secret_references import check_target
from shared.vault.vault_uris import LOCAL_SUFFIX, VaultMissing

_ENVIRONMENT_VAULT: Final = re.compile(
    rf"https://[a-z2-7]{{12}}\.{re.escape(LOCAL_SUFFIX)}/?", re.IGNORECASE
)
"""On this machine the vault of an environment has the environment's key for its name."""
_ADMINISTRATOR: Final = re.compile(administrator_secret(".*"), re.IGNORECASE)


@dataclass(frozen=True)
class AskedBinding:
    """A command that stands by itself, and what is decided on what is stored."""

    command: BindSecret
    fresh: Binding
    ids: NewIds
    ctx: Context
    app: SecretBindingsApp

    @property
    def also(self) -> Sequence[str]:
        """The documents beside the binding on which it is decided."""
        return (
            ENVIRONMENTS.document_id(self.command.environment_id),
            TENANTS.document_id(self.command.environment_id),
            HEADS.document_id(self.fresh.secret),
        )

    def operation_of(self, view: View) -> Sequence[str]:
        known = view.find(BINDINGS, self.fresh.binding_id)
        return [OPERATIONS.document_id(known.operation_id)] if known else []

    async def decision(self, view: View) -> Decision[Json]:
        """Return what is decided on *view*. Raises as `bind_secret`."""
        fresh, ids, where = self.fresh, self.ids, self.command.environment_id
        is_open = require_open(where, view.find(ENVIRONMENTS, where))
        known = view.find(BINDINGS, fresh.binding_id)
        operation = known and view.readable(OPERATIONS, known.operation_id)
        is_pending = bool(operation and not operation.is_terminal)
        after = request(known, _for_tenant(fresh, is_open, view), is_pending=is_pending)
        if after is known:
            return Decision(answer(after), is_repeat=True)
        of_module = await repository.bindings_of_module(where, fresh.module_id, self.ctx, self.app)
        require_place(fresh, of_module)
        head = view.find(HEADS, after.secret)
        require_room(head, fresh.binding_id)
        require_generator(head, fresh.binding_id, self.command.generator)
        resource = f"/v1/runtime/secret-bindings/{fresh.binding_id}"
        begun, start = begin_operation(BIND, fresh.binding_id, resource, ids, self.ctx)
        # Of one that was revoked while its version was looked for.
        superseded = (
            close_superseded(view, known.operation_id, ids.operation_id, ids.now) if known else []
        )
        return Decision(
            answer(after),
            writes=[
                BINDINGS.put(after), OPERATIONS.put(begun), *superseded,
                # As it is: of two commands in one environment one is decided after the other, so
                # that a place is given to one secret, and none is bound in one that has ended.
                ENVIRONMENTS.put(is_open),
            ],
            outbox=[start],
            audited=Audited(BIND.name, fresh.binding_id),
        )  # fmt: skip


async def bind_secret(command: BindSecret, ctx: Context, app: SecretBindingsApp) -> Outcome[Json]:
    """Request a binding; a repeat gets the first answer.

    Raises:
        EnvironmentNotProvisioned, TenantSuspended, VaultMissing, GeneratorNotSupported,
        BindingExists, TargetTaken, BindingsFull, ConsumersFull, GeneratorDiffers,
        SecretNameReserved, VaultNotOfEnvironment,
        VaultOfAnEnvironment: see there.
        VaultNotAllowed: the vault is none that may be asked.
        Invalid: the target is no name of a variable, or of a file.
    """
    asked = await asked_binding(command, ctx, app)

    async def decide(view: View) -> Decision[Json]:
        return await asked.decision(view)

    return await app.service.work.change(
        ctx, BINDINGS, asked.fresh.binding_id, decide,
        also=asked.also, linked=asked.operation_of,
    )  # fmt: skip


async def asked_binding(command: BindSecret, ctx: Context, app: SecretBindingsApp) -> AskedBinding:
    """Return *command* with the binding that it asks for. Raises as binding does."""
    require_supported(command.generator)
    _require_free_names(command)
    key = parse_id(command.environment_id, "env").environment
    binding_id = secret_binding_id(key, command.module_id, command.secret_name)
    ids = NewIds.draw(ctx, app.service.public_name, binding_id)
    environment = await _environment(command, ctx, app)
    require_own_server(environment, command.generator)
    vault_uri = _vault_uri(command, environment)
    app.vaults.at(vault_uri)
    check_target(command.secret_name, command.target, command.delivery, vault_uri)
    fresh = new_binding(
        command,
        binding_id,
        tenant_id=ctx.tenant,
        vault_uri=vault_uri,
        secret=secret_key(vault_uri, command.secret_name),
        operation_id=ids.operation_id,
        now=ids.now,
    )
    return AskedBinding(command, fresh, ids, ctx, app)


def _for_tenant(fresh: Binding, where: EnvironmentProjection, view: View) -> Binding:
    """Return *fresh* with the identity that its tenant was given. Raises TenantSuspended."""
    tenant = view.find(TENANTS, fresh.environment_id)
    require_not_suspended(tenant, is_foreign=where.is_foreign)
    return replace(fresh, identity=tenant.identity if tenant else None)


def _require_free_names(command: BindSecret) -> None:
    """Refuse the secret of a server's administrator, as the binding's or as a webhook's key."""
    settings = command.generator.settings if command.generator else {}
    for name in (command.secret_name, settings.get(KEY, "")):
        if _ADMINISTRATOR.fullmatch(name):
            raise SecretNameReserved(name)


async def _environment(
    command: BindSecret, ctx: Context, app: SecretBindingsApp
) -> EnvironmentProjection:
    known = await app.service.work.find(ENVIRONMENTS, command.environment_id, ctx.tenant)
    return require_open(command.environment_id, known)


def _vault_uri(command: BindSecret, environment: EnvironmentProjection) -> str:
    """Return the vault of the binding: the environment's own, or an external one."""
    own, named = environment.vault_uri, command.vault_uri
    is_own = named is None or (own is not None and _bare(named) == _bare(own))
    if not command.external:
        if own is None:
            why = (
                "is another tenant's, and so is its vault: name one of yours"
                if environment.is_foreign
                else "has no vault of its own: name one"
            )
            raise VaultMissing(
                f"{command.environment_id} {why}, and say external", target="/vaultUri"
            )
        if not is_own:
            raise VaultNotOfEnvironment(str(named), own)
        return own
    assert named is not None, "the contract refuses an external one without"
    if is_own or _ENVIRONMENT_VAULT.fullmatch(named):
        raise VaultOfAnEnvironment(named)
    return _bare(named)


def _bare(uri: str) -> str:
    return uri.lower().removesuffix("/")
