"""Routes, messages and orchestrations of deployments: protocol in, use case, protocol out."""

from collections.abc import Mapping
from typing import Any, Final

import azure.durable_functions as df

from function_apps.deployments.activities import ACTIVITIES
from function_apps.deployments.orchestrations import ORCHESTRATIONS
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.repository import (
    CANCEL,
    DEPLOY,
    DEPLOYMENTS,
    DRAIN,
    RELOCATE,
    REPAIR,
    RETRY,
    ROLL_BACK,
    ROLL_OUT_CONFIGURATION,
    ROLL_OUT_SECRET,
    TARGETS,
)
from function_apps.deployments.resources import raised_alerts
from function_apps.deployments.use_cases import (
    anchor_audit_heads,
    queries,
    remove_artifacts,
    remove_logs,
    report_unknown_releases,
)
from function_apps.deployments.use_cases.abandon_operation import abandon_drain, abandon_rollout
from function_apps.deployments.use_cases.cancel import cancel, cancel_operation
from function_apps.deployments.use_cases.confirm_cut_over import confirm_cut_over
from function_apps.deployments.use_cases.deploy import deploy, plan_deployment
from function_apps.deployments.use_cases.plan_cancel import plan_cancel
from function_apps.deployments.use_cases.promote import plan_promotion, promote
from function_apps.deployments.use_cases.record_configuration import record_configuration
from function_apps.deployments.use_cases.record_environment import record_environment
from function_apps.deployments.use_cases.record_facts import record_scaling_policy, record_secret
from function_apps.deployments.use_cases.record_gate_evidence import record_gate_evidence
from function_apps.deployments.use_cases.record_tenant import (
    record_binding,
    record_isolation_proof,
)
from function_apps.deployments.use_cases.release_hold import release_hold
from function_apps.deployments.use_cases.relocate_workload import relocate_workload
from function_apps.deployments.use_cases.remediate_drift import remediate_drift
from function_apps.deployments.use_cases.retry import retry
from function_apps.deployments.use_cases.roll_back import plan_rollback, roll_back
from function_apps.deployments.use_cases.roll_out_configuration import roll_out_configuration
from function_apps.deployments.use_cases.roll_out_secret_version import roll_out_secret_version
from function_apps.deployments.use_cases.stop_roll_outs import stop_roll_outs
from function_apps.deployments.use_cases.upload_artifact import find_artifact, upload_artifact
from function_apps.deployments.use_cases.withdraw_secret_versions import withdraw_secret_versions
from shared.contracts.audit import AuditHeads
from shared.contracts.configurations import ConfigurationPublished
from shared.contracts.deployment_plans import DeploymentPlan, RollbackPlan
from shared.contracts.deployments import (
    Artifact,
    Cancellation,
    Deploy,
    Deployment,
    DeploymentAccepted,
    DeploymentReason,
    DeploymentStatus,
    Rollback,
    RollbackDeployment,
)
from shared.contracts.environments import (
    RuntimeEnvironmentDecommissioned,
    RuntimeEnvironmentFailed,
    RuntimeEnvironmentProvisioned,
    RuntimeEnvironmentStatusChanged,
)
from shared.contracts.health import HealthCheckCompleted
from shared.contracts.promotions import PromoteDeployment, Promotion
from shared.contracts.roll_outs import (
    ConfirmCutOver,
    RelocateWorkload,
    RemediateDrift,
    RollOutConfiguration,
    RollOutSecretVersion,
    WithdrawSecretVersions,
)
from shared.contracts.scaling import ScalingPolicyApplied
from shared.contracts.secret_bindings import SecretBound, SecretRotated, SecretRotationFailed
from shared.contracts.tenants import RuntimeTenantBound, TenantIsolationProofCompleted
from shared.kernel.ids import OperationId
from shared.messaging.dispatcher import HandlerTable
from shared.messaging.unit_of_work import Json, Outcome
from shared.persistence.store import Partition
from shared.surfaces.archives import ARCHIVE_BYTES_MAX
from shared.triggers.service_triggers import Timer, Triggers, bind
from shared.web.administration import AlertSource, OperationControl
from shared.web.collection import Collection, answer_page
from shared.web.request import Answer, Request, accepted, created, ok
from shared.web.routes import get, post

READ: Final = "runtime.deployments.read"
WRITE: Final = "runtime.deployments.write"
_ROOT: Final = "v1/runtime/deployments"
_ONE: Final = f"{_ROOT}/{{deploymentId}}"
_ARTIFACTS: Final = "v1/runtime/artifacts"
LIST: Final = Collection(
    DEPLOYMENTS,
    {"status": "status"},
    choices={"status": DeploymentStatus},
    order_by="created_at",
    descending=True,
)


