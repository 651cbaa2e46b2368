"""Routes, messages and timers of scaling: protocol in, use case, protocol out."""

from typing import Final

import azure.durable_functions as df

from function_apps.scaling.ports import ScalingApp
from function_apps.scaling.repository import POLICIES
from function_apps.scaling.resources import policy_resource, raised_alerts
from function_apps.scaling.use_cases import delete_samples, evaluate_policies, queries
from function_apps.scaling.use_cases.apply_scaling_policy import (
    apply_scaling_policy,
    change_scaling_policy,
)
from function_apps.scaling.use_cases.end_policy import delete_policy
from function_apps.scaling.use_cases.pause_policy import pause_policy, resume_policy
from function_apps.scaling.use_cases.record_deployment import record_deployment, record_rollout
from function_apps.scaling.use_cases.record_service import record_health, record_inventory
from function_apps.scaling.use_cases.scale_release import hold_scaling, scale_release
from shared.contracts.catalog import RuntimeInventoryUpdated
from shared.contracts.deployments import (
    RuntimeDeploymentCancelled,
    RuntimeDeploymentCompleted,
    RuntimeDeploymentFailed,
    RuntimeDeploymentRolledBack,
    RuntimeDeploymentStepChanged,
)
from shared.contracts.health import HealthCheckCompleted
from shared.contracts.scaling import (
    ApplyScalingPolicy,
    HoldScaling,
    ScaleRelease,
    ScalingPause,
    ScalingPolicy,
    ScalingPolicyChange,
    ScalingReturn,
    ScalingStatus,
)
from shared.contracts.scaling_what_if import WhatIf, WhatIfResult
from shared.messaging.dispatcher import HandlerTable
from shared.triggers.service_triggers import Timer, Triggers, bind
from shared.web.administration import AlertSource
from shared.web.collection import PAGED, Collection, answer_page, asked_top
from shared.web.request import Answer, Request, answered, created, ok
from shared.web.routes import delete, get, post, put

READ: Final = "runtime.scaling.read"
WRITE: Final = "runtime.scaling.write"
_ROOT: Final = "v1/runtime/scaling-policies"
_ONE: Final = f"{_ROOT}/{{policyId}}"
DECISIONS_TOP_MAX: Final = 1000
"""Of one page of decisions, which are small rows of a table."""
LIST: Final = Collection(
    POLICIES,
    {
        "environmentId": "environment_id",
        "moduleId": "module_id",
        "serviceId": "service_id",
        "status": "status",
    },
    choices={"status": ScalingStatus},
)


async def post_scaling_policy(request: Request[ApplyScalingPolicy], app: ScalingApp) -> Answer:
    """Give a service its policy."""
    outcome = await apply_scaling_policy(request.body, request.ctx, app)
    location = f"/{_ROOT}/{outcome.value['policyId']}"
    return created(outcome.value, location, is_repeat=outcome.is_repeat)


async def get_scaling_policies(request: Request[None], app: ScalingApp) -> Answer:
    """List the tenant's policies."""
    return await LIST.answer(request, app.service.store, policy_resource)


async def get_scaling_policy(request: Request[None], app: ScalingApp) -> Answer:
    """Answer one policy with its etag."""
    resource, etag = await queries.get_policy(request.path["policyId"], request.ctx, app)
    # What it decides changes the answer, and not the etag.
    return ok(resource, etag=etag, is_composite=True)


async def put_scaling_policy(request: Request[ScalingPolicyChange], app: ScalingApp) -> Answer:
    """Give a policy other content."""
    policy_id = request.path["policyId"]
    return answered(await change_scaling_policy(policy_id, request.body, request.ctx, app))


async def delete_scaling_policy(request: Request[None], app: ScalingApp) -> Answer:
    """End a policy; the number of instances stays as it is."""
    return answered(await delete_policy(request.path["policyId"], request.ctx, app))


