"""Routes, messages and timers of catalog: protocol in, use case, protocol out."""

from datetime import datetime
from typing import Final

import azure.durable_functions as df
import azure.functions as func

from function_apps.catalog.ports import CatalogApp
from function_apps.catalog.use_cases import (
    queries,
    reconcile_inventory,
    record_environment,
    record_release,
)
from shared.contracts.catalog import (
    RecordRelease,
    RetireService,
    RuntimeService,
    ServiceDependencies,
)
from shared.contracts.deployments import (
    RuntimeDeploymentCompleted,
    RuntimeDeploymentRolledBack,
)
from shared.contracts.environments import (
    RuntimeEnvironmentDecommissioned,
    RuntimeEnvironmentProvisioned,
)
from shared.kernel.clock import parse_instant
from shared.kernel.errors import Invalid, Violation
from shared.kernel.schedules import ncrontab
from shared.kernel.scope import PlatformScope
from shared.messaging.dispatcher import HandlerTable
from shared.triggers.durable_triggers import CLIENT
from shared.triggers.service_triggers import Triggers, bind
from shared.web.request import Answer, Request, ok
from shared.web.routes import get

READ: Final = "runtime.services.read"
_ROOT: Final = "v1/runtime/services"
_ONE: Final = f"{_ROOT}/{{serviceId}}"
_FILTERS: Final = {
    "moduleId": "module_id",
    "status": "status",
    "computeTarget": "compute_target",
    "version": "version",
    "owner": "owner",
}


async def get_services(request: Request[None], app: CatalogApp) -> Answer:
    """Answer a page of the tenant's services, filtered by the query."""
    page = await queries.list_services(
        {_FILTERS[name]: value for name, value in request.query.items() if name in _FILTERS},
        environment=request.query.get("environmentId"),
        limit=request.number("top", 50, least=1, most=200),
        continuation=request.query.get("continuation"),
        scope=request.scope,
        app=app,
    )
    value = [service.model_dump(mode="json", by_alias=True) for service in page.services]
    return ok({"value": value, "nextLink": request.next_link(page.continuation)})


async def get_service(request: Request[None], app: CatalogApp) -> Answer:
    """Answer one service, now or at `asOf` as it was known at `knownAt`."""
    identity = request.path["serviceId"]
    if "asOf" not in request.query and "knownAt" not in request.query:
        service, etag = await queries.get_service(identity, scope=request.scope, app=app)
        return ok(service, etag=etag)
    now = app.service.clock.now()
    as_of, known_at = (
        _instant(request.query[name], name) if name in request.query else now
        for name in ("asOf", "knownAt")
    )
    return ok(await queries.get_service_at(identity, as_of, known_at, scope=request.scope, app=app))


async def get_service_history(request: Request[None], app: CatalogApp) -> Answer:
    """Answer the history of a service, oldest first, each row with its cause."""
    value, continuation = await queries.get_history(
        request.path["serviceId"],
        limit=request.number("top", 100, least=1, most=200),
        continuation=request.query.get("continuation"),
        scope=request.scope,
        app=app,
    )
    return ok({"value": list(value), "nextLink": request.next_link(continuation)})


async def get_service_dependencies(request: Request[None], app: CatalogApp) -> Answer:
    """Answer the services that it depends on, and those that depend on it."""
    return ok(
        await queries.get_dependencies(request.path["serviceId"], scope=request.scope, app=app)
    )


async def get_service_logs(request: Request[None], app: CatalogApp) -> Answer:
    """Answer the last lines in the log of one instance."""
    instance, lines = await queries.get_logs(
        request.path["serviceId"],
        instance=request.query.get("instance"),
        tail=request.number("tail", 100, least=1, most=1000),
        scope=request.scope,
        app=app,
    )
    return ok({"instance": instance, "lines": list(lines)})


def _instant(text: str, name: str) -> datetime:
    try:
        return parse_instant(text)
    except (ValueError, OverflowError) as problem:
        expected = "an ISO 8601 instant with Z or an offset"
        raise Invalid(
            f"{name}: expected {expected}, got {text[:40]!r}",
            target=name,
            details=[Violation("InvalidInstant", name, str(problem), expected, text[:40])],
        ) from problem


_PAGED: Final = ("top", "continuation")
ROUTES: Final = (
    get(_ROOT, get_services, READ, query=(*_FILTERS, "environmentId", *_PAGED)),
    get(_ONE, get_service, READ, query=("asOf", "knownAt"), answer=RuntimeService),
    get(f"{_ONE}/history", get_service_history, READ, query=_PAGED),
    get(f"{_ONE}/dependencies", get_service_dependencies, READ, answer=ServiceDependencies),
    get(f"{_ONE}/logs", get_service_logs, READ, query=("instance", "tail")),
)
EVENTS: Final[HandlerTable] = {
    RuntimeDeploymentCompleted: record_release.on_deployment_ended,
    RuntimeDeploymentRolledBack: record_release.on_deployment_ended,
    RuntimeEnvironmentProvisioned: record_environment.record_environment,
    RuntimeEnvironmentDecommissioned: record_environment.record_environment,
}
COMMANDS: Final[HandlerTable] = {
    RecordRelease: record_release.record_release,
    RetireService: record_release.retire_service,
}


def blueprint(app: CatalogApp) -> df.Blueprint:
    """Bind this service's triggers to *app*; nothing is bound at import."""
    bound = bind(Triggers(ROUTES, EVENTS, COMMANDS), app, app.service)

    @bound.function_name("catalog_observe_due")
    @bound.timer_trigger(arg_name="_timer", schedule=ncrontab(app.rules.sweep), use_monitor=False)
    @bound.durable_client_input(client_name=CLIENT)
    async def catalog_observe_due(
        _timer: func.TimerRequest, client: df.DurableOrchestrationClient
    ) -> None:
        """Scan the environments that are due; a missed tick is made up for by the next."""
        app.service.hub.attach(client)
        await reconcile_inventory.reconcile_due(app, PlatformScope("timer:catalog_observe_due"))

    return bound