async def post_deployment(request: Request[Deploy], app: DeploymentsApp) -> Answer:
    """Deploy a release; with `dryRun`, answer the plan and change nothing."""
    if request.body.dry_run:
        return ok(await plan_deployment(request.body, request.ctx, app))
    return _accepted(await deploy(request.body, request.ctx, app))


async def get_deployments(request: Request[None], app: DeploymentsApp) -> Answer:
    """List the tenant's deployments, newest first.

    With `moduleId` a page may hold fewer than `top` while there is a next one.
    """
    key = request.environment()
    within = Partition(request.ctx.tenant, key, "-") if key else None
    page = await LIST.page(request, app.service.store, within)
    module = request.query.get("moduleId")
    value = await queries.list_resources(page.documents, request.ctx, app, module=module)
    return answer_page(request, value, page.continuation)


async def get_deployment(request: Request[None], app: DeploymentsApp) -> Answer:
    """Answer one deployment: steps, weights, analyses, evidence, unit and proof."""
    resource, etag = await queries.get_deployment(request.path["deploymentId"], request.ctx, app)
    return ok(resource, etag=etag, is_composite=True)


async def get_deployment_logs(request: Request[None], app: DeploymentsApp) -> Answer:
    """Answer the last lines of each instance of the deployment, also of those that are gone."""
    tail = request.number("tail", 100, least=1, most=queries.TAIL_MAX)
    module = request.query.get("moduleId")
    deployment_id = request.path["deploymentId"]
    return ok(await queries.read_logs(deployment_id, request.ctx, app, module=module, tail=tail))


async def get_deployment_traffic(request: Request[None], app: DeploymentsApp) -> Answer:
    """Answer the requests of each release of the deployment's modules, and their answers."""
    return ok(await queries.read_traffic(request.path["deploymentId"], request.ctx, app))


async def post_deployment_rollback(request: Request[Rollback], app: DeploymentsApp) -> Answer:
    """Undo a deployment; with `dryRun`, answer what that would take back."""
    command = RollbackDeployment(deployment_id=request.path["deploymentId"], **dict(request.body))
    if command.dry_run:
        return ok(await plan_rollback(command, request.ctx, app))
    return _accepted(await roll_back(command, request.ctx, app))


async def post_deployment_promote(request: Request[Promotion], app: DeploymentsApp) -> Answer:
    """Deploy the same digests to the next environment, once they have soaked."""
    command = PromoteDeployment(deployment_id=request.path["deploymentId"], **dict(request.body))
    if command.dry_run:
        return ok(await plan_promotion(command, request.ctx, app, token=request.token))
    return _accepted(await promote(command, request.ctx, app, token=request.token))


async def post_deployment_cancel(request: Request[Cancellation], app: DeploymentsApp) -> Answer:
    """Stop a deployment; what was applied is rolled back. With `dryRun`, answer what that is."""
    deployment_id = request.path["deploymentId"]
    if request.body.dry_run:
        return ok(await plan_cancel(deployment_id, request.body, request.ctx, app))
    return _accepted(await cancel(deployment_id, request.body, request.ctx, app))


async def post_deployment_retry(request: Request[DeploymentReason], app: DeploymentsApp) -> Answer:
    """Begin a Failed one anew, or have a paused step judged again."""
    deployment_id = request.path["deploymentId"]
    return _accepted(await retry(deployment_id, request.body, request.ctx, app))


async def post_deployment_release_hold(
    request: Request[DeploymentReason], app: DeploymentsApp
) -> Answer:
    """Let the unit that was rolled back be deployed again."""
    deployment_id = request.path["deploymentId"]
    return _accepted(await release_hold(deployment_id, request.body, request.ctx, app))


async def post_artifact(request: Request[None], app: DeploymentsApp) -> Answer:
    """Keep an archive under its digest; the same bytes again answer the same."""
    artifact, is_known = await upload_artifact(request.content, request.ctx, app)
    if is_known:
        return ok(artifact)
    return created(artifact, f"/{_ARTIFACTS}/{artifact.digest}")


async def get_artifact(request: Request[None], app: DeploymentsApp) -> Answer:
    """Answer the receipt of an artifact of the caller's tenant."""
    return ok(await find_artifact(request.path["digest"], request.ctx, app))


async def get_audit_heads(request: Request[None], app: DeploymentsApp) -> Answer:
    """Answer the heads of the caller's audit chains, of all apps, that were anchored last."""
    return ok(await queries.get_audit_heads(request.ctx, app))


def _accepted(outcome: Outcome[Json]) -> Answer:
    return accepted(
        outcome.value,
        OperationId(outcome.value["operationId"]),
        f"/{_ROOT}/{outcome.value['deploymentId']}",
        is_repeat=outcome.is_repeat,
    )


