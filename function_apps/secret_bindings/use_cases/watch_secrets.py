"""The timers: what people do to secrets in their vaults, and rotations that are due."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from function_apps.secret_bindings.events import secret_expiring, watch_alert
from function_apps.secret_bindings.model.binding import Binding, State
from function_apps.secret_bindings.model.generators import MADE_BY
from function_apps.secret_bindings.model.secret_head import SecretHead
from function_apps.secret_bindings.model.secret_watch import (
    SecretWatch,
    due_alerts,
    is_told,
    look,
    version_set_by_hand,
)
from function_apps.secret_bindings.ports import SecretBindingsApp
from function_apps.secret_bindings.repository import BINDINGS, HEADS, WATCHES
from function_apps.secret_bindings.use_cases.rotate_secret import rotate_secret
from shared.contracts.alerts import Alert
from shared.contracts.secret_bindings import RotateSecret
from shared.kernel.clock import isoformat
from shared.kernel.context import Context, timer_context
from shared.kernel.errors import Conflict
from shared.kernel.ids import TenantId
from shared.messaging.outbox import Audited
from shared.messaging.sweep import Sweep
from shared.messaging.unit_of_work import NOTHING, Decision, Json, View
from shared.persistence.store import Document, Partition
from shared.vault.port import SecretProperties

WATCH: Final = "watch_secrets"
ROTATE_DUE: Final = "rotate_due"
"""The timers."""
_log = logging.getLogger(__name__)


async def watch_secrets(app: SecretBindingsApp) -> int:
    """Look at every secret in its vault; return how many there were.

    A vault that is away is looked at again later, ever more rarely, and changes nothing.
    """
    service = app.service
    sweep = Sweep(WATCH, WATCHES.type_name, service.store, service.clock, service.sweeps)

    async def look_into(document: Document) -> None:
        ctx = _context(WATCH, document, app)
        await watch_secret(WATCHES.decode(document.body), document.partition, ctx, app)

    return await sweep.run(look_into)


async def watch_secret(
    watch: SecretWatch, partition: Partition, ctx: Context, app: SecretBindingsApp
) -> None:
    """Tell what is wrong with a secret in its vault, and follow a version that was set by hand."""
    head_id = HEADS.document_id(watch.secret)
    head = (await app.service.work.read(partition, head_id)).find(HEADS, watch.secret)
    if head is None:
        return
    if not head.consumers:
        await _look(watch, head, None, partition, ctx, app)
        return
    versions = await app.vaults.at(head.vault_uri).versions(head.secret_name)
    after = await _look(watch, head, versions, partition, ctx, app)
    if not is_told(after, head):
        await _tell_end(after, head, versions, partition, ctx, app)
    version = version_set_by_hand(head, versions, MADE_BY)
    if version is not None and head.rotation_id is None:
        await _follow(version, head, ctx, app)


async def _look(
    watch: SecretWatch,
    head: SecretHead,
    versions: Sequence[SecretProperties] | None,
    partition: Partition,
    ctx: Context,
    app: SecretBindingsApp,
) -> SecretWatch:
    """Raise and clear alerts, and move the next look on; return the watch as it is then.

    Without *versions* nobody is given the secret: the watch ends until somebody is again.
    """
    now = ctx.now()
    found: Mapping[Alert, str] = {}
    if versions is not None:
        found = due_alerts(head, versions, now, expiring_within=app.rules.expiring_within)
    again_at = None if versions is None else now + app.rules.watch_every

    def decide(view: View) -> Decision[SecretWatch]:
        stored, known = view.find(WATCHES, watch.secret), view.find(HEADS, watch.secret)
        if stored is None or (versions is None and known is not None and known.consumers):
            return Decision(watch)
        named = replace(stored, secret_name=head.secret_name)
        kept, changes = look(named, found, now, again_at)
        numbered = enumerate(changes, start=stored.revision + 1)
        events = [watch_alert(kept, head, each, number) for number, each in numbered]
        audited = Audited("WatchSecret", head.secret, changes[0].alert) if changes else None
        return Decision(kept, writes=[WATCHES.put(kept)], outbox=events, audited=audited)

    ids = [WATCHES.document_id(watch.secret), HEADS.document_id(watch.secret)]
    return (await app.service.work.commit(ctx, partition, ids, decide)).value


async def _tell_end(
    watch: SecretWatch,
    head: SecretHead,
    versions: Sequence[SecretProperties],
    partition: Partition,
    ctx: Context,
    app: SecretBindingsApp,
) -> None:
    """Tell each consumer once when the version in force ends."""
    (expires_at,) = (each.expires_at for each in versions if each.version == head.version)
    assert expires_at is not None, "it is what the alert is about"
    at = isoformat(expires_at)
    for consumer in head.consumers:

        def tell(view: View, binding_id: str = consumer.binding_id) -> Decision[Json]:
            binding = view.find(BINDINGS, binding_id)
            if binding is None or binding.status is not State.BOUND or binding.version is None:
                return NOTHING
            told = replace(binding, expires_at=at, revision=binding.revision + 1)
            return Decision({}, writes=[BINDINGS.put(told)], outbox=[secret_expiring(told)])

        ids = [BINDINGS.document_id(consumer.binding_id)]
        await app.service.work.commit(ctx, partition, ids, tell)

    def decide(view: View) -> Decision[Json]:
        stored = view.find(WATCHES, watch.secret)
        if stored is None:
            return NOTHING
        return Decision({}, writes=[WATCHES.put(replace(stored, told_version=head.version))])

    await app.service.work.commit(ctx, partition, [WATCHES.document_id(watch.secret)], decide)


async def _follow(version: str, head: SecretHead, ctx: Context, app: SecretBindingsApp) -> None:
    """Begin to change over to a version that somebody set in the vault."""
    order = RotateSecret(
        binding_id=head.consumers[0].binding_id,
        version=version,
        reason="set in the vault by somebody",
    )
    try:
        await rotate_secret(order, ctx, app)
    except Conflict as met:
        # Revoked, or rotated by somebody, a moment ago: the next look sees that.
        _log.info("%s was not followed: %s", head.secret_name, met.message)


async def rotate_due(app: SecretBindingsApp) -> int:
    """Rotate every secret whose time has come; return how many bindings were due."""
    service = app.service
    sweep = Sweep(ROTATE_DUE, BINDINGS.type_name, service.store, service.clock, service.sweeps)

    async def rotate(document: Document) -> None:
        ctx = _context(ROTATE_DUE, document, app)
        binding = BINDINGS.decode(document.body)
        order = RotateSecret(binding_id=binding.binding_id, reason="due")
        try:
            await rotate_secret(order, ctx, app)
        except Conflict as met:
            _log.info("%s was not rotated: %s", binding.binding_id, met.message)
        await _postpone(binding, app.rules.due_again, ctx, app)

    return await sweep.run(rotate)


async def _postpone(
    binding: Binding, delay: timedelta, ctx: Context, app: SecretBindingsApp
) -> None:
    """Move on when the binding is due: its rotation does so too, unless it fails."""
    later = isoformat(ctx.now() + delay)

    def decide(view: View) -> Decision[Json]:
        stored = view.get(BINDINGS, binding.binding_id)
        if stored.due_at is None or stored.due_at != binding.due_at:
            return NOTHING
        return Decision({}, writes=[BINDINGS.put(replace(stored, due_at=later))])

    await app.service.work.change(ctx, BINDINGS, binding.binding_id, decide)


def _context(timer: str, document: Document, app: SecretBindingsApp) -> Context:
    service, tenant = app.service, TenantId(document.partition.tenant)
    return timer_context(f"secret_bindings_{timer}", tenant, service.clock, service.entropy)
