"""Routes, messages and timers of health: protocol in, use case, protocol out."""

from typing import Final

import azure.durable_functions as df
import azure.functions as func

from function_apps.health.activities import ACTIVITIES
from function_apps.health.orchestrations import ORCHESTRATIONS
from function_apps.health.ports import HealthApp
from function_apps.health.use_cases import (
    evaluate_gate,
    queries,
    sweep,
    watch_release,
)
from shared.contracts.catalog import RuntimeInventoryUpdated
from shared.contracts.deployments import RuntimeDeploymentCompleted, RuntimeDeploymentRolledBack
from shared.contracts.gates import EvaluateGate
from shared.contracts.health import ServiceHealth, WatchRelease
from shared.kernel.schedules import ncrontab
from shared.kernel.scope import PlatformScope
from shared.messaging.dispatcher import HandlerTable
from shared.triggers.durable_triggers import CLIENT
from shared.triggers.service_triggers import Triggers, bind
from shared.web.request import Answer, Request, ok
from shared.web.routes import get

READ: Final = "runtime.health.read"
_ROOT: Final = "v1/runtime/services/{serviceId}/health"


async def get_service_health(request: Request[None], app: HealthApp) -> Answer:
    """Answer the health of a service, its checks, and the time of its last change."""
    return ok(await queries.get_health(request.path["serviceId"], scope=request.scope, app=app))


async def get_service_health_history(request: Request[None], app: HealthApp) -> Answer:
    """Answer the samples of the last 30 days, newest first."""
    value, continuation = await queries.get_history(
        request.path["serviceId"],
        limit=request.number("top", 100, least=1, most=1000),
        continuation=request.query.get("continuation"),
        scope=request.scope,
        app=app,
    )
    rows = [sample.model_dump(mode="json", by_alias=True) for sample in value]
    return ok({"value": rows, "nextLink": request.next_link(continuation)})


ROUTES: Final = (
    get(_ROOT, get_service_health, READ, answer=ServiceHealth),
    get(
        f"{_ROOT}/history",
        get_service_health_history,
        READ,
        query=("top", "continuation"),
    ),
)
EVENTS: Final[HandlerTable] = {
    RuntimeDeploymentCompleted: watch_release.on_deployment_ended,
    RuntimeDeploymentRolledBack: watch_release.on_deployment_ended,
    RuntimeInventoryUpdated: watch_release.on_inventory_updated,
}
COMMANDS: Final[HandlerTable] = {
    EvaluateGate: evaluate_gate.evaluate_gate,
    WatchRelease: watch_release.watch_release,
}


def blueprint(app: HealthApp) -> df.Blueprint:
    """Bind this service's triggers to *app*; nothing is bound at import."""
    triggers = Triggers(ROUTES, EVENTS, COMMANDS, ORCHESTRATIONS, ACTIVITIES)
    bound = bind(triggers, app, app.service)

    @bound.function_name("health_sweep_due")
    @bound.timer_trigger(arg_name="_timer", schedule=ncrontab(app.rules.sweep), use_monitor=False)
    @bound.durable_client_input(client_name=CLIENT)
    async def health_sweep_due(
        _timer: func.TimerRequest, client: df.DurableOrchestrationClient
    ) -> None:
        """Probe every target; a missed tick is made up for by the next."""
        app.service.hub.attach(client)
        await sweep.probe_due_services(app, PlatformScope("timer:health_sweep_due"))

    @bound.function_name("health_forget_samples")
    @bound.timer_trigger(arg_name="_timer", schedule=ncrontab(app.forget_every))
    async def health_forget_samples(_timer: func.TimerRequest) -> None:
        """Delete the samples that are past their retention."""
        await sweep.delete_old_samples(app, PlatformScope("timer:health_forget_samples"))

    return bound