_REASON: Final[Mapping[str, Any]] = {
    "body": DeploymentReason,
    "answer": DeploymentAccepted,
    "optional_body": True,
}
_PLANNED: Final[Mapping[str, Any]] = {
    "answer": DeploymentAccepted,
    "also": {200: DeploymentPlan},
}
ROUTES: Final = (
    post(_ROOT, post_deployment, WRITE, body=Deploy, **_PLANNED),
    get(_ROOT, get_deployments, READ, query=(*LIST.parameters, "environmentId", "moduleId")),
    get(_ONE, get_deployment, READ, answer=Deployment),
    get(f"{_ONE}/logs", get_deployment_logs, READ, query=("moduleId", "tail")),
    get(f"{_ONE}/traffic", get_deployment_traffic, READ),
    post(
        f"{_ONE}/rollback",
        post_deployment_rollback,
        WRITE,
        body=Rollback,
        answer=DeploymentAccepted,
        also={200: RollbackPlan},
        optional_body=True,
    ),
    post(f"{_ONE}/promote", post_deployment_promote, WRITE, body=Promotion, **_PLANNED),
    post(
        f"{_ONE}/cancel",
        post_deployment_cancel,
        WRITE,
        body=Cancellation,
        answer=DeploymentAccepted,
        also={200: RollbackPlan},
        optional_body=True,
    ),
    post(f"{_ONE}/retry", post_deployment_retry, WRITE, **_REASON),
    post(f"{_ONE}/release-hold", post_deployment_release_hold, WRITE, **_REASON),
    post(
        _ARTIFACTS,
        post_artifact,
        WRITE,
        answer=Artifact,
        status=201,
        also={200: Artifact},
        takes_bytes=True,
        body_max_bytes=ARCHIVE_BYTES_MAX,
    ),
    get(f"{_ARTIFACTS}/{{digest}}", get_artifact, READ, answer=Artifact),
    get("v1/runtime/audit-heads", get_audit_heads, "runtime.audit.read", answer=AuditHeads),
)
EVENTS: Final[HandlerTable] = {
    RuntimeEnvironmentProvisioned: record_environment,
    RuntimeEnvironmentStatusChanged: record_environment,
    RuntimeEnvironmentFailed: record_environment,
    RuntimeEnvironmentDecommissioned: record_environment,
    RuntimeTenantBound: record_binding,
    TenantIsolationProofCompleted: record_isolation_proof,
    ConfigurationPublished: record_configuration,
    SecretBound: record_secret,
    SecretRotated: record_secret,
    SecretRotationFailed: stop_roll_outs,
    ScalingPolicyApplied: record_scaling_policy,
    HealthCheckCompleted: record_gate_evidence,
}
COMMANDS: Final[HandlerTable] = {
    Deploy: deploy,
    PromoteDeployment: promote,
    RollbackDeployment: roll_back,
    RollOutConfiguration: roll_out_configuration,
    RollOutSecretVersion: roll_out_secret_version,
    WithdrawSecretVersions: withdraw_secret_versions,
    ConfirmCutOver: confirm_cut_over,
    RelocateWorkload: relocate_workload,
    RemediateDrift: remediate_drift,
}
_ROLLOUT: Final = OperationControl(cancel_operation, abandon_rollout)
_ROLLOUTS: Final = (
    DEPLOY,
    RETRY,
    ROLL_BACK,
    ROLL_OUT_CONFIGURATION,
    ROLL_OUT_SECRET,
    RELOCATE,
    REPAIR,
)
CONTROLS: Final[Mapping[str, OperationControl]] = {
    **{kind.name: _ROLLOUT for kind in _ROLLOUTS},
    CANCEL.name: OperationControl("the deployment is on its way back already", abandon_rollout),
    DRAIN.name: OperationControl(
        "its environment is being decommissioned, which is not canceled", abandon_drain
    ),
}
ALERTS: Final = (AlertSource(TARGETS, raised_alerts),)


def blueprint(app: DeploymentsApp) -> df.Blueprint:
    """Bind this service's triggers to *app*; nothing is bound at import."""
    timers = (
        Timer(
            remove_artifacts.REMOVE,
            remove_artifacts.EVERY,
            remove_artifacts.remove_unneeded_artifacts,
        ),
        Timer(remove_logs.REMOVE, remove_logs.EVERY, remove_logs.remove_old_logs),
        Timer(
            report_unknown_releases.REPORT,
            report_unknown_releases.EVERY,
            report_unknown_releases.report_unknown_releases,
        ),
        Timer(
            anchor_audit_heads.ANCHOR,
            app.rules.anchor_every,
            anchor_audit_heads.anchor_audit_heads,
        ),
    )
    triggers = Triggers(
        routes=ROUTES,
        events=EVENTS,
        commands=COMMANDS,
        orchestrations=ORCHESTRATIONS,
        activities=ACTIVITIES,
        controls=CONTROLS,
        timers=timers,
        alerts=ALERTS,
    )
    return bind(triggers, app)
