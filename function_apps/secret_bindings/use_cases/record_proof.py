"""The part that all news of a consumer have in common: what it runs, and who waits for that."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from function_apps.secret_bindings.events import secret_bound
from function_apps.secret_bindings.model.binding import Binding, FoundVersion, State, move
from function_apps.secret_bindings.model.rotation import Rotation
from function_apps.secret_bindings.model.secret_head import Consumer, SecretHead
from function_apps.secret_bindings.ports import SecretBindingsApp
from function_apps.secret_bindings.repository import BINDINGS, HEADS, ROTATIONS
from shared.kernel.context import Context
from shared.messaging.outbox import Raise, Row
from shared.messaging.unit_of_work import NOTHING, Decision, Json, View
from shared.persistence.codec import Put
from shared.persistence.store import partition_of


async def record_proof(
    binding: Binding,
    change: Callable[[SecretHead], SecretHead | None],
    ctx: Context,
    app: SecretBindingsApp,
) -> None:
    """Record what *change* makes of the head, None for nothing new; tell a rotation in flight.

    A binding is given the version of the rotation once its consumer proves it. After one that
    failed it is given what its consumer proves, the version of before as well.
    """
    head_id, binding_id = (
        HEADS.document_id(binding.secret),
        BINDINGS.document_id(binding.binding_id),
    )

    def decide(view: View) -> Decision[Json]:
        head = view.find(HEADS, binding.secret)
        after = change(head) if head else None
        if after is None:
            return NOTHING
        writes, outbox = [HEADS.put(after)], list[Row]()
        followed = after.followed_rotation_id
        rotation = view.find(ROTATIONS, followed) if followed else None
        told, raised = tell(rotation)
        writes += told
        outbox += raised
        consumer = after.consumer(binding.binding_id)
        bound = view.find(BINDINGS, binding.binding_id)
        moved = _moved(bound, consumer, rotation, after.failed_versions, ctx)
        if moved is not None:
            writes.append(BINDINGS.put(moved))
            outbox.append(secret_bound(moved))
        return Decision({}, writes=writes, outbox=outbox)

    def linked(view: View) -> Sequence[str]:
        head = view.find(HEADS, binding.secret)
        followed = head.followed_rotation_id if head else None
        return [ROTATIONS.document_id(followed)] if followed else []

    partition = partition_of(ctx.tenant, binding.environment_id)
    await app.service.work.commit(ctx, partition, [head_id, binding_id], decide, linked=linked)


def tell(rotation: Rotation | None) -> tuple[Sequence[Put], Sequence[Row]]:
    """Return what is written and raised for *rotation* to look at its consumers, if it goes on."""
    if rotation is None or rotation.is_ended:
        return (), ()
    heard = replace(rotation, heard=rotation.heard + 1)
    return [ROTATIONS.put(heard)], [Raise(rotation.operation_id, rotation.wait_name)]


def _moved(
    binding: Binding | None,
    consumer: Consumer | None,
    rotation: Rotation | None,
    failed: Sequence[str],
    ctx: Context,
) -> Binding | None:
    """Return *binding* with the version that *consumer* proved; None where that is nothing new.

    It is that of *rotation*, or one of those to which earlier ones *failed*. Who goes back while it
    is in flight follows again, and is given its version still.
    """
    if rotation is None or consumer is None:
        return None
    if binding is None or binding.status is not State.BOUND:
        return None
    version = consumer.version if consumer.is_running else None
    found = rotation.found(version)
    if found is None and version is not None and version in failed:
        found = FoundVersion(version)
    if found is None or found.version == binding.version:
        return None
    is_back = found.version == rotation.from_version != rotation.to_version
    return None if is_back and not rotation.is_ended else move(binding, found, ctx.now())
