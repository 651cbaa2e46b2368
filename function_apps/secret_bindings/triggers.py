"""Routes, messages and orchestrations of secret_bindings: protocol in, use case, protocol out."""

from collections.abc import Mapping
from typing import Final

import azure.durable_functions as df

from function_apps.secret_bindings.activities import ACTIVITIES
from function_apps.secret_bindings.orchestrations import ORCHESTRATIONS
from function_apps.secret_bindings.ports import SecretBindingsApp
from function_apps.secret_bindings.repository import BIND, BINDINGS, HEADS, ROTATE, WATCHES
from function_apps.secret_bindings.resources import (
    alerts_of_rotations,
    alerts_of_watch,
    binding_resource,
)
from function_apps.secret_bindings.use_cases import queries, remove_ended, watch_secrets
from function_apps.secret_bindings.use_cases.abandon_operation import (
    abandon_binding,
    abandon_rotation,
)
from function_apps.secret_bindings.use_cases.bind_secret import bind_secret
from function_apps.secret_bindings.use_cases.binding_plan import plan_binding
from function_apps.secret_bindings.use_cases.confirm_withdrawal import confirm_withdrawal
from function_apps.secret_bindings.use_cases.prove_release import prove_release
from function_apps.secret_bindings.use_cases.record_deployment import record_deployment
from function_apps.secret_bindings.use_cases.record_environment import record_environment
from function_apps.secret_bindings.use_cases.record_secret_rollout import record_secret_rollout
from function_apps.secret_bindings.use_cases.record_tenant import record_tenant
from function_apps.secret_bindings.use_cases.revocation import revoke_binding
from function_apps.secret_bindings.use_cases.rotate_secret import rotate_secret
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
from shared.contracts.secret_bindings import (
    BindingStatus,
    BindSecret,
    Revocation,
    RotateSecret,
    SecretBinding,
    SecretBindingPlan,
    SecretRotation,
    SecretRotationOrder,
)
from shared.contracts.secret_proofs import ConfirmWithdrawal, ProveRelease
from shared.contracts.tenants import RuntimeTenantBound
from shared.contracts.validation import read
from shared.kernel.ids import OperationId, parse_id
from shared.messaging.dispatcher import HandlerTable
from shared.messaging.removal import REMOVE_EVERY
from shared.messaging.unit_of_work import Json, Outcome
from shared.triggers.service_triggers import Timer, Triggers, bind
from shared.web.administration import AlertSource, OperationControl, cooperative_cancel
from shared.web.collection import Collection
from shared.web.request import Answer, Request, accepted, ok
from shared.web.routes import get, post

READ: Final = "runtime.secrets.read"
WRITE: Final = "runtime.secrets.write"
_ROOT: Final = "v1/runtime/secret-bindings"
_ONE: Final = f"{_ROOT}/{{bindingId}}"
_ROTATIONS: Final = "v1/runtime/secret-rotations"
LIST: Final = Collection(
    BINDINGS,
    {
        "environmentId": "environment_id",
        "moduleId": "module_id",
        "secretName": "secret_name",
        "status": "status",
    },
    choices={"status": BindingStatus},
)


async def post_secret_binding(request: Request[BindSecret], app: SecretBindingsApp) -> Answer:
    """Bind a secret to a module; with `dryRun`, answer what that would change."""
    if request.body.dry_run:
        return ok(await plan_binding(request.body, request.ctx, app))
    return _accepted(await bind_secret(request.body, request.ctx, app))


async def get_secret_bindings(request: Request[None], app: SecretBindingsApp) -> Answer:
    """List the tenant's bindings."""
    return await LIST.answer(request, app.service.store, binding_resource)


async def get_secret_binding(request: Request[None], app: SecretBindingsApp) -> Answer:
    """Answer one binding with its etag."""
    resource, etag = await queries.get_binding(request.path["bindingId"], request.ctx, app)
    return ok(resource, etag=etag)


async def post_secret_binding_revoke(
    request: Request[Revocation], app: SecretBindingsApp
) -> Answer:
    """Revoke a binding; its versions stay in the vault."""
    identity, reason = request.path["bindingId"], request.body.reason
    outcome = await revoke_binding(identity, reason, request.ctx, app)
    return ok(outcome.value["binding"], is_repeat=outcome.is_repeat)


