"""Routes, messages and timers of drift: protocol in, use case, protocol out."""

from typing import Any, Final

import azure.durable_functions as df

from function_apps.drift import resources
from function_apps.drift.ports import DriftApp
from function_apps.drift.repository import BASELINES, FINDINGS, SCANS, SOURCES
from function_apps.drift.resources import raised_alerts
from function_apps.drift.use_cases import (
    decisions,
    delete_snapshots,
    fetch_git_sources,
    queries,
    scan_environments,
    scan_services,
)
from function_apps.drift.use_cases.compare_release import compare_release
from function_apps.drift.use_cases.follow_git_source import (
    follow_git_source,
    remove_git_source,
)
from function_apps.drift.use_cases.order_scan import scan_now
from function_apps.drift.use_cases.receive_webhook import receive_webhook
from function_apps.drift.use_cases.record_configuration import record_configuration
from function_apps.drift.use_cases.record_deployment import record_deployment, record_step
from function_apps.drift.use_cases.record_environment import record_environment
from function_apps.drift.use_cases.record_isolation import record_binding, record_proof
from function_apps.drift.use_cases.record_service import (
    record_health_check,
    record_inventory_update,
    record_scaling_policy,
)
from shared.contracts.catalog import RuntimeInventoryUpdated
from shared.contracts.configurations import ConfigurationPublished
from shared.contracts.deployments import (
    RuntimeDeploymentCancelled,
    RuntimeDeploymentCompleted,
    RuntimeDeploymentFailed,
    RuntimeDeploymentRequested,
    RuntimeDeploymentRolledBack,
    RuntimeDeploymentStepChanged,
)
from shared.contracts.drift import (
    CompareRelease,
    DriftFinding,
    DriftReport,
    DriftSeverity,
    FindingReason,
    FindingStatus,
    FollowGitSource,
    GitSource,
    Plane,
    ScanOrder,
    SnapshotContent,
    Suppression,
)
from shared.contracts.environments import (
    RuntimeEnvironmentDecommissioned,
    RuntimeEnvironmentFailed,
    RuntimeEnvironmentProvisioned,
    RuntimeEnvironmentStatusChanged,
)
from shared.contracts.health import HealthCheckCompleted
from shared.contracts.scaling import ScalingPolicyApplied
from shared.contracts.tenants import RuntimeTenantBound, TenantIsolationProofCompleted
from shared.kernel.ids import parse_id
from shared.messaging.dispatcher import HandlerTable
from shared.persistence.store import Prefix
from shared.triggers.service_triggers import Timer, Triggers, bind
from shared.web.administration import AlertSource
from shared.web.collection import PAGED, Collection, answer_page, asked_top
from shared.web.request import Answer, Request, answered, created, ok
from shared.web.routes import delete, get, post

READ: Final = "runtime.drift.read"
WRITE: Final = "runtime.drift.write"
_ENVIRONMENT: Final = "v1/runtime/drift/{environmentId}"
_SOURCES: Final = resources.SOURCES_ROOT
_SOURCE: Final = f"{_SOURCES}/{{sourceId}}"
_FINDING: Final = "v1/runtime/drift-findings/{findingId}"
LIST: Final = Collection(
    FINDINGS,
    {
        "status": "status",
        "plane": "plane",
        "severity": "severity",
        "serviceId": "service_id",
        "moduleId": "module_id",
    },
    choices={"status": FindingStatus, "plane": Plane, "severity": DriftSeverity},
)
GIT_SOURCES: Final = Collection(SOURCES)


async def get_drift(request: Request[None], app: DriftApp) -> Answer:
    """Answer the findings of an environment, with what its last scan could look at."""
    return ok(await _report(request, app))


async def post_drift_scan(request: Request[ScanOrder], app: DriftApp) -> Answer:
    """Have an environment scanned now, and answer what is known of it until then."""
    outcome = await scan_now(request.path["environmentId"], request.body, request.ctx, app)
    return ok(await _report(request, app), is_repeat=outcome.is_repeat)


