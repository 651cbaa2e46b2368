"""Routes, messages, timers and orchestrations of health: protocol in, use case, protocol out."""

from collections.abc import Mapping
from typing import Final

import azure.durable_functions as df

from function_apps.health.activities import ACTIVITIES
from function_apps.health.orchestrations import ORCHESTRATIONS
from function_apps.health.ports import HealthApp
from function_apps.health.repository import EVALUATE, TARGETS
from function_apps.health.resources import raised_alerts
from function_apps.health.use_cases import ask_providers, queries, sweep
from function_apps.health.use_cases.abandon_operation import abandon_operation
from function_apps.health.use_cases.delete_objective import delete_objective
from function_apps.health.use_cases.evaluate_gate import evaluate_gate
from function_apps.health.use_cases.record_deployment import record_deployment
from function_apps.health.use_cases.record_inventory import record_inventory
from function_apps.health.use_cases.record_probe import PROBE
from function_apps.health.use_cases.set_objective import set_objective
from function_apps.health.use_cases.watch_release import watch_release
from shared.contracts.catalog import RuntimeInventoryUpdated
from shared.contracts.deployments import (
    RuntimeDeploymentCancelled,
    RuntimeDeploymentCompleted,
    RuntimeDeploymentFailed,
    RuntimeDeploymentRolledBack,
)
from shared.contracts.gates import EvaluateGate
from shared.contracts.health import (
    ServiceHealth,
    ServiceObjective,
    SetObjective,
    WatchRelease,
)
from shared.messaging.dispatcher import HandlerTable
from shared.triggers.service_triggers import Timer, Triggers, bind
from shared.web.administration import AlertSource, OperationControl
from shared.web.collection import PAGED, answer_page, asked_top
from shared.web.request import Answer, Request, answered, ok
from shared.web.routes import delete, get, put

READ: Final = "runtime.health.read"
WRITE: Final = "runtime.health.write"
SAMPLES_TOP_MAX: Final = 1000
"""Of one page of samples, which are small rows of a table."""
_ROOT: Final = "v1/runtime/services/{serviceId}/health"
_SLO: Final = "v1/runtime/services/{serviceId}/slo"


async def get_service_health(request: Request[None], app: HealthApp) -> Answer:
    """Answer the health of a service, its checks, and the time of its last change."""
    return ok(await queries.get_health(request.path["serviceId"], request.ctx, app))


async def get_service_health_history(request: Request[None], app: HealthApp) -> Answer:
    """Answer the samples of the last 30 days, newest first."""
    samples, continuation = await queries.get_history(
        request.path["serviceId"],
        request.ctx,
        app,
        limit=asked_top(request, SAMPLES_TOP_MAX),
        continuation=request.query.get("continuation"),
    )
    return answer_page(request, samples, continuation)


async def get_service_slo(request: Request[None], app: HealthApp) -> Answer:
    """Answer the objective of a service, and how fast its error budget burns."""
    objective, etag = await queries.get_objective(request.path["serviceId"], request.ctx, app)
    # The burn rates change without a write of the objective.
    return ok(objective, etag=etag, is_composite=True)


async def put_service_slo(request: Request[SetObjective], app: HealthApp) -> Answer:
    """Set the objective of a service; its burn rates raise and clear alerts from then on."""
    service_id = request.path["serviceId"]
    outcome = await set_objective(service_id, request.body, request.ctx, app)
    objective, etag = await queries.get_objective(service_id, request.ctx, app)
    return ok(objective, etag=etag, is_composite=True, is_repeat=outcome.is_repeat)


async def delete_service_slo(request: Request[None], app: HealthApp) -> Answer:
    """Delete the objective of a service, with the alerts of its burn rates; answer what it was."""
    return answered(await delete_objective(request.path["serviceId"], request.ctx, app))


ROUTES: Final = (
    get(_ROOT, get_service_health, READ, answer=ServiceHealth),
    get(_SLO, get_service_slo, READ, answer=ServiceObjective),
    put(_SLO, put_service_slo, WRITE, body=SetObjective, answer=ServiceObjective, status=200),
    delete(_SLO, delete_service_slo, WRITE, answer=ServiceObjective, status=200),
    get(f"{_ROOT}/history", get_service_health_history, READ, query=PAGED),
)
EVENTS: Final[HandlerTable] = {
    RuntimeDeploymentCompleted: record_deployment,
    RuntimeDeploymentRolledBack: record_deployment,
    RuntimeDeploymentFailed: record_deployment,
    RuntimeDeploymentCancelled: record_deployment,
    RuntimeInventoryUpdated: record_inventory,
}
COMMANDS: Final[HandlerTable] = {EvaluateGate: evaluate_gate, WatchRelease: watch_release}
CONTROLS: Final[Mapping[str, OperationControl]] = {
    EVALUATE.name: OperationControl(
        "a gate ends with its deployment; cancel the deployment", abandon_operation
    ),
}
ALERTS: Final = (AlertSource(TARGETS, raised_alerts),)


def blueprint(app: HealthApp) -> df.Blueprint:
    """Bind this service's triggers to *app*; nothing is bound at import."""
    timers = (
        Timer(PROBE, app.rules.probing.sweep, sweep.probe_due_services),
        Timer(
            ask_providers.MEASURE,
            app.rules.measure_every,
            ask_providers.ask_providers,
        ),
        Timer(sweep.DELETE_SAMPLES, app.rules.delete_samples_every, sweep.delete_old_samples),
    )
    triggers = Triggers(
        routes=ROUTES,
        events=EVENTS,
        commands=COMMANDS,
        orchestrations=ORCHESTRATIONS,
        activities=ACTIVITIES,
        controls=CONTROLS,
        timers=timers,
        swept=(TARGETS,),
        alerts=ALERTS,
    )
    return bind(triggers, app)
