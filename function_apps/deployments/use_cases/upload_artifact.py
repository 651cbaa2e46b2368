"""Artifacts: uploaded once, named by their content, visible to the tenant that uploaded them."""

import asyncio
import hashlib
import io
import json
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Final

from function_apps.deployments.errors import ArtifactMissing
from function_apps.deployments.ports import DeploymentsApp
from shared.contracts.components import Component
from shared.contracts.deployments import Artifact
from shared.kernel.context import Context
from shared.kernel.errors import Invalid, NotFound
from shared.kernel.ids import TenantId
from shared.messaging.outbox import Audited
from shared.messaging.unit_of_work import Decision
from shared.persistence.store import Partition
from shared.surfaces.archives import refuse_unsafe_archive
from shared.surfaces.spec import artifact_blob

RECEIPTS: Final = "receipts/"
ARCHIVES: Final = "sha256/"
_CHUNK: Final = 1 << 20
_MEDIA_TYPE: Final = "application/zip"


async def upload_artifact(
    content: bytes, ctx: Context, app: DeploymentsApp
) -> tuple[Artifact, bool]:
    """Keep *content* under its digest; return it and whether it was here already.

    Safe to repeat and to break off: first the bytes, then the audit record, last the
    receipt that makes them visible. Both are put again where they are known: what was put just now
    is not removed, whether anything needs it or not.

    Raises:
        BadArtifact: no zip, or one that would not be unpacked safely.
    """
    if not content:
        raise Invalid("an artifact is a zip archive; the body is empty", target="")
    # Off the loop: to look at twenty thousand files takes a quarter of a second.
    await asyncio.to_thread(refuse_unsafe_archive, io.BytesIO(content))
    digest = await _digest(content, app)
    known = await _receipt(digest, ctx, app)
    if known is None or await app.blobs.size(artifact_blob(digest)) is None:
        await app.blobs.put(artifact_blob(digest), _chunks(content))
    if known is None:
        await _record(digest, ctx, app)
    artifact = known or new_receipt(digest, len(content), ctx.now())
    await put_receipt(artifact, ctx.tenant, app)
    return artifact, known is not None


def new_receipt(digest: str, size_bytes: int, now: datetime) -> Artifact:
    return Artifact(digest=digest, size_bytes=size_bytes, media_type=_MEDIA_TYPE, created_at=now)


async def put_receipt(artifact: Artifact, tenant: TenantId, app: DeploymentsApp) -> None:
    """Make *artifact*, whose bytes are there, visible to *tenant*."""
    body = artifact.model_dump(mode="json", by_alias=True)
    name = _receipt_blob(artifact.digest, tenant)
    await app.blobs.put(name, _chunks(json.dumps(body).encode()))


async def delete_receipt(digest: str, tenant: TenantId, app: DeploymentsApp) -> None:
    await app.blobs.delete(_receipt_blob(digest, tenant))


async def _digest(content: bytes, app: DeploymentsApp) -> str:
    """Return the digest of *content*; others get their turn after each megabyte."""
    total = hashlib.sha256()
    for start in range(0, len(content), _CHUNK):
        total.update(content[start : start + _CHUNK])
        await app.service.clock.sleep(0)
    return f"sha256:{total.hexdigest()}"


async def find_artifact(digest: str, ctx: Context, app: DeploymentsApp) -> Artifact:
    """Return the artifact as it was received. Raises ArtifactMissing, also for another tenant's."""
    try:
        artifact_blob(digest)
    except Invalid as malformed:
        raise ArtifactMissing(digest) from malformed
    known = await _receipt(digest, ctx, app)
    if known is None:
        raise ArtifactMissing(digest)
    return known


async def uploaded(
    components: Sequence[Component], ctx: Context, app: DeploymentsApp
) -> frozenset[str]:
    """Return the digests of *components* that the tenant has uploaded and that are there."""
    digests = sorted({each.artifact_digest for each in components if each.artifact_digest})
    blobs = {
        digest: (_receipt_blob(digest, ctx.tenant), artifact_blob(digest)) for digest in digests
    }
    names = [name for pair in blobs.values() for name in pair]
    sizes = await asyncio.gather(*(app.blobs.size(name) for name in names))
    there = {name for name, size in zip(names, sizes, strict=True) if size is not None}
    return frozenset(digest for digest, pair in blobs.items() if there.issuperset(pair))


async def _record(digest: str, ctx: Context, app: DeploymentsApp) -> None:
    audited = Audited("UploadArtifact", digest)
    partition = Partition(ctx.tenant, "-")
    await app.service.work.commit(ctx, partition, [], lambda _: Decision({}, audited=audited))


def _receipt_blob(digest: str, tenant: TenantId) -> str:
    # The bytes are shared by all who have them; the receipt says whose they are.
    return f"{RECEIPTS}{tenant}/{artifact_blob(digest)}"


async def _receipt(digest: str, ctx: Context, app: DeploymentsApp) -> Artifact | None:
    try:
        chunks = await app.blobs.open(_receipt_blob(digest, ctx.tenant))
    except NotFound:
        return None
    text = b"".join([chunk async for chunk in chunks])
    return Artifact.model_validate_json(text)


async def _chunks(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), _CHUNK):
        yield content[start : start + _CHUNK]
