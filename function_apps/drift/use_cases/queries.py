"""Reads of drift: a finding, a source in Git, the report of an environment, its snapshots."""

from collections.abc import Sequence
from typing import Final

from function_apps.drift import resources
from function_apps.drift.errors import SnapshotNotFound
from function_apps.drift.model.snapshot import Snapshot, read_snapshot
from function_apps.drift.ports import DriftApp
from function_apps.drift.repository import (
    FINDINGS,
    desired_by_git,
    load_finding,
    load_scan,
    load_source,
    snapshot_partition,
)
from shared.contracts.drift import DriftFinding, DriftReport, DriftSnapshot, SnapshotContent
from shared.contracts.drift import GitSource as GitSourceResource
from shared.kernel.clock import isoformat
from shared.kernel.context import Context
from shared.persistence.row_pages import INSTANT, newest_page
from shared.persistence.store import Document

_ROW: Final = rf"{INSTANT}~svc-[a-z0-9-]{{1,150}}"
"""The key of a snapshot's row: its instant and service."""
SCANNED_MAX: Final = 1000
"""Rows of one read of the table."""


async def get_finding(finding_id: str, ctx: Context, app: DriftApp) -> tuple[DriftFinding, str]:
    """Return a finding with its etag. Raises FindingNotFound."""
    finding, etag = await load_finding(finding_id, ctx, app)
    return resources.finding_resource(finding), etag


async def get_source(source_id: str, ctx: Context, app: DriftApp) -> tuple[GitSourceResource, str]:
    """Return a source with its etag. Raises GitSourceNotFound."""
    source, etag = await load_source(source_id, ctx, app)
    return resources.source_resource(source), etag


async def get_report(
    environment_id: str,
    documents: Sequence[Document],
    next_link: str | None,
    ctx: Context,
    app: DriftApp,
) -> DriftReport:
    """Return the report of an environment with one page of its findings. Raises DriftNotFound."""
    scan, _ = await load_scan(environment_id, ctx, app)
    findings = [finding for _, finding in FINDINGS.readable(documents)]
    git = await desired_by_git(scan, ctx, app)
    return resources.drift_report(scan, findings, git, next_link)


async def get_snapshots(
    environment_id: str,
    service_id: str | None,
    ctx: Context,
    app: DriftApp,
    *,
    limit: int,
    continuation: str | None,
) -> tuple[Sequence[DriftSnapshot], str | None]:
    """Return one page of snapshots, newest first, and the continuation of the next.

    With *service_id* a page may have fewer of them, or none, while there is a next one.

    Raises:
        DriftNotFound: no such environment was provisioned.
        Invalid: the continuation is none of this list.
    """
    await load_scan(environment_id, ctx, app)
    page = await newest_page(
        app.snapshots,
        snapshot_partition(ctx.tenant, environment_id),
        limit=SCANNED_MAX - 1 if service_id else limit,
        continuation=continuation,
        after=isoformat(ctx.now() - app.rules.detection.snapshots_kept),
        key=_ROW,
    )
    read = [read_snapshot(row.row_key, row.values) for row in page.rows]
    found = [each for each in read if service_id in {None, each.service_id}]
    value = [resources.snapshot_row(environment_id, each) for each in found[:limit]]
    following = found[limit - 1].snapshot_id if len(found) > limit else page.continuation
    return value, following


async def get_snapshot(
    environment_id: str, snapshot_id: str, since: str | None, ctx: Context, app: DriftApp
) -> SnapshotContent:
    """Return a snapshot, and what is otherwise than in the snapshot *since*.

    Raises:
        DriftNotFound, SnapshotNotFound.
    """
    await load_scan(environment_id, ctx, app)
    snapshot = await _load(environment_id, snapshot_id, ctx, app)
    before = None if since is None else await _load(environment_id, since, ctx, app)
    return resources.snapshot_content(environment_id, snapshot, before)


async def _load(environment_id: str, snapshot_id: str, ctx: Context, app: DriftApp) -> Snapshot:
    row = await app.snapshots.get(snapshot_partition(ctx.tenant, environment_id), snapshot_id)
    if row is None:
        raise SnapshotNotFound(snapshot_id)
    return read_snapshot(row.row_key, row.values)
