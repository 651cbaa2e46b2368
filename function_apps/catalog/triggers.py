"""Routes, messages and timers of catalog: protocol in, use case, protocol out."""

from datetime import datetime
from typing import Final

import azure.durable_functions as df
import azure.functions as func

from function_apps.catalog import model, use_cases
from function_apps.catalog.ports import CatalogApp
from shared.binding import Triggers, bind
from shared.contracts.catalog import (
    RecordRelease,
    RetireService,
    RuntimeService,
    ServiceDependencies,
)
from shared.contracts.deployments import (
    RuntimeDeploymentCancelled,
    RuntimeDeploymentCompleted,
    RuntimeDeploymentFailed,
    RuntimeDeploymentRolledBack,
)
from shared.contracts.environments import (
    RuntimeEnvironmentDecommissioned,
    RuntimeEnvironmentProvisioned,
)
from shared.durable.binding import CLIENT
from shared.kernel.clock import parse_instant
from shared.kernel.errors import Invalid, NotFound, Violation
from shared.kernel.ids import EnvironmentId, ModuleId, TenantId, parse_id
from shared.kernel.scope import PlatformScope
from shared.messaging.dispatcher import HandlerTable
from shared.persistence.store import Comparison, Where
from shared.surfaces.reading import Present, Unknown
from shared.surfaces.spec import Component
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
    """List services, filtered by what stands in the query."""
    filters = [
        Where(_FILTERS[name], Comparison.EQ, value)
        for name, value in request.query.items()
        if name in _FILTERS
    ]
    named = request.query.get("environmentId")
    page = await use_cases.find_services(
        filters,
        environment=parse_id(named, "env").environment if named else None,
        limit=request.number("top", 50, least=1, most=200),
        continuation=request.query.get("continuation"),
        scope=request.scope,
        app=app,
    )
    value = [use_cases.resource(model.from_body(each.body)) for each in page.documents]
    return ok(
        {
            "value": [each.model_dump(mode="json", by_alias=True) for each in value],
            "nextLink": request.next_link(page.continuation),
        }
    )


async def get_service(request: Request[None], app: CatalogApp) -> Answer:
    """Answer one service; `asOf` and `knownAt` look into the past, and into what was known then."""
    identity = request.path["serviceId"]
    if "asOf" not in request.query and "knownAt" not in request.query:
        document = await use_cases.get_service(identity, scope=request.scope, app=app)
        return ok(use_cases.resource(model.from_body(document.body)), etag=document.etag)
    now = app.service.clock.now()
    as_of, known_at = (
        _instant(request.query[name], name) if name in request.query else now
        for name in ("asOf", "knownAt")
    )
    service = await use_cases.get_service_at(
        identity, as_of, known_at, scope=request.scope, app=app
    )
    return ok(use_cases.resource(service))


async def get_service_history(request: Request[None], app: CatalogApp) -> Answer:
    """Answer every recorded fact of a service, oldest first, each with its cause."""
    rows = await use_cases.get_history(request.path["serviceId"], scope=request.scope, app=app)
    ends = [row.valid_from for row in rows[1:]] + [None]
    value = [use_cases.history_row(row, end) for row, end in zip(rows, ends, strict=True)]
    return ok({"value": value, "nextLink": None})


async def get_service_dependencies(request: Request[None], app: CatalogApp) -> Answer:
    """Answer what a service needs and what needs it."""
    return ok(
        await use_cases.get_dependencies(request.path["serviceId"], scope=request.scope, app=app)
    )


async def get_service_logs(request: Request[None], app: CatalogApp) -> Answer:
    """Answer the last lines that one instance wrote."""
    document = await use_cases.get_service(request.path["serviceId"], scope=request.scope, app=app)
    service = model.from_body(document.body)
    instance = request.query.get("instance") or next(
        (str(each["name"]) for each in service.instances), ""
    )
    component = Component(
        EnvironmentId(service.environment_id),
        TenantId(service.tenant_id),
        ModuleId(service.module_id),
    )
    tail = request.number("tail", 100, least=1, most=1000)
    reading = await app.surface.logs(component, instance, tail)
    if isinstance(reading, Present):
        return ok({"instance": instance, "lines": list(reading.value)})
    reason = reading.reason if isinstance(reading, Unknown) else "no such instance"
    raise NotFound(f"no log of instance {instance!r}: {reason}")


def _instant(text: str, name: str) -> datetime:
    try:
        return parse_instant(text)
    except ValueError as problem:
        expected = "an ISO 8601 instant with Z or an offset"
        raise Invalid(
            f"{name}: expected {expected}, got {text[:40]!r}",
            target=name,
            details=[Violation("InvalidInstant", name, str(problem), expected, text[:40])],
        ) from problem


_LIST: Final = (*_FILTERS, "environmentId", "top", "continuation")
ROUTES: Final = (
    get(_ROOT, get_services, READ, query=_LIST),
    get(_ONE, get_service, READ, query=("asOf", "knownAt"), answer=RuntimeService),
    get(f"{_ONE}/history", get_service_history, READ),
    get(f"{_ONE}/dependencies", get_service_dependencies, READ, answer=ServiceDependencies),
    get(f"{_ONE}/logs", get_service_logs, READ, query=("instance", "tail")),
)
EVENTS: Final[HandlerTable] = {
    RuntimeDeploymentCompleted: use_cases.note_deployment_ended,
    RuntimeDeploymentRolledBack: use_cases.note_deployment_ended,
    RuntimeDeploymentFailed: use_cases.note_deployment_ended,
    RuntimeDeploymentCancelled: use_cases.note_deployment_ended,
    RuntimeEnvironmentProvisioned: use_cases.note_environment,
    RuntimeEnvironmentDecommissioned: use_cases.note_environment,
}
COMMANDS: Final[HandlerTable] = {
    RecordRelease: use_cases.record_release,
    RetireService: use_cases.retire_service,
}


def blueprint(app: CatalogApp) -> df.Blueprint:
    """Bind this service's triggers to *app*; nothing is bound at import."""
    bound = bind(Triggers(ROUTES, EVENTS, COMMANDS), app, app.service)

    @bound.function_name("catalog_observe_due")
    @bound.timer_trigger(arg_name="_timer", schedule="*/5 * * * * *")
    @bound.durable_client_input(client_name=CLIENT)
    async def catalog_observe_due(
        _timer: func.TimerRequest, client: df.DurableOrchestrationClient
    ) -> None:
        app.service.hub.attach(client)
        await use_cases.observe_due(app, PlatformScope("timer:catalog_observe_due"))

    return bound
