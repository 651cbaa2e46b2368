"""RotateSecret: bring every consumer of a secret to a new version, then disable the old ones."""

from collections.abc import Sequence
from dataclasses import replace

from function_apps.secret_bindings import repository
from function_apps.secret_bindings.errors import (
    BindingNotBound,
    GeneratorMissing,
    VersionInForce,
)
from function_apps.secret_bindings.model.binding import Binding, State
from function_apps.secret_bindings.model.rotation import Rotation, new_rotation, require_same
from function_apps.secret_bindings.model.secret_head import SecretHead
from function_apps.secret_bindings.model.versions import is_short, whole_version
from function_apps.secret_bindings.ports import SecretBindingsApp
from function_apps.secret_bindings.repository import BINDINGS, HEADS, ROTATE, ROTATIONS
from function_apps.secret_bindings.resources import rotation_answer
from shared.contracts.secret_bindings import RotateSecret
from shared.durable.operations import OPERATIONS, begin_operation
from shared.kernel.asked_once import AskedOnce
from shared.kernel.context import Context, NewIds
from shared.kernel.ids import parse_id, secret_rotation_id
from shared.messaging.outbox import Audited
from shared.messaging.unit_of_work import Decision, Json, Outcome, View


async def rotate_secret(
    command: RotateSecret, ctx: Context, app: SecretBindingsApp
) -> Outcome[Json]:
    """Begin to rotate the secret of a binding; a repeat while it is in flight gets that one.

    A repeat asks for nothing else: an overlap or reason of its own is refused. A version may be
    named by its beginning, which the vault is asked for.

    Raises:
        BindingNotFound, BindingNotBound, RotationInFlight, VersionInForce, GeneratorMissing.
        VersionUnusable: no single enabled version begins as it is named.
        Unavailable: the vault is throttled or away.
    """
    binding_id = command.binding_id
    ids = NewIds.draw(ctx, app.service.public_name, binding_id)
    known, _ = await repository.load_binding(binding_id, ctx, app)
    once = AskedOnce()

    async def decide(view: View) -> Decision[Json]:
        binding, head = view.get(BINDINGS, binding_id), view.find(HEADS, known.secret)
        if binding.status is not State.BOUND or head is None:
            raise BindingNotBound(binding_id, binding.status)
        if head.rotation_id is not None:
            rotation = view.get(ROTATIONS, head.rotation_id)
            require_same(rotation, command)
            return Decision(rotation_answer(rotation, head), is_repeat=True)
        asked = await _with_whole_version(command, head, once, app)
        _require_possible(asked, binding, head)
        begun = _begin(asked, binding, head, ids, app)
        after = replace(head, rotation_id=begun.rotation_id, rotations=head.rotations + 1)
        resource = f"/v1/runtime/secret-rotations/{begun.rotation_id}"
        operation, start = begin_operation(ROTATE, begun.rotation_id, resource, ids, ctx)
        return Decision(
            rotation_answer(begun, after),
            writes=[ROTATIONS.put(begun), HEADS.put(after), OPERATIONS.put(operation)],
            outbox=[start],
            audited=Audited(ROTATE.name, begun.rotation_id, reason=command.reason),
        )

    def in_flight(view: View) -> Sequence[str]:
        head = view.find(HEADS, known.secret)
        rotation_id = head.rotation_id if head else None
        return [ROTATIONS.document_id(rotation_id)] if rotation_id else []

    also = [HEADS.document_id(known.secret)]
    return await app.service.work.change(
        ctx, BINDINGS, binding_id, decide, also=also, linked=in_flight
    )


async def _with_whole_version(
    command: RotateSecret, head: SecretHead, once: AskedOnce, app: SecretBindingsApp
) -> RotateSecret:
    """Return *command* with its version as the vault has it, which is asked for that once.

    A whole one is looked for by the work, which says so in the rotation.
    """
    asked = command.version
    if asked is None or not is_short(asked):
        return command
    vault, name = app.vaults.at(head.vault_uri), head.secret_name
    versions = await once.ask((head.vault_uri, name), lambda: vault.versions(name))
    whole = whole_version(versions, asked, head.secret_name)
    return command.model_copy(update={"version": whole})


def _require_possible(command: RotateSecret, binding: Binding, head: SecretHead) -> None:
    in_force = head.version or ""
    if command.version is not None:
        # After a rotation that failed, older versions are enabled and consumers may run them.
        has_failed = head.failed_version is not None or head.alerted_at is not None
        if command.version == in_force and not has_failed:
            raise VersionInForce(binding.secret_name, in_force)
    elif not binding.external and head.generator is None:
        raise GeneratorMissing(binding.secret_name)


def _begin(
    command: RotateSecret, binding: Binding, head: SecretHead, ids: NewIds, app: SecretBindingsApp
) -> Rotation:
    key = parse_id(binding.binding_id, "sec").environment
    overlaps = (command.overlap, binding.rotation.overlap, app.rules.overlap)
    return new_rotation(
        secret_rotation_id(key, binding.secret, head.rotations + 1),
        binding,
        from_version=head.version or binding.version or "",
        asked_version=command.version,
        overlap=next(each for each in overlaps if each is not None),
        request_reason=command.reason,
        operation_id=ids.operation_id,
        now=ids.now,
    )
