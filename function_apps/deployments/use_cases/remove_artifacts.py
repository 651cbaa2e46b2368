"""The timer that removes artifacts and configurations which no deployment needs any longer.

What is needed is read whole, across all tenants, or nothing is removed. A run that is killed
anywhere is continued by the next.
"""

import logging
import re
from collections.abc import AsyncIterator, Awaitable, Mapping
from datetime import datetime, timedelta
from typing import Final, TypeVar

from function_apps.deployments.model import artifact_retention
from function_apps.deployments.model.artifact_retention import ArtifactUse, Owned, Place
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.repository import DEPLOYMENTS, TARGETS, TENANT_LAYERS
from function_apps.deployments.use_cases.configuration_content import CONTENTS, content_blob
from function_apps.deployments.use_cases.upload_artifact import (
    ARCHIVES,
    RECEIPTS,
    delete_receipt,
    new_receipt,
    put_receipt,
)
from shared.contracts.values import DeploymentId, TenantId
from shared.kernel.concurrency import isolate
from shared.kernel.errors import Unavailable
from shared.persistence.codec import DocumentCodec
from shared.persistence.store import Comparison, Partition, Query, UnreadableDocument, Where
from shared.surfaces.spec import artifact_blob

REMOVE: Final = "remove_artifacts"
EVERY: Final = timedelta(hours=1)
_RECEIPT: Final = re.compile(rf"{RECEIPTS}([^/]+)/{ARCHIVES}([0-9a-f]{{64}})")
_CONTENT: Final = re.compile(rf"{CONTENTS}([^/]+)/([0-9a-f]{{64}})")
_ARCHIVE: Final = re.compile(rf"{ARCHIVES}([0-9a-f]{{64}})")
T = TypeVar("T")
_log = logging.getLogger(__name__)


async def remove_unneeded_artifacts(app: DeploymentsApp) -> None:
    """Remove what is stored and not needed; put receipts of needed artifacts anew."""
    now = app.service.clock.now()
    try:
        # Before what is needed: what is uploaded between the two is not listed.
        receipts = await _receipts(app)
        archives = await _archives(app)
        contents = await _contents(app)
        needed, needed_contents = await _needed(app, now)
    except (Unavailable, UnreadableDocument) as unknown:
        _log.warning("no artifact is removed: %s", unknown)
        return
    removal = artifact_retention.removal(needed, receipts, archives, now)
    for tenant, digest in sorted(removal.absent):
        await _isolated(_put_anew(tenant, digest, app), digest)
    for tenant, digest in sorted(removal.receipts):
        await _isolated(delete_receipt(digest, tenant, app), digest)
    for digest in sorted(removal.archives):
        await _isolated(app.blobs.delete(artifact_blob(digest)), digest)
        _log.info("artifact %s is removed: no deployment needs it", digest)
    for tenant, content in sorted(
        artifact_retention.unneeded_contents(contents, needed_contents, now)
    ):
        await _isolated(app.blobs.delete(content_blob(content, tenant)), content)
        _log.info("configuration %s is removed: no deployment needs it", content)


async def _isolated(work: Awaitable[None], digest: str) -> None:
    await isolate(work, f"{REMOVE}: {digest}")


async def _put_anew(tenant: TenantId, digest: str, app: DeploymentsApp) -> None:
    size = await app.blobs.size(artifact_blob(digest))
    if size is not None:
        await put_receipt(new_receipt(digest, size, app.service.clock.now()), tenant, app)


async def _receipts(app: DeploymentsApp) -> Mapping[Owned, datetime]:
    blobs = await app.blobs.list_stored(RECEIPTS)
    names = [(_RECEIPT.fullmatch(blob.name), blob.stored_at) for blob in blobs]
    return {
        (TenantId(name[1]), f"sha256:{name[2]}"): stored_at for name, stored_at in names if name
    }


async def _archives(app: DeploymentsApp) -> Mapping[str, datetime]:
    blobs = await app.blobs.list_stored(ARCHIVES)
    names = [(_ARCHIVE.fullmatch(blob.name), blob.stored_at) for blob in blobs]
    return {f"sha256:{name[1]}": stored_at for name, stored_at in names if name}


async def _contents(app: DeploymentsApp) -> Mapping[Owned, datetime]:
    blobs = await app.blobs.list_stored(CONTENTS)
    names = [(_CONTENT.fullmatch(blob.name), blob.stored_at) for blob in blobs]
    return {
        (TenantId(name[1]), f"sha256:{name[2]}"): stored_at for name, stored_at in names if name
    }


async def _needed(app: DeploymentsApp, now: datetime) -> tuple[frozenset[Owned], frozenset[Owned]]:
    """Return the artifacts and the configurations that any deployment of any tenant may need.

    Raises:
        Unavailable, UnreadableDocument: one of them is not known.
    """
    places: dict[Place, frozenset[DeploymentId]] = {}
    contents: set[Owned] = set()
    async for tenant, layer in documents(TENANT_LAYERS, app):
        contents |= artifact_retention.recorded_contents(tenant, [layer.fact] if layer.fact else [])
    async for tenant, target in documents(TARGETS, app):
        contents |= artifact_retention.recorded_contents(tenant, target.facts.values())
        in_force = artifact_retention.in_force(target)
        if in_force is not None:
            places[tenant, target.environment_id] = in_force
    uses = [ArtifactUse.of(deployment) async for _, deployment in documents(DEPLOYMENTS, app)]
    kept = artifact_retention.kept_uses(uses, places, now)
    return (
        artifact_retention.needed(kept),
        artifact_retention.needed_contents(kept) | contents,
    )


async def documents(
    codec: DocumentCodec[T], app: DeploymentsApp
) -> AsyncIterator[tuple[TenantId, T]]:
    """Yield every document of *codec* with its tenant, in the order of their ids.

    Raises:
        Unavailable, UnreadableDocument.
    """
    last, seen = "", set[tuple[Partition, str]]()
    while True:
        # From the last id on, not after it: documents of several tenants may have the same.
        behind = [Where("id", Comparison.GE, last)] if last else []
        query = Query(where=[Where("type", Comparison.EQ, codec.type_name), *behind])
        page = await app.service.store.query_due(query)
        for unreadable in page.unreadable:
            raise UnreadableDocument(f"{unreadable.id}: {unreadable.reason}")
        new = [each for each in page.documents if (each.partition, each.id) not in seen]
        if page.more and not new:
            raise Unavailable(f"more documents have the id {last} than one page holds")
        seen = {(each.partition, each.id) for each in page.documents}
        for document in new:
            yield TenantId(document.partition.tenant), codec.decode(document.body)
            last = document.id
            await app.service.clock.sleep(0)  # others get their turn after each document
        if not page.more:
            return
