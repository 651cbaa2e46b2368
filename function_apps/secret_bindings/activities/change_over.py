"""The activities that bring consumers over: tell them to follow, and record what they have."""

from dataclasses import dataclass, replace

from function_apps.secret_bindings.activities.inputs import Overlap, Progress
from function_apps.secret_bindings.events import secret_bound, secret_rotated
from function_apps.secret_bindings.model.binding import Binding, FoundVersion, State, move
from function_apps.secret_bindings.model.rotation import Rotation, next_round, pending, verify
from function_apps.secret_bindings.model.secret_head import Consumer
from function_apps.secret_bindings.ports import SecretBindingsApp
from function_apps.secret_bindings.repository import (
    BINDINGS,
    HEADS,
    ROTATIONS,
    RotatedSecret,
    commit_rotation,
    documents_of,
    load_rotation,
    rotated_secret,
)
from shared.contracts.roll_outs import RollOutSecretVersion
from shared.contracts.secret_bindings import RotationStatus
from shared.durable.activity import ActivityContext, Step, commit_documents, require_not_canceled
from shared.kernel.clock import parse_instant
from shared.kernel.operation import Operation
from shared.messaging.outbox import Audited, Send
from shared.messaging.unit_of_work import View


async def roll_out(ctx: ActivityContext, app: SecretBindingsApp) -> Progress:
    """Tell the next consumers to follow; return what to wait for.

    Raises:
        ConsumerRolledBack, ProofMissing: a consumer does not follow.
    """
    require_not_canceled(ctx)

    def decide(state: RotatedSecret, operation: Operation) -> Step[Progress]:
        now, before = ctx.now(), state.rotation
        after = next_round(
            before,
            state.head,
            now,
            proof_within=app.rules.rollout_within + app.rules.proof_within,
            reloading_ratio_max=app.rules.reloading_ratio_max,
        )
        progress = Progress(after.rotation.wait_name, after.until)
        changed = [] if after.rotation == before else [ROTATIONS.put(after.rotation)]
        total = len(state.head.consumers)
        behind = len(pending(before, state.head))
        begun = operation.begin_step(
            "roll out",
            now,
            percent=40 + 35 * (total - behind) // max(1, total),
            detail=f"{behind} of {total} consumers have not proved it",
        )
        if after.until is not None:
            begun = begun.wait("proofs", progress.wait_name, now)
        status = after.rotation.status
        is_moved = status is not before.status
        audited = Audited("RollOutSecret", before.rotation_id, status) if is_moved else None
        is_canary = status is RotationStatus.CANARY
        orders = [_order(after.rotation, each, is_canary=is_canary) for each in after.ordered]
        return Step(progress, begun, changed, orders, audited)

    return await commit_rotation(ctx, app, decide, is_recorded=False)


def _order(rotation: Rotation, consumer: Consumer, *, is_canary: bool) -> Send:
    """Return the command by which deployments brings the new version to one consumer."""
    command = RollOutSecretVersion.model_validate(
        {
            "environmentId": rotation.environment_id,
            "moduleId": consumer.module_id,
            "bindingId": consumer.binding_id,
            "secretName": rotation.secret_name,
            "version": rotation.version,
            "rotationId": rotation.rotation_id,
            "canary": is_canary,
        }
    )
    return Send("deployments", command, module=consumer.module_id)


async def move_bindings(ctx: ActivityContext, app: SecretBindingsApp) -> None:
    """Give the bindings of consumers that run nothing the new version, for their next release.

    Those of the others have it since their proof.
    """
    state = await load_rotation(ctx.aggregate_id, ctx, app)
    behind = {each.binding_id for each in pending(state.rotation, state.head)}
    for consumer in state.head.consumers:
        if consumer.binding_id not in behind:
            await _move(consumer.binding_id, ctx, app)


@dataclass(frozen=True)
class _Consumed:
    """A rotation with the binding of one consumer, if that is there still."""

    state: RotatedSecret
    binding: Binding | None

    @property
    def operation_id(self) -> str:
        return self.state.operation_id


async def _move(binding_id: str, ctx: ActivityContext, app: SecretBindingsApp) -> None:
    def load(view: View) -> _Consumed:
        return _Consumed(rotated_secret(ctx.aggregate_id, view), view.find(BINDINGS, binding_id))

    def decide(known: _Consumed, operation: Operation) -> Step[None]:
        rotation, binding = known.state.rotation, known.binding
        to = FoundVersion(rotation.version, rotation.expires_at)
        is_bound = binding is not None and binding.status is State.BOUND
        if binding is None or not is_bound or binding.version == to.version:
            return Step(None, operation)
        moved = move(binding, to, ctx.now())
        return Step(None, operation, [BINDINGS.put(moved)], [secret_bound(moved)])

    reads = [*documents_of(ctx.aggregate_id), BINDINGS.document_id(binding_id)]
    await commit_documents(ctx, app, reads, load, decide, is_recorded=False)


async def begin_overlap(ctx: ActivityContext, app: SecretBindingsApp) -> Overlap:
    """Put the new version in force; old ones stay enabled until the overlap ends."""
    wait_name = f"overlap-{ctx.operation_id}"

    def decide(state: RotatedSecret, operation: Operation) -> Step[Overlap]:
        now = ctx.now()
        verified = verify(state.rotation, now)
        head = replace(state.head, version=verified.version)
        assert verified.overlap_until is not None, verified
        overlap = Overlap(wait_name, parse_instant(verified.overlap_until))
        waiting = operation.begin_step("overlap", now, percent=80).wait("overlap", wait_name, now)
        return Step(
            overlap,
            waiting,
            [ROTATIONS.put(verified), HEADS.put(head)],
            [secret_rotated(verified, head)],
            Audited("SecretRotated", verified.rotation_id, verified.status),
        )

    return await commit_rotation(ctx, app, decide)
