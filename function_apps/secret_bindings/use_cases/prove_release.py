"""ProveRelease: note which versions the instances of one module proved since a deployment."""

from collections.abc import Sequence
from dataclasses import replace

from function_apps.secret_bindings import repository
from function_apps.secret_bindings.events import secret_bound
from function_apps.secret_bindings.model.binding import Binding, FoundVersion, State, move
from function_apps.secret_bindings.model.rotation import Rotation
from function_apps.secret_bindings.model.secret_head import Consumer, prove, proved_version
from function_apps.secret_bindings.ports import SecretBindingsApp
from function_apps.secret_bindings.repository import BINDINGS, HEADS, ROTATIONS
from shared.contracts.catalog import ReleaseOutcome
from shared.contracts.secret_proofs import ProveRelease
from shared.kernel.clock import isoformat
from shared.kernel.context import Context
from shared.kernel.ids import parse_id
from shared.messaging.outbox import Raise
from shared.messaging.unit_of_work import NOTHING, Decision, Json, Outcome, View
from shared.persistence.store import Partition


async def prove_release(
    command: ProveRelease, ctx: Context, app: SecretBindingsApp
) -> Outcome[Json]:
    """Record what one module runs, for each secret that is bound to it; a repeat changes nothing.

    What a module runs says by its time which is the last, so no inbox row is needed.
    """
    bindings = await repository.bindings_of_module(
        command.environment_id, command.module_id, ctx, app
    )
    for binding in bindings:
        await _prove(binding, proof_of(command, binding), ctx.without_marker(), app)
    return Outcome({})


def proof_of(command: ProveRelease, binding: Binding) -> Consumer:
    """Return what *command* says of the secret of *binding*."""
    component = command.component
    recorded = component.secret_versions.get(binding.secret_name) if component else None
    is_rolled_back = command.outcome is ReleaseOutcome.ROLLED_BACK
    if component is None or recorded is None:
        return Consumer(
            binding.binding_id,
            binding.module_id,
            ended_at=isoformat(command.ended_at),
            is_rolled_back=is_rolled_back,
        )
    mine = [each for each in command.proofs if each.module_id == binding.module_id]
    checked = min((each.checked_at for each in mine), default=command.ended_at)
    return Consumer(
        binding.binding_id,
        binding.module_id,
        is_running=True,
        release_revision=component.release_revision,
        version=proved_version(
            recorded, (each.secret_versions.get(binding.secret_name) for each in mine)
        ),
        proved_at=isoformat(checked),
        ended_at=isoformat(command.ended_at),
        is_rolled_back=is_rolled_back,
    )


async def _prove(binding: Binding, proof: Consumer, ctx: Context, app: SecretBindingsApp) -> None:
    """Record *proof*; tell a rotation in flight, and give the binding a version that it proves."""
    head_id, binding_id = (
        HEADS.document_id(binding.secret),
        BINDINGS.document_id(binding.binding_id),
    )

    def decide(view: View) -> Decision[Json]:
        head = view.find(HEADS, binding.secret)
        after = prove(head, proof) if head else None
        if after is None:
            return NOTHING
        rotation = view.find(ROTATIONS, after.rotation_id) if after.rotation_id else None
        if rotation is None:
            return Decision({}, writes=[HEADS.put(after)])
        heard = ROTATIONS.put(replace(rotation, heard=rotation.heard + 1))
        told = Raise(rotation.operation_id, rotation.wait_name)
        moved = _moved(view.find(BINDINGS, binding.binding_id), proof, rotation, ctx)
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
    binding: Binding | None, proof: Consumer, rotation: Rotation, ctx: Context
) -> Binding | None:
    """Return *binding* with the version of *rotation*, if *proof* is of that; else None."""
    if binding is None or binding.status is not State.BOUND:
        return None
    is_proved = proof.is_running and proof.version == rotation.to_version
    if not is_proved or binding.version == rotation.version:
        return None
    return move(binding, FoundVersion(rotation.version, rotation.expires_at), ctx.now())