async def post_secret_binding_rotate(
    request: Request[SecretRotationOrder], app: SecretBindingsApp
) -> Answer:
    """Rotate the secret of a binding, for all its consumers."""
    identity, content = request.path["bindingId"], request.body.model_dump(by_alias=True)
    parse_id(identity, "sec")
    command = read(RotateSecret, {**content, "bindingId": identity})
    outcome = await rotate_secret(command, request.ctx, app)
    rotation = outcome.value["rotation"]
    return accepted(
        rotation,
        OperationId(outcome.value["operationId"]),
        f"/{_ROTATIONS}/{rotation['rotationId']}",
        is_repeat=outcome.is_repeat,
    )


async def get_secret_rotation(request: Request[None], app: SecretBindingsApp) -> Answer:
    """Answer one rotation, with the version that each consumer proved."""
    return ok(await queries.get_rotation(request.path["rotationId"], request.ctx, app))


def _accepted(outcome: Outcome[Json]) -> Answer:
    binding = outcome.value["binding"]
    return accepted(
        binding,
        OperationId(outcome.value["operationId"]),
        f"/{_ROOT}/{binding['bindingId']}",
        is_repeat=outcome.is_repeat,
    )


ROUTES: Final = (
    post(
        _ROOT, post_secret_binding, WRITE, body=BindSecret, answer=SecretBinding,
        also={200: SecretBindingPlan},
    ),
    get(_ROOT, get_secret_bindings, READ, query=LIST.parameters),
    get(_ONE, get_secret_binding, READ, answer=SecretBinding),
    post(
        f"{_ONE}/revoke", post_secret_binding_revoke, WRITE, body=Revocation, status=200,
        answer=SecretBinding,
    ),
    post(
        f"{_ONE}/rotate", post_secret_binding_rotate, WRITE, body=SecretRotationOrder,
        answer=SecretRotation,
    ),
    get(
        f"{_ROTATIONS}/{{rotationId}}", get_secret_rotation, READ, answer=SecretRotation,
    ),
)  # fmt: skip
EVENTS: Final[HandlerTable] = {
    RuntimeEnvironmentProvisioned: record_environment,
    RuntimeEnvironmentDecommissioned: record_environment,
    RuntimeDeploymentCompleted: record_deployment,
    RuntimeDeploymentRolledBack: record_deployment,
    RuntimeDeploymentFailed: record_secret_rollout,
    RuntimeDeploymentCancelled: record_secret_rollout,
    RuntimeTenantBound: record_tenant,
}
COMMANDS: Final[HandlerTable] = {
    BindSecret: bind_secret,
    RotateSecret: rotate_secret,
    ProveRelease: prove_release,
    ConfirmWithdrawal: confirm_withdrawal,
}
CONTROLS: Final[Mapping[str, OperationControl]] = {
    BIND.name: OperationControl(cooperative_cancel, abandon_binding),
    ROTATE.name: OperationControl(cooperative_cancel, abandon_rotation),
}
ALERTS: Final = (
    AlertSource(HEADS, alerts_of_rotations),
    AlertSource(WATCHES, alerts_of_watch),
)


def blueprint(app: SecretBindingsApp) -> df.Blueprint:
    """Bind this service's triggers to *app*; nothing is bound at import."""
    triggers = Triggers(
        routes=ROUTES,
        events=EVENTS,
        commands=COMMANDS,
        orchestrations=ORCHESTRATIONS,
        activities=ACTIVITIES,
        controls=CONTROLS,
        timers=(
            Timer(watch_secrets.WATCH, app.rules.watch_every, watch_secrets.watch_secrets),
            Timer(watch_secrets.ROTATE_DUE, app.rules.due_check, watch_secrets.rotate_due),
            Timer(remove_ended.REMOVE, REMOVE_EVERY, remove_ended.remove_ended_secrets),
        ),
        swept=(BINDINGS, WATCHES),
        alerts=ALERTS,
    )
    return bind(triggers, app)
