"""The stored documents of secret_bindings: bindings, heads, rotations, environments."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from function_apps.secret_bindings.errors import BindingNotFound, RotationNotFound
from function_apps.secret_bindings.model.binding import Binding
from function_apps.secret_bindings.model.environment import EnvironmentProjection
from function_apps.secret_bindings.model.rotation import Rotation
from function_apps.secret_bindings.model.secret_head import SecretHead
from function_apps.secret_bindings.model.secret_watch import SecretWatch
from function_apps.secret_bindings.model.tenant import TenantProjection
from function_apps.secret_bindings.ports import SecretBindingsApp
from shared.contracts.retention import Kept
from shared.durable.activity import ActivityContext, Step, commit_documents
from shared.durable.operations import OperationKind
from shared.kernel.context import Context
from shared.kernel.dataclass import dataclass
from shared.kernel.ids import parse_id
from shared.kernel.operation import Operation
from shared.messaging.unit_of_work import View
from shared.persistence.codec import DocumentCodec
from shared.persistence.store import (
    Comparison,
    Document,
    Partition,
    Query,
    Where,
    pages,
    partition_of,
)


def _binding_queried(binding: Binding) -> Mapping[str, Any]:
    """Return the time at which the secret of a binding is rotated by its policy."""
    return {} if binding.due_at is None else {"dueAt": binding.due_at}


def _watch_queried(watch: SecretWatch) -> Mapping[str, Any]:
    """Return when the vault is read next, while a module is bound to the secret."""
    return {} if watch.due_at is None else {"dueAt": watch.due_at}


BINDINGS: Final = DocumentCodec(
    Binding,
    "binding",
    key="binding_id",
    document="binding/{}",
    missing=BindingNotFound,
    queried=_binding_queried,
    kept=Kept.ENDED,
    has_ended=lambda binding: not binding.is_active,
)
HEADS: Final = DocumentCodec(SecretHead, "secret", key="secret", document="secret/{}")
"""In the partition of its bindings; its id is made of vault and name.

It stays when nobody is given the secret, as it numbers the rotations, until its environment has
ended: a timer removes it then.
"""
ENVIRONMENTS: Final = DocumentCodec(
    EnvironmentProjection, "environment", key="environment_id", document="environment/{}"
)
TENANTS: Final = DocumentCodec(
    TenantProjection, "tenant", key="environment_id", document="tenant/{}"
)
WATCHES: Final = DocumentCodec(
    SecretWatch,
    "watch",
    key="secret",
    document="watch/{}",
    queried=_watch_queried,
    kept=Kept.ENDED,
    has_ended=lambda watch: watch.due_at is None,
)
"""Beside the head, which rotations and proofs write."""
ROTATIONS: Final = DocumentCodec(
    Rotation,
    "rotation",
    key="rotation_id",
    document="rotation/{}",
    missing=RotationNotFound,
    kept=Kept.ENDED,
    has_ended=lambda rotation: rotation.is_ended,
)
BIND: Final = OperationKind("BindSecret", "secret_bindings_bind_secret")
ROTATE: Final = OperationKind("RotateSecret", "secret_bindings_rotate_secret")
PAGE_MAX: Final = 100
T = TypeVar("T")


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
    """Return all bindings of a module that are not revoked."""
    of_module = Where("module_id", Comparison.EQ, module_id)
    within, query = _active(environment_id, [of_module], ctx, limit=PAGE_MAX)
    found = [each async for each in pages(app.service.store, within, query)]
    return [value for _, value in BINDINGS.readable(found)]


async def active_bindings(
    environment_id: str, ctx: Context, app: SecretBindingsApp, *, most: int
) -> Sequence[Binding]:
    """Return some bindings of an environment that are not revoked."""
    page = await app.service.store.query(*_active(environment_id, [], ctx, limit=most))
    return [value for _, value in BINDINGS.readable(page.documents)]


async def heads_of(
    environment_id: str, ctx: Context, app: SecretBindingsApp
) -> Sequence[tuple[Document, SecretHead]]:
    """Return the heads of the secrets of an environment."""
    within = Partition(ctx.tenant, parse_id(environment_id, "env").environment)
    query = Query(where=HEADS.conditions, limit=PAGE_MAX)
    found = [each async for each in pages(app.service.store, within, query)]
    return [*HEADS.readable(found)]


def _active(
    environment_id: str, where: Sequence[Where], ctx: Context, *, limit: int
) -> tuple[Partition, Query]:
    """Return the query for bindings that are not revoked, *limit* a page."""
    key = parse_id(environment_id, "env").environment
    is_active = Where("status", Comparison.IS_NOT, "Revoked")
    return Partition(ctx.tenant, key), Query(
        where=[*BINDINGS.conditions, is_active, *where], limit=limit
    )


@dataclass(frozen=True)
class RotatedSecret:
    """A rotation with the head of its secret, which are read and written together."""

    rotation: Rotation
    head: SecretHead

    @property
    def operation_id(self) -> str:
        return self.rotation.operation_id


def secret_of(rotation_id: str) -> str:
    """Return the id of the secret that a rotation is of, which is a part of its own."""
    return parse_id(rotation_id, "rot").rest.partition("-")[0]


def rotated_secret(rotation_id: str, view: View) -> RotatedSecret:
    """Return what *view* has of a rotation. Raises RotationNotFound."""
    head = view.get(HEADS, secret_of(rotation_id))
    return RotatedSecret(view.get(ROTATIONS, rotation_id), head)


def documents_of(rotation_id: str) -> Sequence[str]:
    """Return the documents of a rotation: its own, and the head of its secret."""
    return (ROTATIONS.document_id(rotation_id), HEADS.document_id(secret_of(rotation_id)))


async def load_rotation(rotation_id: str, ctx: Context, app: SecretBindingsApp) -> RotatedSecret:
    """Return a rotation with its head. Raises RotationNotFound."""
    parse_id(rotation_id, "rot")
    partition = partition_of(ctx.tenant, rotation_id)
    view = await app.service.work.read(partition, *documents_of(rotation_id))
    return rotated_secret(rotation_id, view)


async def commit_rotation(
    ctx: ActivityContext,
    app: SecretBindingsApp,
    decide: Callable[[RotatedSecret, Operation], Step[T]],
    *,
    is_recorded: bool = True,
) -> T:
    """Commit the rotation of *ctx*, its head and its operation, as `commit_documents`."""

    def load(view: View) -> RotatedSecret:
        return rotated_secret(ctx.aggregate_id, view)

    reads = documents_of(ctx.aggregate_id)
    return await commit_documents(ctx, app, reads, load, decide, is_recorded=is_recorded)
