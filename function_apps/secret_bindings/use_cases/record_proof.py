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
from shared.kernel.ids import parse_id
from shared.messaging.outbox import Raise
from shared.messaging.unit_of_work import NOTHING, Decision, Json, View
from shared.persistence.store import Partition


async def record_proof(
    binding: Binding,
    change: Callable[[SecretHead], SecretHead | None],
    ctx: Context,
    app: SecretBindingsApp,
) -> None:
    """Record what *change* makes of the head, None for nothing new; tell a rotation in flight.

    A binding is given the version that its consumer proves.
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
        rotation = view.find(ROTATIONS, after.rotation_id) if after.rotation_id else None
        if rotation is None:
            return Decision({}, writes=[HEADS.put(after)])
        heard = ROTATIONS.put(replace(rotation, heard=rotation.heard + 1))
        told = Raise(rotation.operation_id, rotation.wait_name)
        consumer = after.consumer(binding.binding_id)
        moved = _moved(view.find(BINDINGS, binding.binding_id), consumer, rotation, ctx)
        return Decision(
            {},
            writes=[HEADS.put(after), heard, *([BINDINGS.put(moved)] if moved else [])],
            outbox=[told, *([secret_bound(moved)] if moved else [])],
        )

    def rotation_of(view: View) -> Sequence[str]:
        head = view.find(HEADS, binding.secret)
        rotation_id = head.rotation_id if head else None
        return [ROTATIONS.document_id(rotation_id)] if rotation_id else []

    key = parse_id(binding.environment_id, "env").environment
    partition = Partition(ctx.tenant, key)
    await app.service.work.commit(ctx, partition, [head_id, binding_id], decide, linked=rotation_of)


def _moved(
    binding: Binding | None, consumer: Consumer | None, rotation: Rotation, ctx: Context
) -> Binding | None:
    """Return *binding* with the version of *rotation*, if *consumer* proved that; else None."""
    if binding is None or consumer is None or binding.status is not State.BOUND:
        return None
    is_proved = consumer.is_running and consumer.version == rotation.to_version
    if not is_proved or binding.version == rotation.version:
        return None
    return move(binding, FoundVersion(rotation.version, rotation.expires_at), ctx.now())
