"""Routes, messages and orchestrations of environments: protocol in, use case, protocol out."""

from collections.abc import Mapping
from typing import Any, Final

import azure.durable_functions as df

from function_apps.environments.activities import ACTIVITIES
from function_apps.environments.orchestrations import ORCHESTRATIONS
from function_apps.environments.ports import EnvironmentsApp
from function_apps.environments.repository import (
    DECOMMISSION,
    ENVIRONMENTS,
    ISOLATE,
    ISOLATIONS,
    PROVISION,
    REMOVE,
    REPAIR,
    UPDATE,
)
from function_apps.environments.resources import environment_resource
from function_apps.environments.use_cases import follow_environments, queries
from function_apps.environments.use_cases import plan_environment as plans
from function_apps.environments.use_cases.abandon_operation import (
    abandon_isolation,
    abandon_operation,
)
from function_apps.environments.use_cases.decommission_environment import decommission_environment
from function_apps.environments.use_cases.provision_environment import provision_environment
from function_apps.environments.use_cases.record_drained import record_drained
from function_apps.environments.use_cases.record_tenant import record_tenant
from function_apps.environments.use_cases.repair_environment import repair_environment
from function_apps.environments.use_cases.update_environment import update_environment
from shared.contracts.deployments import RuntimeEnvironmentDrained
from shared.contracts.environments import (
    DecommissionEnvironment,
    Environment,
    EnvironmentChange,
    EnvironmentPlan,
    EnvironmentStatus,
    ProvisionEnvironment,
    RepairEnvironment,
    UpdateEnvironment,
)
from shared.contracts.tenants import RuntimeTenantBound
from shared.contracts.validation import read
from shared.contracts.values import Stage
from shared.kernel.ids import OperationId
from shared.messaging.dispatcher import HandlerTable
from shared.messaging.unit_of_work import Json, Outcome
from shared.triggers.service_triggers import Timer, Triggers, bind
from shared.web.administration import OperationControl, cooperative_cancel
from shared.web.collection import Collection
from shared.web.request import Answer, Request, accepted, ok
from shared.web.routes import delete, get, post, put

READ: Final = "runtime.environments.read"
WRITE: Final = "runtime.environments.write"
_ROOT: Final = "v1/runtime/environments"
_ONE: Final = f"{_ROOT}/{{environmentId}}"
LIST: Final = Collection(
    ENVIRONMENTS,
    {"projectId": "project_id", "stage": "stage", "status": "status", "name": "name"},
    choices={"stage": Stage, "status": EnvironmentStatus},
)


async def post_environment(request: Request[ProvisionEnvironment], app: EnvironmentsApp) -> Answer:
    """Request an environment; with `dryRun`, answer the plan and change nothing."""
    if request.body.dry_run:
        return ok(await plans.plan_request(request.body, request.ctx, app))
    return _accepted(await provision_environment(request.body, request.ctx, app))


async def get_environments(request: Request[None], app: EnvironmentsApp) -> Answer:
    """List the tenant's environments."""
    return await LIST.answer(request, app.service.store, environment_resource)


async def get_environment(request: Request[None], app: EnvironmentsApp) -> Answer:
    """Answer one environment with its etag."""
    resource, etag = await queries.get_environment(request.path["environmentId"], request.ctx, app)
    return ok(resource, etag=etag)


async def put_environment(request: Request[EnvironmentChange], app: EnvironmentsApp) -> Answer:
    """Apply other content; with `dryRun`, answer the plan and change nothing."""
    content = request.body.model_dump(by_alias=True)
    command = read(UpdateEnvironment, {**content, "environmentId": request.path["environmentId"]})
    if command.dry_run:
        return ok(await plans.plan_change(command, request.ctx, app))
    return _accepted(await update_environment(command, request.ctx, app))


async def post_environment_plan(request: Request[None], app: EnvironmentsApp) -> Answer:
    """Answer the changes that applying the environment as it is described would make."""
    return ok(await plans.plan_environment(request.path["environmentId"], request.ctx, app))


async def delete_environment(request: Request[None], app: EnvironmentsApp) -> Answer:
    """Decommission; one that is protected, prod or loses data needs `confirm=<name>`."""
    command = read(
        DecommissionEnvironment,
        {
            "environmentId": request.path["environmentId"],
            "confirm": request.query.get("confirm"),
            "retain": request.names("retain", "data resources"),
        },
    )
    return _accepted(await decommission_environment(command, request.ctx, app))


def _accepted(outcome: Outcome[Json]) -> Answer:
    environment = outcome.value["environment"]
    return accepted(
        environment,
        OperationId(outcome.value["operationId"]),
        f"/{_ROOT}/{environment['environmentId']}",
        is_repeat=outcome.is_repeat,
    )


_PLANNED: Final[Mapping[str, Any]] = {"answer": Environment, "also": {200: EnvironmentPlan}}
ROUTES: Final = (
    post(_ROOT, post_environment, WRITE, body=ProvisionEnvironment, **_PLANNED),
    get(_ROOT, get_environments, READ, query=LIST.parameters),
    get(_ONE, get_environment, READ, answer=Environment),
    put(_ONE, put_environment, WRITE, body=EnvironmentChange, **_PLANNED),
    delete(_ONE, delete_environment, WRITE, query=("confirm", "retain"), answer=Environment),
    post(f"{_ONE}/plan", post_environment_plan, READ, status=200, answer=EnvironmentPlan),
)
EVENTS: Final[HandlerTable] = {
    RuntimeEnvironmentDrained: record_drained,
    RuntimeTenantBound: record_tenant,
}
COMMANDS: Final[HandlerTable] = {
    ProvisionEnvironment: provision_environment,
    UpdateEnvironment: update_environment,
    RepairEnvironment: repair_environment,
    DecommissionEnvironment: decommission_environment,
}
CONTROLS: Final[Mapping[str, OperationControl]] = {
    PROVISION.name: OperationControl(cooperative_cancel, abandon_operation),
    UPDATE.name: OperationControl(cooperative_cancel, abandon_operation),
    REPAIR.name: OperationControl(cooperative_cancel, abandon_operation),
    DECOMMISSION.name: OperationControl(
        "resources are being deleted; when it has ended, request the environment again",
        abandon_operation,
    ),
    ISOLATE.name: OperationControl(
        "its steps end by themselves; to take the tenant away, unbind it", abandon_isolation
    ),
    REMOVE.name: OperationControl(
        "the tenant is being removed; to have it back, bind it again", abandon_isolation
    ),
}


def blueprint(app: EnvironmentsApp) -> df.Blueprint:
    """Bind this service's triggers to *app*; nothing is bound at import."""
    follow = follow_environments.FOLLOW
    timer = Timer(follow, app.rules.follow_every, follow_environments.follow_environments)
    triggers = Triggers(
        routes=ROUTES,
        events=EVENTS,
        commands=COMMANDS,
        orchestrations=ORCHESTRATIONS,
        activities=ACTIVITIES,
        controls=CONTROLS,
        timers=(timer,),
        swept=(ISOLATIONS,),
    )
    return bind(triggers, app)
