"""Routes, messages and timers of catalog: protocol in, use case, protocol out."""

from datetime import datetime
from typing import Final

import azure.durable_functions as df

from function_apps.catalog import repository
from function_apps.catalog.ports import CatalogApp
from function_apps.catalog.repository import SCANS, SERVICES
from function_apps.catalog.use_cases import (
    queries,
    query_history,
    remove_retired,
    scan_environments,
)
from function_apps.catalog.use_cases.record_deployment import record_deployment
from function_apps.catalog.use_cases.record_environment import record_environment
from function_apps.catalog.use_cases.record_release import record_release
from function_apps.catalog.use_cases.record_scaling_policy import record_scaling_policy
from function_apps.catalog.use_cases.retire_service import retire_service
from shared.contracts.catalog import (
    LiveProperties,
    RecordRelease,
    RetireService,
    RuntimeService,
    ServiceDependencies,
    ServiceStatus,
)
from shared.contracts.deployments import (
    RuntimeDeploymentCompleted,
    RuntimeDeploymentRolledBack,
)
from shared.contracts.environments import (
    RuntimeEnvironmentDecommissioned,
    RuntimeEnvironmentProvisioned,
)
from shared.contracts.scaling import ScalingPolicyApplied
from shared.contracts.values import ComputeTargetKind
from shared.kernel.clock import parse_instant
from shared.kernel.errors import Invalid, Violation
from shared.kernel.ids import ModuleId, module_key
from shared.kernel.ids import service_id as service_id_of
from shared.messaging.dispatcher import HandlerTable
from shared.messaging.removal import REMOVE_EVERY
from shared.persistence.store import Partition, Prefix, partition_of
from shared.triggers.service_triggers import Timer, Triggers, bind
from shared.web.collection import PAGED, Collection, answer_page, asked_top
from shared.web.request import Answer, Request, ok
from shared.web.routes import get

READ: Final = "runtime.services.read"
_ROOT: Final = "v1/runtime/services"
_ONE: Final = f"{_ROOT}/{{serviceId}}"
LIST: Final = Collection(
    SERVICES,
    {
        "moduleId": "module_id",
        "status": "status",
        "computeTarget": "compute_target",
        "version": "version",
        "owner": "owner",
    },
    choices={"status": ServiceStatus, "computeTarget": ComputeTargetKind},
)


async def get_services(request: Request[None], app: CatalogApp) -> Answer:
    """Answer a page of the tenant's services, filtered by the query."""
    page = await LIST.page(request, app.service.store, _within(request))
    resources = await queries.to_resources(page.documents, request.ctx, app)
    return answer_page(request, list(resources.values()), page.continuation)


def _within(request: Request[None]) -> Partition | Prefix:
    """Return where to look: of a module in an environment there is one service at most."""
    tenant, key = request.ctx.tenant, request.environment()
    module = request.query.get("moduleId")
    if key is None or module is None:
        return Prefix(tenant, key)
    return partition_of(tenant, service_id_of(key, module_key(tenant, ModuleId(module))))


async def get_service(request: Request[None], app: CatalogApp) -> Answer:
    """Answer one service, now or at `asOf` as it was known at `knownAt`."""
    service_id, ctx = request.path["serviceId"], request.ctx
    if "asOf" not in request.query and "knownAt" not in request.query:
        document = await repository.load_document(service_id, ctx, app)
        resources = await queries.to_resources([document], ctx, app)
        # A scan without differences moves `lastObservedAt`, not the service's own etag.
        return ok(resources[service_id], etag=document.etag, is_composite=True)
    as_of, known_at = (
        _instant(request.query[name], name) if name in request.query else ctx.now()
        for name in ("asOf", "knownAt")
    )
    return ok(await query_history.get_service_at(service_id, as_of, known_at, ctx, app))


async def get_service_history(request: Request[None], app: CatalogApp) -> Answer:
    """Answer the history of a service, oldest first, each row with its cause."""
    value, continuation = await query_history.get_history(
        request.path["serviceId"],
        request.ctx,
        app,
        limit=asked_top(request),
        continuation=request.query.get("continuation"),
    )
    return answer_page(request, value, continuation)


async def get_service_dependencies(request: Request[None], app: CatalogApp) -> Answer:
    """Answer the services that it depends on, and those that depend on it."""
    return ok(await queries.get_dependencies(request.path["serviceId"], request.ctx, app))


async def get_service_live(request: Request[None], app: CatalogApp) -> Answer:
    """Answer what the service is on its surface, read now."""
    return ok(await queries.get_live_properties(request.path["serviceId"], request.ctx, app))


async def get_service_logs(request: Request[None], app: CatalogApp) -> Answer:
    """Answer the last lines in the log of one instance."""
    instance, lines = await queries.get_logs(
        request.path["serviceId"],
        request.ctx,
        app,
        instance=request.query.get("instance"),
        tail=request.number("tail", 100, least=1, most=1000),
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


ROUTES: Final = (
    get(_ROOT, get_services, READ, query=("environmentId", *LIST.parameters)),
    get(_ONE, get_service, READ, query=("asOf", "knownAt"), answer=RuntimeService),
    get(f"{_ONE}/history", get_service_history, READ, query=PAGED),
    get(f"{_ONE}/dependencies", get_service_dependencies, READ, answer=ServiceDependencies),
    get(f"{_ONE}/live", get_service_live, READ, answer=LiveProperties),
    get(f"{_ONE}/logs", get_service_logs, READ, query=("instance", "tail")),
)
EVENTS: Final[HandlerTable] = {
    RuntimeDeploymentCompleted: record_deployment,
    RuntimeDeploymentRolledBack: record_deployment,
    RuntimeEnvironmentProvisioned: record_environment,
    RuntimeEnvironmentDecommissioned: record_environment,
    ScalingPolicyApplied: record_scaling_policy,
}
COMMANDS: Final[HandlerTable] = {
    RecordRelease: record_release,
    RetireService: retire_service,
}


def blueprint(app: CatalogApp) -> df.Blueprint:
    """Bind this service's triggers to *app*; nothing is bound at import."""
    timers = (
        Timer(
            scan_environments.SCAN,
            app.rules.inventory.sweep,
            scan_environments.scan_due_environments,
        ),
        Timer(remove_retired.REMOVE, REMOVE_EVERY, remove_retired.remove_retired_services),
    )
    triggers = Triggers(
        routes=ROUTES, events=EVENTS, commands=COMMANDS, timers=timers, swept=(SCANS,)
    )
    return bind(triggers, app)
