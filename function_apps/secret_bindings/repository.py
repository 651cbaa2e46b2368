"""The stored documents of secret_bindings: bindings, heads of secrets, environments."""

from collections.abc import Sequence
from typing import Final

from function_apps.secret_bindings.errors import BindingNotFound
from function_apps.secret_bindings.model.binding import Binding
from function_apps.secret_bindings.model.environment import EnvironmentProjection
from function_apps.secret_bindings.model.secret_head import SecretHead
from function_apps.secret_bindings.ports import SecretBindingsApp
from shared.durable.operations import OperationKind
from shared.kernel.context import Context
from shared.kernel.ids import parse_id
from shared.persistence.codec import DocumentCodec
from shared.persistence.store import Comparison, Partition, Query, Where, partition_of

BINDINGS: Final = DocumentCodec(
    Binding, "binding", key="binding_id", document="binding/{}", missing=BindingNotFound
)
HEADS: Final = DocumentCodec(SecretHead, "secret", key="secret", document="secret/{}")
"""Beside its bindings; known by vault and name."""
ENVIRONMENTS: Final = DocumentCodec(
    EnvironmentProjection, "environment", key="environment_id", document="environment/{}"
)
BIND: Final = OperationKind("BindSecret", "secret_bindings_bind_secret")
PAGE_MAX: Final = 100


async def load_binding(identity: str, ctx: Context, app: SecretBindingsApp) -> tuple[Binding, str]:
    """Return a binding with its etag. Raises BindingNotFound."""
    parse_id(identity, "sec")
    partition = partition_of(ctx.tenant, identity)
    document = await app.service.store.read(partition, BINDINGS.document_id(identity))
    if document is None:
        raise BindingNotFound(identity)
    return BINDINGS.decode(document.body), document.etag


async def bindings_of_module(
    environment_id: str, module_id: str, ctx: Context, app: SecretBindingsApp
) -> Sequence[Binding]:
    """Return the bindings of a module that are not revoked; at most 100, twice what it may have."""
    return await _active(environment_id, [Where("module_id", Comparison.EQ, module_id)], ctx, app)


async def active_bindings(
    environment_id: str, ctx: Context, app: SecretBindingsApp, *, most: int
) -> Sequence[Binding]:
    """Return some bindings of an environment that are not revoked."""
    return await _active(environment_id, [], ctx, app, limit=most)


async def _active(
    environment_id: str,
    where: Sequence[Where],
    ctx: Context,
    app: SecretBindingsApp,
    *,
    limit: int = PAGE_MAX,
) -> Sequence[Binding]:
    key = parse_id(environment_id, "env").environment
    page = await app.service.store.query(
        Partition(ctx.tenant, key),
        Query(
            where=[
                Where("type", Comparison.EQ, BINDINGS.type_name),
                Where("status", Comparison.IS_NOT, "Revoked"),
                *where,
            ],
            limit=limit,
        ),
    )
    return [value for _, value in BINDINGS.readable(page.documents)]
