"""Routes, messages and orchestrations of deployments: protocol in, use case, protocol out."""

from collections.abc import Mapping
from typing import Any, Final

import azure.durable_functions as df

from function_apps.deployments.activities import ACTIVITIES
from function_apps.deployments.orchestrations import ORCHESTRATIONS
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.use_cases import (
    artifacts,
    interruptions,
    reading,
    requests,
    signals,
    surroundings,
)
from shared.contracts.configurations import ConfigurationPublished
from shared.contracts.deployments import (
    Artifact,
    Deploy,
    Deployment,
    DeploymentAccepted,
    DeploymentPlan,
    DeploymentReason,
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
from shared.contracts.scaling import ScalingPolicyApplied
from shared.contracts.secret_bindings import SecretBound, SecretRotated
from shared.contracts.tenants import RuntimeTenantBound, TenantIsolationProofCompleted
from shared.kernel.ids import OperationId
from shared.messaging.dispatcher import HandlerTable
from shared.messaging.legacy_unit_of_work import Outcome
from shared.triggers.service_triggers import Triggers, bind
from shared.web.request import Answer, Request, accepted, created, ok
from shared.web.routes import ARTIFACT_MAX_BYTES, get, post

READ: Final = "runtime.deployments.read"
WRITE: Final = "runtime.deployments.write"
_ROOT: Final = "v1/runtime/deployments"
_ONE: Final = f"{_ROOT}/{{deploymentId}}"
_ARTIFACTS: Final = "v1/runtime/artifacts"


async def post_deployment(request: Request[Deploy], app: DeploymentsApp) -> Answer:
    """Deploy a release; with `dryRun`, answer the plan and change nothing."""
    if request.body.dry_run:
        return ok(await requests.plan(request.body, scope=request.scope, app=app))
    return _accepted(
        await requests.deploy(request.body, scope=request.scope, cause=request.cause, app=app)
    )


async def get_deployments(request: Request[None], app: DeploymentsApp) -> Answer:
    """List the tenant's deployments, newest first."""
    top = request.number("top", 50, least=1, most=200)
    return ok(await reading.find(request.query, top=top, scope=request.scope, app=app))


async def get_deployment(request: Request[None], app: DeploymentsApp) -> Answer:
    """Answer one deployment: steps, weights, analyses, evidence, unit and proof."""
    found, etag = await reading.get(request.path["deploymentId"], scope=request.scope, app=app)
    if request.if_none_match == etag:
        return Answer(304, None, {"ETag": etag})
    return ok(found, etag=etag)


async def get_deployment_logs(request: Request[None], app: DeploymentsApp) -> Answer:
    """Answer the last lines of each live instance of the deployment."""
    return ok(
        await reading.logs(
            request.path["deploymentId"],
            module=request.query.get("moduleId"),
            tail=request.number("tail", 100, least=1, most=reading.TAIL_MAX),
            scope=request.scope,
            app=app,
        )
    )


async def get_deployment_traffic(request: Request[None], app: DeploymentsApp) -> Answer:
    """Answer what each release of the deployment's modules was asked, and how it answered."""
    return ok(await reading.traffic(request.path["deploymentId"], scope=request.scope, app=app))


async def post_deployment_rollback(request: Request[Rollback], app: DeploymentsApp) -> Answer:
    """Undo a deployment."""
    command = RollbackDeployment(
        deployment_id=request.path["deploymentId"],
        to_deployment_id=request.body.to_deployment_id,
        reason=request.body.reason,
    )
    return _accepted(
        await interruptions.rollback(command, scope=request.scope, cause=request.cause, app=app)
    )


async def post_deployment_promote(request: Request[Promotion], app: DeploymentsApp) -> Answer:
    """Deploy the same digests to the next environment, once they have soaked."""
    command = PromoteDeployment(deployment_id=request.path["deploymentId"], **dict(request.body))
    if command.dry_run:
        return ok(
            await requests.plan_promotion(
                command, token=request.token, scope=request.scope, app=app
            )
        )
    evidence = await requests.soak_evidence(
        command.deployment_id, token=request.token, scope=request.scope, app=app
    )
    return _accepted(
        await requests.promote(
            command.model_copy(update={"evidence": evidence}),
            scope=request.scope,
            cause=request.cause,
            app=app,
        )
    )


async def post_deployment_cancel(request: Request[DeploymentReason], app: DeploymentsApp) -> Answer:
    """Stop a deployment; what was applied is rolled back."""
    return await _with_reason(interruptions.cancel, request, app)


async def post_deployment_retry(request: Request[DeploymentReason], app: DeploymentsApp) -> Answer:
    """Begin a Failed one anew, or have a paused step judged again."""
    return await _with_reason(interruptions.retry, request, app)


async def post_deployment_release_hold(
    request: Request[DeploymentReason], app: DeploymentsApp
) -> Answer:
    """Let the unit that was rolled back be deployed again."""
    return await _with_reason(interruptions.release_hold, request, app)


async def _with_reason(
    use_case: Any, request: Request[DeploymentReason], app: DeploymentsApp
) -> Answer:
    outcome = await use_case(
        request.path["deploymentId"],
        request.body,
        scope=request.scope,
        cause=request.cause,
        app=app,
    )
    return _accepted(outcome)


async def post_artifact(request: Request[None], app: DeploymentsApp) -> Answer:
    """Keep an archive under its digest; the same bytes again answer the same."""
    artifact, is_known = await artifacts.upload(
        request.content, scope=request.scope, cause=request.cause, app=app
    )
    if is_known:
        return ok(artifact)
    return created(artifact, f"/{_ARTIFACTS}/{artifact.digest}")


async def get_artifact(request: Request[None], app: DeploymentsApp) -> Answer:
    """Answer what is known of an artifact of the caller's tenant."""
    return ok(await artifacts.find(request.path["digest"], scope=request.scope, app=app))


def _accepted(outcome: Outcome) -> Answer:
    result: Mapping[str, Any] = outcome.result
    return accepted(
        result,
        OperationId(result["operationId"]),
        f"/{_ROOT}/{result['deploymentId']}",
        is_repeat=outcome.is_repeat,
    )


_LIST: Final = ("environmentId", "status", "moduleId", "top", "continuation")
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
    get(_ROOT, get_deployments, READ, query=_LIST),
    get(_ONE, get_deployment, READ, answer=Deployment),
    get(f"{_ONE}/logs", get_deployment_logs, READ, query=("moduleId", "tail")),
    get(f"{_ONE}/traffic", get_deployment_traffic, READ),
    post(
        f"{_ONE}/rollback",
        post_deployment_rollback,
        WRITE,
        body=Rollback,
        answer=DeploymentAccepted,
        optional_body=True,
    ),
    post(f"{_ONE}/promote", post_deployment_promote, WRITE, body=Promotion, **_PLANNED),
    post(f"{_ONE}/cancel", post_deployment_cancel, WRITE, **_REASON),
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
        body_max_bytes=ARTIFACT_MAX_BYTES,
    ),
    get(f"{_ARTIFACTS}/{{digest}}", get_artifact, READ, answer=Artifact),
)
EVENTS: Final[HandlerTable] = {
    RuntimeEnvironmentProvisioned: surroundings.note_provisioned,
    RuntimeEnvironmentStatusChanged: surroundings.note_status,
    RuntimeEnvironmentFailed: surroundings.note_failed,
    RuntimeEnvironmentDecommissioned: surroundings.note_decommissioned,
    RuntimeTenantBound: surroundings.note_binding,
    TenantIsolationProofCompleted: surroundings.note_isolation,
    ConfigurationPublished: surroundings.note_configuration,
    SecretBound: surroundings.note_secret,
    SecretRotated: surroundings.note_secret,
    ScalingPolicyApplied: surroundings.note_scaling,
    HealthCheckCompleted: signals.note_health,
}
COMMANDS: Final[HandlerTable] = {
    Deploy: requests.deploy,
    PromoteDeployment: requests.promote,
    RollbackDeployment: interruptions.rollback,
}


def blueprint(app: DeploymentsApp) -> df.Blueprint:
    """Bind this service's triggers to *app*; nothing is bound at import."""
    triggers = Triggers(
        routes=ROUTES,
        events=EVENTS,
        commands=COMMANDS,
        orchestrations=ORCHESTRATIONS,
        activities=ACTIVITIES,
    )
    return bind(triggers, app)
