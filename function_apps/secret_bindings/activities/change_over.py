"""The activities that bring consumers over: tell them to follow, and record what they have."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from function_apps.secret_bindings.activities.inputs import Overlap, Progress
from function_apps.secret_bindings.events import secret_bound, secret_rotated
from function_apps.secret_bindings.model.binding import Binding, FoundVersion, State, move
from function_apps.secret_bindings.model.rotation import (
    Rotation,
    verify,
)
from function_apps.secret_bindings.model.rotation_rounds import (
    Round,
    next_round,
    pending,
    unconfirmed,
)
from function_apps.secret_bindings.model.secret_head import Consumer, SecretHead
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
from shared.contracts.roll_outs import RollOutSecretVersion, WithdrawSecretVersions
from shared.contracts.secret_bindings import RotationStatus
from shared.durable.activity import ActivityContext, Step, commit_documents, require_not_canceled
from shared.kernel.clock import parse_instant
from shared.kernel.dataclass import dataclass
from shared.kernel.operation import Operation
from shared.messaging.outbox import Audited, Send
from shared.messaging.unit_of_work import View


async def roll_out(ctx: ActivityContext, app: SecretBindingsApp) -> Progress:
    """Tell the next consumers to follow; return what to wait for.

    After the overlap deployments is also asked to give none of them an older version any more.

    Raises:
        ConsumerRolledBack, ProofMissing: a consumer does not follow.
        ReleaseOnItsWay: one is given an older version still.
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
        begun = _begin(operation, after, state.head, now)
        if after.until is not None:
            begun = begun.wait("proofs", progress.wait_name, now)
        status = after.rotation.status
        is_moved = status is not before.status
        audited = Audited("RollOutSecret", before.rotation_id, status) if is_moved else None
        is_canary = status is RotationStatus.CANARY
        orders = [_order(after.rotation, each, is_canary=is_canary) for each in after.ordered]
        withdrawals = [_withdrawal(after.rotation, each) for each in after.withdrawn]
        return Step(progress, begun, changed, [*orders, *withdrawals], audited)

    return await commit_rotation(ctx, app, decide, is_recorded=False)


def _begin(operation: Operation, round_: Round, head: SecretHead, now: datetime) -> Operation:
    """Return *operation* with how far the consumers are."""
    total, behind = len(head.consumers), len(pending(round_.rotation, head))
    if round_.rotation.withdrawal is None or behind:
        detail = f"{behind} of {total} consumers have not proved it"
        percent = 40 + 35 * (total - behind) // max(1, total)
        return operation.begin_step("roll out", now, percent=percent, detail=detail)
    left = len(unconfirmed(round_.rotation, head))
    detail = f"{left} of {total} modules may be given an older version by a deployment on its way"
    return operation.begin_step("withdraw", now, percent=85, detail=detail)


def _order(rotation: Rotation, consumer: Consumer, *, is_canary: bool) -> Send:
    """Return the command by which deployments brings the new version to one consumer."""
    about = {**_about(rotation, consumer), "canary": is_canary}
    command = RollOutSecretVersion.model_validate(about)
    return Send("deployments", command, module=consumer.module_id)


def _withdrawal(rotation: Rotation, consumer: Consumer) -> Send:
    """Return the command by which deployments gives a module no older version any more."""
    command = WithdrawSecretVersions.model_validate(_about(rotation, consumer))
    return Send("deployments", command, module=consumer.module_id)


def _about(rotation: Rotation, consumer: Consumer) -> Mapping[str, object]:
    return {
        "environmentId": rotation.environment_id,
        "moduleId": consumer.module_id,
        "bindingId": consumer.binding_id,
        "secretName": rotation.secret_name,
        "version": rotation.version,
        "vaultUri": rotation.vault_uri,
        "rotationId": rotation.rotation_id,
    }


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
