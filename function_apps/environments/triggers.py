"""Routes, messages and orchestrations of environments: protocol in, use case, protocol out."""

from collections.abc import Mapping
from typing import Any, Final

import azure.durable_functions as df

from function_apps.environments.activities import ACTIVITIES
from function_apps.environments.model import documents, telling
from function_apps.environments.orchestrations import ORCHESTRATIONS
from function_apps.environments.ports import EnvironmentsApp
from function_apps.environments.use_cases import dossier, planning, reading, requests, signals
from shared.binding import Triggers, bind
from shared.contracts.deployments import RuntimeEnvironmentDrained
from shared.contracts.environments import (
    DecommissionEnvironment,
    Environment,
    EnvironmentChange,
    EnvironmentPlan,
    ProvisionEnvironment,
    UpdateEnvironment,
)
from shared.contracts.validation import read
from shared.kernel.ids import OperationId, parse_id
from shared.messaging.dispatcher import HandlerTable
from shared.messaging.unit_of_work import Outcome
from shared.web.request import Answer, Request, accepted, ok
from shared.web.routes import delete, get, post, put

READ: Final = "runtime.environments.read"
WRITE: Final = "runtime.environments.write"
_ROOT: Final = "v1/runtime/environments"
_ONE: Final = f"{_ROOT}/{{environmentId}}"


async def post_environment(request: Request[ProvisionEnvironment], app: EnvironmentsApp) -> Answer:
    """Request an environment; with `dryRun`, answer the plan and change nothing."""
    if request.body.dry_run:
        plan = await planning.plan_request(
            request.body, scope=request.scope, cause=request.cause, app=app
        )
        return ok(plan)
    return _accepted(
        await requests.provision_environment(
            request.body, scope=request.scope, cause=request.cause, app=app
        )
    )


async def get_environments(request: Request[None], app: EnvironmentsApp) -> Answer:
    """List the tenant's environments."""
    names = {"projectId": "project_id", "stage": "stage", "status": "status", "name": "name"}
    page = await reading.list_environments(
        {names[key]: value for key, value in request.query.items() if key in names},
        limit=request.number("top", 50, least=1, most=200),
        continuation=request.query.get("continuation"),
        scope=request.scope,
        app=app,
    )
    value = [telling.resource(documents.from_body(each.body)) for each in page.documents]
    return ok(
        {
            "value": [each.model_dump(mode="json", by_alias=True) for each in value],
            "nextLink": request.next_link(page.continuation),
        }
    )


async def get_environment(request: Request[None], app: EnvironmentsApp) -> Answer:
    """Answer one environment with its etag."""
    document = await dossier.load_document(
        request.path["environmentId"], scope=request.scope, app=app
    )
    return ok(telling.resource(documents.from_body(document.body)), etag=document.etag)


async def put_environment(request: Request[EnvironmentChange], app: EnvironmentsApp) -> Answer:
    """Apply other content; with `dryRun`, answer the plan and change nothing."""
    said = request.body.model_dump(by_alias=True)
    command = read(UpdateEnvironment, {**said, "environmentId": _identity(request)})
    if command.dry_run:
        plan = await planning.plan_update(command, scope=request.scope, app=app)
        return ok(plan)
    return _accepted(
        await requests.update_environment(
            command, scope=request.scope, cause=request.cause, app=app
        )
    )


async def post_environment_plan(request: Request[None], app: EnvironmentsApp) -> Answer:
    """Answer what applying the environment as it is described would do."""
    environment = await dossier.load(request.path["environmentId"], scope=request.scope, app=app)
    return ok(await planning.plan_environment(environment, app))


async def delete_environment(request: Request[None], app: EnvironmentsApp) -> Answer:
    """Decommission; a protected environment needs `confirm=<name>`."""
    retain = request.query.get("retain", "")
    command = read(
        DecommissionEnvironment,
        {
            "environmentId": _identity(request),
            "confirm": request.query.get("confirm"),
            "retain": [name for name in retain.split(",") if name],
        },
    )
    return _accepted(
        await requests.decommission_environment(
            command, scope=request.scope, cause=request.cause, app=app
        )
    )


def _identity(request: Request[Any]) -> str:
    """Return the id in the path, so that a malformed one names nothing rather than is invalid."""
    identity = request.path["environmentId"]
    parse_id(identity, "env")
    return identity


def _accepted(outcome: Outcome) -> Answer:
    environment = outcome.result["environment"]
    return accepted(
        environment,
        OperationId(outcome.result["operationId"]),
        f"/{_ROOT}/{environment['environmentId']}",
        is_repeat=outcome.is_repeat,
    )


_LIST: Final = ("projectId", "stage", "status", "name", "top", "continuation")
_PLANNED: Final[Mapping[str, Any]] = {"answer": Environment, "also": {200: EnvironmentPlan}}
ROUTES: Final = (
    post(_ROOT, post_environment, WRITE, body=ProvisionEnvironment, **_PLANNED),
    get(_ROOT, get_environments, READ, query=_LIST),
    get(_ONE, get_environment, READ, answer=Environment),
    put(_ONE, put_environment, WRITE, body=EnvironmentChange, **_PLANNED),
    delete(_ONE, delete_environment, WRITE, query=("confirm", "retain"), answer=Environment),
    post(f"{_ONE}/plan", post_environment_plan, READ, status=200, answer=EnvironmentPlan),
)
EVENTS: Final[HandlerTable] = {RuntimeEnvironmentDrained: signals.note_environment_drained}
COMMANDS: Final[HandlerTable] = {
    ProvisionEnvironment: requests.provision_environment,
    UpdateEnvironment: requests.update_environment,
    DecommissionEnvironment: requests.decommission_environment,
}


def blueprint(app: EnvironmentsApp) -> df.Blueprint:
    """Bind this service's triggers to *app*; nothing is bound at import."""
    triggers = Triggers(ROUTES, EVENTS, COMMANDS, ORCHESTRATIONS, ACTIVITIES)
    return bind(triggers, app, app.service)
