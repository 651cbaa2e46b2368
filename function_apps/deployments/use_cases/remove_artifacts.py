"""The timer that removes deployments of long ago, and what no deployment needs any longer.

What is needed is read whole, across all tenants, or nothing is removed. A run that is killed
anywhere is continued by the next.
"""

import logging
import re
from collections.abc import Awaitable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

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
from shared.contracts.retention import Kept
from shared.contracts.values import DeploymentId, TenantId
from shared.kernel.concurrency import isolate
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Unavailable
from shared.messaging.removal import ReadDocument, every_document, remove
from shared.persistence.store import Document, UnreadableDocument
from shared.surfaces.spec import artifact_blob

REMOVE: Final = "remove_artifacts"
EVERY: Final = timedelta(hours=1)
_RECEIPT: Final = re.compile(rf"{RECEIPTS}([^/]+)/{ARCHIVES}([0-9a-f]{{64}})")
_CONTENT: Final = re.compile(rf"{CONTENTS}([^/]+)/([0-9a-f]{{64}})")
_ARCHIVE: Final = re.compile(rf"{ARCHIVES}([0-9a-f]{{64}})")
_log = logging.getLogger(__name__)


async def remove_unneeded_artifacts(app: DeploymentsApp) -> None:
    """Remove what is stored and not needed; put receipts of needed artifacts anew."""
    now = app.service.clock.now()
    try:
        # Before what is needed: what is uploaded between the two is not listed.
        receipts = await _receipts(app)
        archives = await _archives(app)
        contents = await _contents(app)
        needed = await _needed(app, now)
    except (Unavailable, UnreadableDocument) as unknown:
        _log.warning("no deployment and no artifact is removed: %s", unknown)
        return
    removal = artifact_retention.removal(needed.artifacts, receipts, archives, now)
    for tenant, digest in sorted(removal.absent):
        await _isolated(_put_anew(tenant, digest, app), digest)
    for tenant, digest in sorted(removal.receipts):
        await _isolated(delete_receipt(digest, tenant, app), digest)
    for digest in sorted(removal.archives):
        await _isolated(app.blobs.delete(artifact_blob(digest)), digest)
        _log.info("artifact %s is removed: no deployment needs it", digest)
    for tenant, content in sorted(
        artifact_retention.unneeded_contents(contents, needed.contents, now)
    ):
        await _isolated(app.blobs.delete(content_blob(content, tenant)), content)
        _log.info("configuration %s is removed: no deployment needs it", content)
    for read in needed.past:
        await _isolated(remove([read], app.service), read.id)


async def _isolated(work: Awaitable[object], what: str) -> None:
    await isolate(work, f"{REMOVE}: {what}")


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


@dataclass(frozen=True)
class Needed:
    """All that a deployment of any tenant may need, and the deployments that nobody needs."""

    artifacts: frozenset[Owned]
    contents: frozenset[Owned]
    past: Sequence[ReadDocument]


async def _needed(app: DeploymentsApp, now: datetime) -> Needed:
    """Return what may be needed, and what is not.

    Raises:
        Unavailable, UnreadableDocument: one of the documents is not known.
    """
    in_force: dict[Place, frozenset[DeploymentId]] = {}
    named: dict[Place, frozenset[DeploymentId]] = {}
    contents: set[Owned] = set()
    async for document, layer in every_document(TENANT_LAYERS, app.service):
        layers = [layer.fact] if layer.fact else []
        contents |= artifact_retention.recorded_contents(_tenant(document), layers)
    async for document, target in every_document(TARGETS, app.service):
        tenant = _tenant(document)
        contents |= artifact_retention.recorded_contents(tenant, target.facts.values())
        place = (tenant, target.environment_id)
        named[place] = artifact_retention.named(target)
        holders = artifact_retention.in_force(target)
        if holders is not None:
            in_force[place] = holders
    uses: dict[ArtifactUse, ReadDocument] = {}
    async for document, deployment in every_document(DEPLOYMENTS, app.service):
        uses[ArtifactUse.of(deployment)] = ReadDocument.of(document)
    kept = artifact_retention.kept_uses(uses, in_force, now)
    ended = app.service.work.retention.span(Kept.ENDED)
    past = artifact_retention.past_uses(uses, kept, named, now - ended)
    return Needed(
        artifact_retention.needed(kept),
        artifact_retention.needed_contents(kept) | contents,
        [uses[use] for use in past],
    )


def _tenant(document: Document) -> TenantId:
    return TenantId(document.partition.tenant)
