"""BindSecret: give a module a secret of a vault, from its next release on."""

import re
from dataclasses import replace
from typing import Final

from function_apps.secret_bindings import repository
from function_apps.secret_bindings.errors import (
    SecretNameReserved,
    TargetTaken,
    VaultNotOfEnvironment,
    VaultOfAnEnvironment,
)
from function_apps.secret_bindings.model.binding import Binding, new_binding, request
from function_apps.secret_bindings.model.environment import EnvironmentProjection, require_open
from function_apps.secret_bindings.model.generators import KEY, require_supported
from function_apps.secret_bindings.model.secret_head import require_generator, require_room
from function_apps.secret_bindings.model.tenant import require_not_suspended
from function_apps.secret_bindings.ports import SecretBindingsApp
from function_apps.secret_bindings.repository import BIND, BINDINGS, ENVIRONMENTS, HEADS, TENANTS
from function_apps.secret_bindings.resources import answer
from shared.contracts.secret_bindings import BindSecret
from shared.contracts.values import SecretDelivery
from shared.durable.operations import OPERATIONS, begin_operation, close_superseded
from shared.kernel.context import Context, NewIds
from shared.kernel.ids import parse_id, secret_binding_id, secret_key
from shared.messaging.outbox import Audited
from shared.messaging.unit_of_work import Decision, Json, Outcome, View
from shared.passwords.servers import administrator_secret
from shared.surfaces.secret_references import SecretReference
from shared.vault.vault_uris import LOCAL_SUFFIX, VaultMissing

_ENVIRONMENT_VAULT: Final = re.compile(
    rf"https://[a-z2-7]{{12}}\.{re.escape(LOCAL_SUFFIX)}/?", re.IGNORECASE
)
"""On this machine the vault of an environment has the environment's key for its name."""
_PLACED: Final = {SecretDelivery.ENVIRONMENT_VARIABLE, SecretDelivery.FILE}
"""Deliveries whose target is a name that the instance sees."""
_ADMINISTRATOR: Final = re.compile(administrator_secret(".*"), re.IGNORECASE)


async def bind_secret(command: BindSecret, ctx: Context, app: SecretBindingsApp) -> Outcome[Json]:
    """Request a binding; a repeat gets the first answer.

    Raises:
        EnvironmentNotProvisioned, TenantSuspended, VaultMissing, GeneratorNotSupported,
        BindingExists, TargetTaken,
        ConsumersFull, GeneratorDiffers, SecretNameReserved, VaultNotOfEnvironment,
        VaultOfAnEnvironment: see there.
        VaultNotAllowed: the vault is none that may be asked.
        Invalid: the target is no name of a variable, or of a file.
    """
    require_supported(command.generator)
    _require_free_names(command)
    key = parse_id(command.environment_id, "env").environment
    binding_id = secret_binding_id(key, command.module_id, command.secret_name)
    ids = NewIds.draw(ctx, app.service.public_name, binding_id)
    environment = await _environment(command, ctx, app)
    vault_uri = _vault_uri(command, environment)
    app.vaults.at(vault_uri)
    _require_target(command, vault_uri)
    fresh = new_binding(
        command,
        binding_id,
        tenant_id=ctx.tenant,
        vault_uri=vault_uri,
        secret=secret_key(vault_uri, command.secret_name),
        operation_id=ids.operation_id,
        now=ids.now,
    )

    async def decide(view: View) -> Decision[Json]:
        stored = view.find(ENVIRONMENTS, command.environment_id)
        is_open = require_open(command.environment_id, stored)
        asked = _for_tenant(fresh, view)
        known = view.find(BINDINGS, binding_id)
        operation = known and view.readable(OPERATIONS, known.operation_id)
        is_pending = bool(operation and not operation.is_terminal)
        after = request(known, asked, is_pending=is_pending)
        if after is known:
            return Decision(answer(after), is_repeat=True)
        await _require_free_target(fresh, ctx, app)
        head = view.find(HEADS, after.secret)
        require_room(head, binding_id)
        require_generator(head, binding_id, command.generator)
        begun, start = begin_operation(
            BIND, binding_id, f"/v1/runtime/secret-bindings/{binding_id}", ids, ctx
        )
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
            audited=Audited(BIND.name, binding_id),
        )  # fmt: skip

    def operation_of(view: View) -> list[str]:
        known = view.find(BINDINGS, binding_id)
        return [OPERATIONS.document_id(known.operation_id)] if known else []

    also = [
        ENVIRONMENTS.document_id(command.environment_id),
        TENANTS.document_id(command.environment_id),
        HEADS.document_id(fresh.secret),
    ]
    return await app.service.work.change(
        ctx, BINDINGS, binding_id, decide, also=also, linked=operation_of
    )


def _for_tenant(fresh: Binding, view: View) -> Binding:
    """Return *fresh* with the identity that its tenant was given. Raises TenantSuspended."""
    tenant = view.find(TENANTS, fresh.environment_id)
    require_not_suspended(tenant)
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
            raise VaultMissing(
                f"{command.environment_id} has no vault of its own: name one, and say external",
                target="/vaultUri",
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


def _require_target(command: BindSecret, vault_uri: str) -> None:
    """Refuse a target that no instance can be given. Raises Invalid."""
    is_variable = command.delivery is SecretDelivery.ENVIRONMENT_VARIABLE
    if command.delivery is SecretDelivery.REFERENCE:
        return
    SecretReference(
        command.secret_name,
        "any",
        vault_uri,
        variable=command.target if is_variable else None,
        file=None if is_variable else command.target,
    )


async def _require_free_target(fresh: Binding, ctx: Context, app: SecretBindingsApp) -> None:
    """Refuse a place in which the module is given another secret. Raises TargetTaken.

    A variable and a file of one name are one place, as in the plan of a release.
    """
    if fresh.delivery is SecretDelivery.REFERENCE:
        return
    others = await repository.bindings_of_module(fresh.environment_id, fresh.module_id, ctx, app)
    for other in others:
        is_same_place = other.delivery in _PLACED and other.target == fresh.target
        if is_same_place and other.binding_id != fresh.binding_id:
            raise TargetTaken(fresh.module_id, fresh.target, other.binding_id)