async def get_scaling_policy_decisions(request: Request[None], app: ScalingApp) -> Answer:
    """Answer the decisions of the last 30 days, newest first, each with what it saw."""
    decisions, continuation = await queries.get_decisions(
        request.path["policyId"],
        request.ctx,
        app,
        limit=asked_top(request, DECISIONS_TOP_MAX),
        continuation=request.query.get("continuation"),
    )
    return answer_page(request, decisions, continuation)


async def post_scaling_policy_what_if(request: Request[WhatIf], app: ScalingApp) -> Answer:
    """Answer what another policy would have done with the recorded load; nothing changes."""
    policy_id = request.path["policyId"]
    return ok(await queries.answer_what_if(policy_id, request.body, request.ctx, app))


async def post_scaling_policy_pause(request: Request[ScalingPause], app: ScalingApp) -> Answer:
    """Hold the number in a direction, for at most a day."""
    policy_id = request.path["policyId"]
    return answered(await pause_policy(policy_id, request.body, request.ctx, app))


async def post_scaling_policy_resume(request: Request[ScalingReturn], app: ScalingApp) -> Answer:
    """Let a paused policy decide again."""
    policy_id, reason = request.path["policyId"], request.body.reason
    return answered(await resume_policy(policy_id, reason, request.ctx, app))


ROUTES: Final = (
    post(
        _ROOT, post_scaling_policy, WRITE, body=ApplyScalingPolicy, status=201,
        answer=ScalingPolicy,
    ),
    get(_ROOT, get_scaling_policies, READ, query=LIST.parameters),
    get(_ONE, get_scaling_policy, READ, answer=ScalingPolicy),
    put(_ONE, put_scaling_policy, WRITE, body=ScalingPolicyChange, status=200,
        answer=ScalingPolicy),
    delete(_ONE, delete_scaling_policy, WRITE, status=200, answer=ScalingPolicy),
    get(f"{_ONE}/decisions", get_scaling_policy_decisions, READ, query=PAGED),
    post(
        f"{_ONE}/what-if", post_scaling_policy_what_if, READ, body=WhatIf, status=200,
        answer=WhatIfResult,
    ),
    post(
        f"{_ONE}/pause", post_scaling_policy_pause, WRITE, body=ScalingPause, status=200,
        answer=ScalingPolicy,
    ),
    post(
        f"{_ONE}/resume", post_scaling_policy_resume, WRITE, body=ScalingReturn, status=200,
        answer=ScalingPolicy,
    ),
)  # fmt: skip
EVENTS: Final[HandlerTable] = {
    RuntimeDeploymentStepChanged: record_rollout,
    RuntimeDeploymentCompleted: record_deployment,
    RuntimeDeploymentRolledBack: record_deployment,
    RuntimeDeploymentFailed: record_rollout,
    RuntimeDeploymentCancelled: record_rollout,
    RuntimeInventoryUpdated: record_inventory,
    HealthCheckCompleted: record_health,
}
COMMANDS: Final[HandlerTable] = {
    ApplyScalingPolicy: apply_scaling_policy,
    ScaleRelease: scale_release,
    HoldScaling: hold_scaling,
}
ALERTS: Final = (AlertSource(POLICIES, raised_alerts),)


def blueprint(app: ScalingApp) -> df.Blueprint:
    """Bind this service's triggers to *app*; nothing is bound at import."""
    timers = (
        Timer(
            evaluate_policies.EVALUATE,
            app.rules.scaling.evaluation,
            evaluate_policies.evaluate_policies,
        ),
        Timer(
            delete_samples.DELETE_SAMPLES,
            app.rules.delete_samples_every,
            delete_samples.delete_old_samples,
        ),
    )
    triggers = Triggers(
        routes=ROUTES, events=EVENTS, commands=COMMANDS, timers=timers, swept=(POLICIES,),
        alerts=ALERTS,
    )  # fmt: skip
    return bind(triggers, app)