async def _report(request: Request[Any], app: DriftApp) -> DriftReport:
    environment_id = request.path["environmentId"]
    within = Prefix(request.ctx.tenant, parse_id(environment_id, "env").environment)
    page = await LIST.page(request, app.service.store, within)
    next_link = request.next_link(page.continuation)
    return await queries.get_report(environment_id, page.documents, next_link, request.ctx, app)


async def get_drift_snapshots(request: Request[None], app: DriftApp) -> Answer:
    """Answer the snapshots of an environment, newest first: one per change of a service."""
    value, continuation = await queries.get_snapshots(
        request.path["environmentId"],
        request.query.get("serviceId"),
        request.ctx,
        app,
        limit=asked_top(request),
        continuation=request.query.get("continuation"),
    )
    return answer_page(request, value, continuation)


async def get_drift_snapshot(request: Request[None], app: DriftApp) -> Answer:
    """Answer one snapshot, and what changed since the one in `since`."""
    return ok(
        await queries.get_snapshot(
            request.path["environmentId"],
            request.path["snapshotId"],
            request.query.get("since"),
            request.ctx,
            app,
        )
    )


async def get_drift_finding(request: Request[None], app: DriftApp) -> Answer:
    """Answer one finding with its etag."""
    resource, etag = await queries.get_finding(request.path["findingId"], request.ctx, app)
    return ok(resource, etag=etag)


async def post_drift_finding_acknowledge(request: Request[FindingReason], app: DriftApp) -> Answer:
    """Say that somebody knows of a finding."""
    identity = request.path["findingId"]
    return answered(await decisions.acknowledge(identity, request.body, request.ctx, app))


async def post_drift_finding_suppress(request: Request[Suppression], app: DriftApp) -> Answer:
    """Let a finding be for a time; nothing writes its property until then."""
    identity = request.path["findingId"]
    return answered(await decisions.suppress(identity, request.body, request.ctx, app))


async def post_drift_finding_adopt(request: Request[FindingReason], app: DriftApp) -> Answer:
    """Take the live value of a finding for the desired one."""
    identity = request.path["findingId"]
    return answered(await decisions.adopt(identity, request.body, request.ctx, app))


async def post_drift_finding_remediate(request: Request[FindingReason], app: DriftApp) -> Answer:
    """Ask the owner of the plane to repair a finding."""
    identity = request.path["findingId"]
    return answered(await decisions.remediate(identity, request.body, request.ctx, app))


async def post_git_source(request: Request[FollowGitSource], app: DriftApp) -> Answer:
    """Compare environments with the manifests in a Git repository."""
    outcome = await follow_git_source(request.body, request.ctx, app)
    location = f"/{_SOURCES}/{outcome.value['sourceId']}"
    return created(outcome.value, location, is_repeat=outcome.is_repeat)


async def get_git_sources(request: Request[None], app: DriftApp) -> Answer:
    """List the tenant's Git sources."""
    return await GIT_SOURCES.answer(request, app.service.store, resources.source_resource)


async def get_git_source(request: Request[None], app: DriftApp) -> Answer:
    """Answer one source with its etag: which commit is compared, and since when it is stale."""
    resource, etag = await queries.get_source(request.path["sourceId"], request.ctx, app)
    return ok(resource, etag=etag)


async def delete_git_source(request: Request[None], app: DriftApp) -> Answer:
    """Compare with a source no more."""
    return answered(await remove_git_source(request.path["sourceId"], request.ctx, app))


async def post_git_source_webhook(request: Request[None], app: DriftApp) -> Answer:
    """Take a signed webhook: the source is fetched at the next look for what is due."""
    path, tenant = request.path["sourceId"], request.query.get("tenant", "")
    await receive_webhook(path, tenant, request.content, request.signature, request.ctx, app)
    return Answer(202)


