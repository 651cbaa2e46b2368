"""Routes and messages of tenants: protocol in, use case, protocol out."""

from typing import Final

import azure.durable_functions as df

from function_apps.tenants.ports import TenantsApp
from function_apps.tenants.repository import BINDINGS
from function_apps.tenants.resources import binding_resource, raised_alerts
from function_apps.tenants.use_cases import prove_isolation, queries
from function_apps.tenants.use_cases.advance_move import advance_move
from function_apps.tenants.use_cases.bind_tenant import bind_tenant
from function_apps.tenants.use_cases.move_tenant import move_tenant
from function_apps.tenants.use_cases.record_environment import record_environment, record_status
from function_apps.tenants.use_cases.record_relocation import record_relocation
from function_apps.tenants.use_cases.record_tenant import record_tenant
from function_apps.tenants.use_cases.suspension import resume_tenant, suspend_tenant
from function_apps.tenants.use_cases.unbind_tenant import unbind_tenant
from shared.contracts.deployments import (
    RuntimeDeploymentCancelled,
    RuntimeDeploymentCompleted,
    RuntimeDeploymentFailed,
    RuntimeDeploymentRolledBack,
)
from shared.contracts.environments import (
    RuntimeEnvironmentDecommissioned,
    RuntimeEnvironmentFailed,
    RuntimeEnvironmentProvisioned,
    RuntimeEnvironmentStatusChanged,
)
from shared.contracts.tenants import (
    AdvanceMove,
    BindingMove,
    BindTenant,
    ErasureReport,
    IsolationProofs,
    MoveTenant,
    RuntimeTenantBinding,
    SigningKeySet,
    Suspension,
    TenantBindingStatus,
    TenantProvisioned,
    UnbindTenant,
)
from shared.contracts.validation import read
from shared.contracts.values import IsolationModel, Stage
from shared.kernel.ids import parse_id
from shared.messaging.dispatcher import HandlerTable
from shared.messaging.unit_of_work import Json, Outcome
from shared.triggers.service_triggers import Timer, Triggers, bind
from shared.web.administration import AlertSource
from shared.web.collection import Collection, answer_page, asked_top
from shared.web.request import Answer, Request, answered, created, ok
from shared.web.routes import delete, get, post

READ: Final = "runtime.tenants.read"
WRITE: Final = "runtime.tenants.write"
_ROOT: Final = "v1/runtime/tenant-bindings"
_ONE: Final = f"{_ROOT}/{{tenantBindingId}}"
_UNBINDING: Final = ("confirm", "reason", "tenantId")
_WHOSE: Final = ("tenantId",)
LIST: Final = Collection(
    BINDINGS,
    {
        "environmentId": "environment_id",
        "status": "status",
        "stage": "stage",
        "isolationModel": "isolation_model",
    },
    choices={"status": TenantBindingStatus, "stage": Stage, "isolationModel": IsolationModel},
)


async def post_tenant_binding(request: Request[BindTenant], app: TenantsApp) -> Answer:
    """Bind a tenant to an environment; its isolation is made then, and makes it Enforced.

    With `dryRun`, answer the binding as it would be.
    """
    outcome = await bind_tenant(request.body, request.ctx, app)
    if request.body.dry_run:
        return answered(outcome)
    location = f"/{_ROOT}/{outcome.value['bindingId']}"
    return created(outcome.value, location, is_repeat=outcome.is_repeat)


async def get_tenant_bindings(request: Request[None], app: TenantsApp) -> Answer:
    """List the tenant's bindings; of an environment of its own (`environmentId`) all tenants'."""
    found = await queries.list_own_bindings(
        request.query.get("environmentId"),
        request.ctx,
        app,
        limit=asked_top(request),
        continuation=request.query.get("continuation"),
    )
    if found is None:
        return await LIST.answer(request, app.service.store, binding_resource)
    bindings, continuation = found
    return answer_page(request, LIST.fitting(request, bindings), continuation)


async def get_tenant_binding(request: Request[None], app: TenantsApp) -> Answer:
    """Answer one binding with its etag; the environment's owner names its `tenantId`."""
    resource, etag = await queries.get_binding(*_named(request), request.ctx, app)
    return ok(resource, etag=etag)


async def delete_tenant_binding(request: Request[None], app: TenantsApp) -> Answer:
    """Unbind; `confirm=<tenant>` is needed. The binding is Unbound when nothing of it is left."""
    identity = request.path["tenantBindingId"]
    parse_id(identity, "tb")
    given = {name: request.query[name] for name in _UNBINDING if name in request.query}
    command = read(UnbindTenant, {"bindingId": identity, **given})
    return _changed(await unbind_tenant(command, request.ctx, app), status=202)


async def post_tenant_binding_suspend(request: Request[Suspension], app: TenantsApp) -> Answer:
    """Suspend a tenant: it deploys nothing and binds no secret until it is resumed."""
    identity = request.path["tenantBindingId"]
    return _changed(await suspend_tenant(identity, request.body, request.ctx, app))


