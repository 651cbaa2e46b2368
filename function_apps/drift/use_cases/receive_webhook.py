"""POST /git-sources/{sourceId}/webhook: somebody pushed, and proves by a signature who says so.

`X-Hub-Signature-256` is `sha256=` and the HMAC-SHA256 of the body in hex, as GitHub signs:
https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries.
What the body says is not looked at: it is news that there is news. So one that is sent again costs
a fetch at most, and fetches have a pause between them.
"""

import asyncio
import hashlib
import hmac
import logging
from dataclasses import replace
from datetime import timedelta
from typing import Final

from function_apps.drift.errors import SignatureRefused
from function_apps.drift.model.git_source import GitSource, order_fetch
from function_apps.drift.ports import DriftApp, WebhookKey
from function_apps.drift.repository import SOURCES
from function_apps.drift.use_cases.git_secrets import webhook_key_of
from shared.git.port import FetchFailed
from shared.kernel.context import Context, Scope
from shared.kernel.errors import NotFound
from shared.kernel.ids import TENANT, TenantId, parse_id, tenant_key
from shared.messaging.outbox import Audited
from shared.messaging.unit_of_work import NOTHING, Decision, Json, Outcome, View
from shared.vault.port import SecretValue

KEY_KEPT: Final = timedelta(seconds=10)
"""So the vault is asked for a source's key as seldom, whoever sends webhooks without a proof."""
_log = logging.getLogger(__name__)


async def receive_webhook(
    source_id: str, tenant: str, content: bytes, signature: str, ctx: Context, app: DriftApp
) -> Outcome[Json]:
    """Have a source fetched at the next look, or once more after the fetch that runs.

    Raises:
        SignatureRefused: there is no such source, it takes none, or the signature is not its key's;
            all are answered alike.
        TooManyRequests: the source was sent too many that are signed; others count nothing.
        Unavailable: the vault does not answer.
    """
    known = await _proved(source_id, tenant, content, signature, ctx, app)

    def decide(view: View) -> Decision[Json]:
        stored = view.find(SOURCES, source_id)
        ordered = order_fetch(stored, ctx.now()) if stored else None
        if ordered is None:
            return NOTHING
        audited = Audited("OrderFetch", source_id)
        return Decision({}, writes=[SOURCES.put(ordered)], audited=audited)

    return await app.service.work.change(known.without_marker(), SOURCES, source_id, decide)


async def _proved(
    source_id: str, tenant: str, content: bytes, signature: str, ctx: Context, app: DriftApp
) -> Context:
    """Return the context of the source's tenant, once the signature was checked."""
    try:
        key = parse_id(source_id, "gs").environment
    except NotFound:
        raise SignatureRefused from None
    if not TENANT.fullmatch(tenant) or key != tenant_key(TenantId(tenant)):
        raise SignatureRefused
    scope = Scope(TenantId(tenant), f"webhook:{source_id}")
    within = replace(ctx, scope=scope, cause=replace(ctx.cause, actor=scope.caller))
    source = await app.service.work.find(SOURCES, source_id, within.tenant)
    if source is None or source.webhook_secret_ref is None:
        raise SignatureRefused
    try:
        secret = await _key(source, source.webhook_secret_ref, within, app)
    except FetchFailed as failed:
        _log.warning("a webhook of %s cannot be checked: %s", source_id, failed)
        raise SignatureRefused from None
    digest = hmac.digest(secret.reveal().encode(), content, hashlib.sha256).hex()
    if not hmac.compare_digest(f"sha256={digest}".encode(), signature.encode("utf-8", "replace")):
        raise SignatureRefused
    app.webhooks.take(source_id)
    return within


async def _key(source: GitSource, name: str, ctx: Context, app: DriftApp) -> SecretValue:
    """Return the key of the webhooks of *source*, read once in KEY_KEPT, as is why there is none.

    Raises what `webhook_key_of` does.
    """
    now, keys = ctx.now(), app.webhook_keys
    kept = keys.get((source.source_id, name))
    if kept is None or not now < kept.until <= now + KEY_KEPT:
        for old in [old for old, each in keys.items() if each.until <= now]:
            del keys[old]
        read = asyncio.ensure_future(webhook_key_of(source, name, ctx, app))
        kept = keys[source.source_id, name] = WebhookKey(read, now + KEY_KEPT)
    return await asyncio.shield(kept.read)