_DECISION: Final[dict[str, Any]] = {
    "body": FindingReason, "status": 200, "answer": DriftFinding, "optional_body": True,
}  # fmt: skip
ROUTES: Final = (
    get(_ENVIRONMENT, get_drift, READ, query=LIST.parameters, answer=DriftReport),
    post(
        f"{_ENVIRONMENT}/scan", post_drift_scan, WRITE, body=ScanOrder, status=200,
        answer=DriftReport, optional_body=True,
    ),
    get(f"{_ENVIRONMENT}/snapshots", get_drift_snapshots, READ, query=("serviceId", *PAGED)),
    get(
        f"{_ENVIRONMENT}/snapshots/{{snapshotId}}", get_drift_snapshot, READ, query=("since",),
        answer=SnapshotContent,
    ),
    get(_FINDING, get_drift_finding, READ, answer=DriftFinding),
    post(f"{_FINDING}/acknowledge", post_drift_finding_acknowledge, WRITE, **_DECISION),
    post(
        f"{_FINDING}/suppress", post_drift_finding_suppress, WRITE, body=Suppression, status=200,
        answer=DriftFinding,
    ),
    post(f"{_FINDING}/adopt", post_drift_finding_adopt, WRITE, **_DECISION),
    post(f"{_FINDING}/remediate", post_drift_finding_remediate, WRITE, **_DECISION),
    post(
        _SOURCES, post_git_source, WRITE, body=FollowGitSource, status=201, answer=GitSource,
    ),
    get(_SOURCES, get_git_sources, READ, query=GIT_SOURCES.parameters),
    get(_SOURCE, get_git_source, READ, answer=GitSource),
    delete(_SOURCE, delete_git_source, WRITE, status=200, answer=GitSource),
    post(
        f"{_SOURCE}/webhook", post_git_source_webhook, None, query=("tenant",), takes_bytes=True,
    ),
)  # fmt: skip
EVENTS: Final[HandlerTable] = {
    RuntimeEnvironmentProvisioned: record_environment,
    RuntimeEnvironmentFailed: record_environment,
    RuntimeEnvironmentStatusChanged: record_environment,
    RuntimeEnvironmentDecommissioned: record_environment,
    RuntimeTenantBound: record_binding,
    TenantIsolationProofCompleted: record_proof,
    RuntimeDeploymentRequested: record_step,
    RuntimeDeploymentStepChanged: record_step,
    RuntimeDeploymentCompleted: record_deployment,
    RuntimeDeploymentRolledBack: record_deployment,
    RuntimeDeploymentFailed: record_step,
    RuntimeDeploymentCancelled: record_step,
    RuntimeInventoryUpdated: record_inventory_update,
    HealthCheckCompleted: record_health_check,
    ScalingPolicyApplied: record_scaling_policy,
    ConfigurationPublished: record_configuration,
}
COMMANDS: Final[HandlerTable] = {CompareRelease: compare_release}
ALERTS: Final = (AlertSource(SCANS, raised_alerts), AlertSource(BASELINES, raised_alerts))


def blueprint(app: DriftApp) -> df.Blueprint:
    """Bind this service's triggers to *app*; nothing is bound at import."""
    timers = (
        Timer(
            scan_environments.SCAN,
            app.rules.check_due_every,
            scan_environments.scan_due_environments,
        ),
        Timer(
            fetch_git_sources.FETCH,
            app.rules.check_due_every,
            fetch_git_sources.fetch_due_sources,
        ),
        Timer(scan_services.COMPARE, app.rules.check_due_every, scan_services.scan_due_services),
        Timer(
            delete_snapshots.DELETE,
            app.rules.delete_snapshots_every,
            delete_snapshots.delete_old_snapshots,
        ),
    )
    triggers = Triggers(
        routes=ROUTES,
        events=EVENTS,
        commands=COMMANDS,
        timers=timers,
        swept=(SCANS, BASELINES, SOURCES),
        alerts=ALERTS,
    )
    return bind(triggers, app)
