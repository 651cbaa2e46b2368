"""Artifacts: uploaded once, named by their content, visible to the tenant that uploaded them."""

import asyncio
import hashlib
import io
import json
from collections.abc import AsyncIterator, Sequence
from typing import Final

from function_apps.deployments.errors import ArtifactMissing
from function_apps.deployments.ports import DeploymentsApp
from shared.contracts.components import Component
from shared.contracts.deployments import Artifact
from shared.kernel.context import Context
from shared.kernel.errors import Invalid, NotFound
from shared.messaging.outbox import Audited
from shared.messaging.unit_of_work import Decision
from shared.persistence.store import Partition
from shared.surfaces.archives import refuse_unsafe_archive
from shared.surfaces.spec import artifact_blob

_CHUNK: Final = 1 << 20
_MEDIA_TYPE: Final = "application/zip"


async def upload_artifact(
    content: bytes, ctx: Context, app: DeploymentsApp
) -> tuple[Artifact, bool]:
    """Keep *content* under its digest; return it and whether it was here already.

    Safe to repeat and to break off: first the bytes, then the audit record, last the
    receipt that makes them visible.

    Raises:
        BadArtifact: no zip, or one that would not be unpacked safely.
    """
    if not content:
        raise Invalid("an artifact is a zip archive; the body is empty", target="")
    refuse_unsafe_archive(io.BytesIO(content))
    digest = await _digest(content, app)
    known = await _receipt(digest, ctx, app)
    if known is not None:
        return known, True
    if await app.blobs.size(artifact_blob(digest)) is None:
        await app.blobs.put(artifact_blob(digest), _chunks(content))
    artifact = Artifact(
        digest=digest,
        size_bytes=len(content),
        media_type=_MEDIA_TYPE,
        created_at=ctx.now(),
    )
    body = artifact.model_dump(mode="json", by_alias=True)
    await _record(digest, ctx, app)
    await app.blobs.put(_receipt_blob(digest, ctx), _chunks(json.dumps(body).encode()))
    return artifact, False


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
    names = [name for d in digests for name in (_receipt_blob(d, ctx), artifact_blob(d))]
    sizes = await asyncio.gather(*(app.blobs.size(name) for name in names))
    there = {name for name, size in zip(names, sizes, strict=True) if size is not None}
    return frozenset(d for d in digests if {_receipt_blob(d, ctx), artifact_blob(d)} <= there)


async def _record(digest: str, ctx: Context, app: DeploymentsApp) -> None:
    audited = Audited("UploadArtifact", digest)
    partition = Partition(ctx.tenant, "-")
    await app.service.work.commit(ctx, partition, [], lambda _: Decision({}, audited=audited))


def _receipt_blob(digest: str, ctx: Context) -> str:
    # The bytes are shared by all who have them; the receipt says whose they are.
    return f"receipts/{ctx.tenant}/{artifact_blob(digest)}"


async def _receipt(digest: str, ctx: Context, app: DeploymentsApp) -> Artifact | None:
    try:
        chunks = await app.blobs.open(_receipt_blob(digest, ctx))
    except NotFound:
        return None
    text = b"".join([chunk async for chunk in chunks])
    return Artifact.model_validate_json(text)


async def _chunks(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), _CHUNK):
        yield content[start : start + _CHUNK]
