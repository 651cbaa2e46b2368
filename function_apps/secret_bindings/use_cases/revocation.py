"""Revocation: a module is not given a secret any more, from its next release on."""

from collections.abc import Sequence
from dataclasses import replace

from function_apps.secret_bindings import repository
from function_apps.secret_bindings.events import alert_left, secret_bound
from function_apps.secret_bindings.model.binding import Binding, revoke
from function_apps.secret_bindings.model.secret_head import (
    SecretHead,
    forget,
    remove_consumer,
)
from function_apps.secret_bindings.ports import SecretBindingsApp
from function_apps.secret_bindings.repository import BINDINGS, ENVIRONMENTS, HEADS, ROTATIONS
from function_apps.secret_bindings.resources import answer
from function_apps.secret_bindings.use_cases.record_proof import tell
from shared.kernel.context import Context
from shared.kernel.ids import parse_id
from shared.messaging.outbox import Audited, Publish
from shared.messaging.unit_of_work import NOTHING, Decision, Json, Outcome, View
from shared.persistence.store import Partition


async def revoke_binding(
    binding_id: str, reason: str, ctx: Context, app: SecretBindingsApp
) -> Outcome[Json]:
    """Revoke a binding; its versions stay in the vault. A repeat gets the first answer.

    A rotation in flight waits no longer for its module.

    Raises:
        BindingNotFound: there is none.
    """
    parse_id(binding_id, "sec")

    def decide(view: View) -> Decision[Json]:
        known = view.get(BINDINGS, binding_id)
        after = revoke(known, reason)
        if after is known:
            return Decision(answer(known), is_repeat=True)
        head = view.find(HEADS, known.secret)
        heads, alerts = _without(head, known, ctx) if head else ((), ())
        followed = head.followed_rotation_id if head else None
        told, raised = tell(view.find(ROTATIONS, followed) if followed else None)
        return Decision(
            answer(after),
            writes=[BINDINGS.put(after), *map(HEADS.put, heads), *told],
            # Nobody has heard of one that never had a version.
            outbox=[*([secret_bound(after)] if after.version else []), *alerts, *raised],
            audited=Audited("RevokeSecretBinding", binding_id, reason=reason),
        )

    def linked(view: View) -> Sequence[str]:
        known = view.find(BINDINGS, binding_id)
        if known is None:
            return []
        head = view.find(HEADS, known.secret)
        followed = head.followed_rotation_id if head else None
        rotations = [ROTATIONS.document_id(followed)] if followed else []
        return [HEADS.document_id(known.secret), *rotations]

    return await app.service.work.change(ctx, BINDINGS, binding_id, decide, linked=linked)


def _without(
    head: SecretHead, binding: Binding, ctx: Context
) -> tuple[Sequence[SecretHead], Sequence[Publish]]:
    """Return *head* without the consumer of *binding*, and the end of an alert that was its last.

    A rotation in flight ends the alert itself.
    """
    after = remove_consumer(head, binding.binding_id)
    if not after.is_over or after.alerted_at is None:
        return [after], []
    ended = alert_left(after, after.alerted_at, binding.module_id, ctx.now())
    return [replace(after, alerted_at=None)], [ended]


async def revoke_all(environment_id: str, ctx: Context, app: SecretBindingsApp) -> None:
    """Revoke every binding of an environment that is gone, page by page."""
    most = app.rules.revoked_a_page
    while bindings := await repository.active_bindings(environment_id, ctx, app, most=most):
        for binding in bindings:
            reason = f"{environment_id} was decommissioned"
            await revoke_binding(binding.binding_id, reason, ctx.without_marker(), app)


async def forget_consumers(environment_id: str, ctx: Context, app: SecretBindingsApp) -> None:
    """Forget what instances of an environment ran that is gone, so that the next waits for none."""
    for read, known in await repository.heads_of(environment_id, ctx, app):
        if forget(known) is not None:
            await _forget(known.secret, read.partition, environment_id, ctx, app)


async def _forget(
    secret: str, partition: Partition, environment_id: str, ctx: Context, app: SecretBindingsApp
) -> None:
    def decide(view: View) -> Decision[Json]:
        after = forget(view.get(HEADS, secret))
        environment = view.find(ENVIRONMENTS, environment_id)
        if after is None or environment is None or environment.is_open:
            return NOTHING
        return Decision({}, writes=[HEADS.put(after)])

    reads = [HEADS.document_id(secret), ENVIRONMENTS.document_id(environment_id)]
    await app.service.work.commit(ctx.without_marker(), partition, reads, decide)
