"""The stored documents of drift, and lists of them.

Scans of environments, baselines of services, findings, published layers, sources in Git.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

from function_apps.drift.errors import DriftNotFound, FindingNotFound, GitSourceNotFound
from function_apps.drift.model.baseline import ServiceBaseline
from function_apps.drift.model.configuration_layers import PublishedLayer
from function_apps.drift.model.environment_scan import EnvironmentScan
from function_apps.drift.model.finding import Finding
from function_apps.drift.model.git_comparison import DesiredByGit
from function_apps.drift.model.git_source import FollowedEnvironments, GitSource
from function_apps.drift.ports import DriftApp
from shared.contracts.retention import Kept
from shared.kernel.context import Context
from shared.kernel.ids import environment_id as environment_id_of
from shared.kernel.ids import parse_id, tenant_key
from shared.kernel.ids import service_id as service_id_of
from shared.persistence.codec import DocumentCodec, Put
from shared.persistence.store import (
    Comparison,
    Partition,
    Prefix,
    Query,
    Where,
    pages,
    partition_of,
)

T = TypeVar("T")
FINDINGS_A_BATCH: Final = 7
"""With the baseline they are the eight documents of one read."""
_PAGE: Final = 200


def _scan_queried(scan: EnvironmentScan) -> Mapping[str, Any]:
    """Return when it is due; one that was never provisioned is not.

    Nor is one that has ended, once it was scanned since, and nothing is known of its surfaces.
    """
    has_ended = scan.ended_at is not None and scan.due_at > scan.ended_at
    is_over = has_ended and not any(scan.parts.values())
    return {} if is_over or not scan.revision else {"dueAt": scan.due_at}


def _baseline_queried(baseline: ServiceBaseline) -> Mapping[str, Any]:
    """Return when it is to be scanned by itself, and whether environment scans have it."""
    due = {} if baseline.due_at is None else {"dueAt": baseline.due_at}
    return {"is_compared": not baseline.is_retired and baseline.is_known, **due}


def _finding_queried(finding: Finding) -> Mapping[str, Any]:
    return {"is_active": finding.is_active}


SCANS: Final = DocumentCodec(
    EnvironmentScan,
    "scan",
    key="environment_id",
    document="scan/{}",
    missing=DriftNotFound,
    queried=_scan_queried,
    stored_as={"is_mass_absence": "is_held", "rolled_back": "held"},
)
BASELINES: Final = DocumentCodec(
    ServiceBaseline,
    "baseline",
    key="service_id",
    document="baseline",
    queried=_baseline_queried,
    kept=Kept.RETIRED,
    has_ended=lambda baseline: baseline.is_retired,
)
"""A service has a partition of its own, so its baseline needs no other id."""
FINDINGS: Final = DocumentCodec(
    Finding,
    "finding",
    key="finding_id",
    missing=FindingNotFound,
    queried=_finding_queried,
    kept=Kept.ENDED,
    has_ended=lambda finding: not finding.is_active,
)
LAYERS: Final = DocumentCodec(
    PublishedLayer,
    "publishedLayer",
    key="configuration_id",
    document="layer/{}",
    kept=Kept.MESSAGE,
    has_ended=lambda layer: layer.has_ended,
)
"""Layers of configuration as they are in force, of the environment and of its modules."""
SOURCES: Final = DocumentCodec(
    GitSource,
    "gitSource",
    key="source_id",
    missing=GitSourceNotFound,
    queried=lambda source: {"dueAt": source.due_at},
)
FOLLOWED: Final = DocumentCodec(
    FollowedEnvironments, "followedEnvironments", key="tenant_id", document="git-sources/{}",
    initial=FollowedEnvironments,
)  # fmt: skip
"""One for a tenant, in the partition of its sources."""


async def load_source(source_id: str, ctx: Context, app: DriftApp) -> tuple[GitSource, str]:
    """Return a source and its etag. Raises GitSourceNotFound."""
    parse_id(source_id, "gs")
    return await _load(SOURCES, source_id, ctx, app)


async def desired_by_git(scan: EnvironmentScan, ctx: Context, app: DriftApp) -> DesiredByGit | None:
    """Return what Git says of an environment; None where no source names it, or it has ended."""
    if scan.ended_at is not None:
        return None
    partition = Partition(ctx.tenant, tenant_key(ctx.tenant), "-")
    view = await app.service.work.read(partition, FOLLOWED.document_id(ctx.tenant))
    source_id = view.get(FOLLOWED, ctx.tenant).sources.get(scan.environment_id)
    if source_id is None:
        return None
    source = await app.service.work.find(SOURCES, source_id, ctx.tenant)
    if source is None:
        return None
    return DesiredByGit(source, source.environment(scan.environment_id))


async def load_scan(
    environment_id: str, ctx: Context, app: DriftApp
) -> tuple[EnvironmentScan, str]:
    """Return the scans of an environment, and the etag. Raises DriftNotFound."""
    parse_id(environment_id, "env")
    scan, etag = await _load(SCANS, environment_id, ctx, app)
    if not scan.revision:
        raise DriftNotFound(environment_id)
    return scan, etag


async def load_finding(finding_id: str, ctx: Context, app: DriftApp) -> tuple[Finding, str]:
    """Return a finding and its etag. Raises FindingNotFound."""
    parse_id(finding_id, "df")
    return await _load(FINDINGS, finding_id, ctx, app)


async def _load(
    codec: DocumentCodec[T], identity: str, ctx: Context, app: DriftApp
) -> tuple[T, str]:
    """Return what is stored under an id, and its etag. Raises the NotFound of *codec*."""
    partition = partition_of(ctx.tenant, identity)
    document = await app.service.store.read(partition, codec.document_id(identity))
    if document is None:
        return codec.absent(identity), ""
    return codec.decode(document.body), document.etag


async def compared_services(partition: Partition, app: DriftApp) -> Sequence[ServiceBaseline]:
    """Return the baselines of an environment that are to be compared."""
    where = [
        *BASELINES.conditions,
        Where("is_compared", Comparison.EQ, value=True),
    ]
    return await _values(BASELINES, _prefix(partition), where, app)


async def published_layers(partition: Partition, app: DriftApp) -> Mapping[str, PublishedLayer]:
    """Return the layers of an environment and its modules that were heard of, by id."""
    layers = await _values(LAYERS, partition, LAYERS.conditions, app)
    return {each.configuration_id: each for each in layers}


async def active_findings(within: Partition | Prefix, app: DriftApp) -> Sequence[Finding]:
    """Return the findings of a service, or an environment, that a scan has to judge."""
    where = [
        *FINDINGS.conditions,
        Where("is_active", Comparison.EQ, value=True),
    ]
    return await _values(FINDINGS, within, where, app)


async def _values(
    codec: DocumentCodec[T], within: Partition | Prefix, where: Sequence[Where], app: DriftApp
) -> list[T]:
    """Return what can be read of all documents there; of their bodies a page is held at a time."""
    documents = pages(app.service.store, within, Query(where=where, limit=_PAGE))
    return [value async for document in documents for _, value in codec.readable([document])]


def _prefix(partition: Partition) -> Prefix:
    return Prefix(partition.tenant, partition.environment)


def service_of(finding_id: str) -> str | None:
    """Return the service that a finding is of, as its id says; None for the environment's own.

    Raises NotFound.
    """
    parsed = parse_id(finding_id, "df")
    return service_id_of(parsed.environment, parsed.module) if parsed.module else None


def holder_of(finding_id: str) -> str:
    """Return the document that has the alert of what a finding is of. Raises NotFound."""
    service_id = service_of(finding_id)
    if service_id is not None:
        return BASELINES.document_id(service_id)
    return SCANS.document_id(environment_id_of(parse_id(finding_id, "df").environment))


def put_finding(finding: Finding) -> Put:
    return FINDINGS.put(finding)


def snapshot_partition(tenant: str, environment_id: str) -> str:
    """Return the key of the table's partition with the snapshots of an environment."""
    return f"{tenant}|{environment_id}"