async def post_tenant_binding_resume(request: Request[Suspension], app: TenantsApp) -> Answer:
    """Resume a tenant that was suspended."""
    identity = request.path["tenantBindingId"]
    return _changed(await resume_tenant(identity, request.body, request.ctx, app))


async def post_tenant_binding_move(request: Request[BindingMove], app: TenantsApp) -> Answer:
    """Move a tenant to another model of isolation; the model that it comes from takes it back.

    With `dryRun`, answer the binding as it would be.
    """
    identity, content = request.path["tenantBindingId"], request.body.model_dump(by_alias=True)
    parse_id(identity, "tb")
    command = read(MoveTenant, {"bindingId": identity, **content})
    outcome = await move_tenant(command, request.ctx, app)
    return answered(outcome) if command.dry_run else _changed(outcome, status=202)


async def get_tenant_binding_proofs(request: Request[None], app: TenantsApp) -> Answer:
    """Answer what the last look at what isolates the tenant showed, layer by layer."""
    return ok(await queries.get_proofs(*_named(request), request.ctx, app))


async def get_tenant_binding_erasure_report(request: Request[None], app: TenantsApp) -> Answer:
    """Answer what became of all that the tenant had there, signed, once it is Unbound."""
    return ok(await queries.get_erasure_report(*_named(request), request.ctx, app))


async def get_erasure_keys(_request: Request[None], app: TenantsApp) -> Answer:
    """Answer the public keys of erasure reports, by which anybody verifies one without us."""
    return ok(await queries.get_erasure_keys(app))


def _named(request: Request[None]) -> tuple[str, str | None]:
    """Return the id of the binding, and whose it is where that is not the caller."""
    return request.path["tenantBindingId"], request.query.get("tenantId")


def _changed(outcome: Outcome[Json], *, status: int = 200) -> Answer:
    return answered(outcome, status=status, location=f"/{_ROOT}/{outcome.value['bindingId']}")


ROUTES: Final = (
    post(
        _ROOT, post_tenant_binding, WRITE, body=BindTenant, status=201,
        answer=RuntimeTenantBinding, also={200: RuntimeTenantBinding},
    ),
    get(_ROOT, get_tenant_bindings, READ, query=LIST.parameters),
    get(_ONE, get_tenant_binding, READ, query=_WHOSE, answer=RuntimeTenantBinding),
    delete(
        _ONE, delete_tenant_binding, WRITE, query=_UNBINDING,
        answer=RuntimeTenantBinding,
    ),
    post(
        f"{_ONE}/suspend", post_tenant_binding_suspend, WRITE, body=Suspension, status=200,
        answer=RuntimeTenantBinding,
    ),
    post(
        f"{_ONE}/resume", post_tenant_binding_resume, WRITE, body=Suspension, status=200,
        answer=RuntimeTenantBinding,
    ),
    post(
        f"{_ONE}/move", post_tenant_binding_move, WRITE, body=BindingMove, status=202,
        answer=RuntimeTenantBinding, also={200: RuntimeTenantBinding},
    ),
    get(
        f"{_ONE}/proofs", get_tenant_binding_proofs, READ, query=_WHOSE,
        answer=IsolationProofs,
    ),
    get(
        f"{_ONE}/erasure-report", get_tenant_binding_erasure_report, READ, query=_WHOSE,
        answer=ErasureReport,
    ),
    get("v1/runtime/erasure-keys", get_erasure_keys, READ, answer=SigningKeySet),
)  # fmt: skip
EVENTS: Final[HandlerTable] = {
    RuntimeEnvironmentProvisioned: record_environment,
    RuntimeEnvironmentDecommissioned: record_environment,
    RuntimeEnvironmentStatusChanged: record_status,
    RuntimeEnvironmentFailed: record_status,
    RuntimeDeploymentCompleted: record_relocation,
    RuntimeDeploymentRolledBack: record_relocation,
    RuntimeDeploymentFailed: record_relocation,
    RuntimeDeploymentCancelled: record_relocation,
    TenantProvisioned: record_tenant,
}
COMMANDS: Final[HandlerTable] = {
    BindTenant: bind_tenant,
    MoveTenant: move_tenant,
    AdvanceMove: advance_move,
    UnbindTenant: unbind_tenant,
}
ALERTS: Final = (AlertSource(BINDINGS, raised_alerts),)


def blueprint(app: TenantsApp) -> df.Blueprint:
    """Bind this service's triggers to *app*; nothing is bound at import."""
    prove = prove_isolation.PROVE
    timer = Timer(prove, app.rules.prove_every, prove_isolation.prove_isolation)
    triggers = Triggers(
        routes=ROUTES, events=EVENTS, commands=COMMANDS, timers=(timer,), swept=(BINDINGS,),
        alerts=ALERTS,
    )  # fmt: skip
    return bind(triggers, app)
