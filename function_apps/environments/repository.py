"""The stored documents of environments, and the commit of a changed one."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

from function_apps.environments.errors import EnvironmentNotFound
from function_apps.environments.events import environment_changed, environment_told
from function_apps.environments.model.environment import RuntimeEnvironment, evolve, with_isolation
from function_apps.environments.model.lifecycle import IN_FLIGHT, EnvironmentEvent
from function_apps.environments.model.tenant_isolation import TenantIsolation, with_next_told
from function_apps.environments.ports import EnvironmentsApp
from function_apps.environments.resources import answer
from shared.durable.activity import ActivityContext, Step
from shared.durable.operations import OPERATIONS, OperationKind, begin_operation, close_superseded
from shared.kernel.context import Context, NewIds
from shared.kernel.ids import TenantId
from shared.kernel.operation import Operation
from shared.messaging.outbox import Audited, Publish
from shared.messaging.unit_of_work import Decide, Decision, Json, Outcome, View
from shared.persistence.codec import DocumentCodec, Put
from shared.persistence.store import Document, partition_of

T = TypeVar("T")
ENVIRONMENTS: Final = DocumentCodec(
    RuntimeEnvironment,
    "environment",
    key="environment_id",
    document="environment/{}",
    missing=EnvironmentNotFound,
)


def _isolation_queried(isolation: TenantIsolation) -> Mapping[str, Any]:
    """Return when the environment of a binding is looked at again."""
    return {} if isolation.due_at is None else {"dueAt": isolation.due_at}


ISOLATIONS: Final = DocumentCodec(
    TenantIsolation,
    "isolation",
    key="binding_id",
    document="isolation/{}",
    queried=_isolation_queried,
)
APPLY: Final = "environments_apply_environment"
PROVISION: Final = OperationKind("ProvisionEnvironment", APPLY)
UPDATE: Final = OperationKind("UpdateEnvironment", APPLY)
REPAIR: Final = OperationKind("RepairEnvironment", APPLY)
DECOMMISSION: Final = OperationKind(
    "DecommissionEnvironment", "environments_decommission_environment"
)
ISOLATE: Final = OperationKind("IsolateTenant", "environments_isolate_tenant")
REMOVE: Final = OperationKind("RemoveTenant", "environments_remove_tenant")


async def environment_of(
    isolation: TenantIsolation, app: EnvironmentsApp
) -> RuntimeEnvironment | None:
    """Return the environment that a tenant is bound to, its owner's; None where there is none."""
    owner = TenantId(isolation.owner_tenant_id)
    return await app.service.work.find(ENVIRONMENTS, isolation.environment_id, owner)


async def load_document(environment_id: str, ctx: Context, app: EnvironmentsApp) -> Document:
    """Return the environment's document, with its etag. Raises EnvironmentNotFound."""
    partition = partition_of(ctx.tenant, environment_id)
    document = await app.service.store.read(partition, ENVIRONMENTS.document_id(environment_id))
    if document is None:
        raise EnvironmentNotFound(environment_id)
    return document


def owner_at_work(view: View, environment_id: str) -> Sequence[str]:
    """Return the document of the operation that a command on the environment takes over from."""
    known = view.find(ENVIRONMENTS, environment_id)
    is_in_flight = known is not None and known.status in IN_FLIGHT
    return [OPERATIONS.document_id(known.operation_id)] if known and is_in_flight else []


async def change(
    environment_id: str, ctx: Context, app: EnvironmentsApp, decide: Decide[Json]
) -> Outcome[Json]:
    """Commit what *decide* makes of the environment, with the operation that it closes."""
    return await app.service.work.change(
        ctx,
        ENVIRONMENTS,
        environment_id,
        decide,
        linked=lambda view: owner_at_work(view, environment_id),
    )


def begin(
    environment: RuntimeEnvironment, view: View, ids: NewIds, ctx: Context, kind: OperationKind
) -> Decision[Json]:
    """Return the batch that hands *environment* to a new operation, and closes the one at work."""
    environment_id = environment.environment_id
    known = view.find(ENVIRONMENTS, environment_id)
    operation, start = begin_operation(
        kind, environment_id, f"/v1/runtime/environments/{environment_id}", ids, ctx
    )
    superseded = _close_known(known, view, ids)
    return Decision(
        answer(environment),
        writes=[ENVIRONMENTS.put(environment), OPERATIONS.put(operation), *superseded],
        outbox=[environment_changed(environment), start],
        audited=Audited(kind.name, environment_id),
    )


def _close_known(
    known: RuntimeEnvironment | TenantIsolation | None, view: View, ids: NewIds
) -> Sequence[Put]:
    """Return the write that ends the operation which has *known*; none where nothing is known."""
    return close_superseded(view, known.operation_id, ids.operation_id, ids.now) if known else ()


def begin_isolation(
    isolation: TenantIsolation, view: View, ids: NewIds, ctx: Context, kind: OperationKind
) -> Decision[Json]:
    """Return the batch that hands *isolation* to a new operation, and closes the one at work."""
    binding_id = isolation.binding_id
    known = view.find(ISOLATIONS, binding_id)
    operation, start = begin_operation(
        kind, binding_id, f"/v1/runtime/tenant-bindings/{binding_id}", ids, ctx
    )
    superseded = _close_known(known, view, ids)
    return Decision(
        {},
        writes=[ISOLATIONS.put(isolation), OPERATIONS.put(operation), *superseded],
        outbox=[start],
        audited=Audited(kind.name, binding_id, isolation.status),
    )


def isolation_changed(
    isolation: TenantIsolation, environment: RuntimeEnvironment | None, now: datetime
) -> tuple[Sequence[Put], Sequence[Publish]]:
    """Return the writes of *isolation*, and the event by which its tenant hears of it."""
    if environment is None:
        return [ISOLATIONS.put(isolation)], []
    if isolation.is_foreign:
        numbered = with_next_told(isolation, environment.revision)
        return [ISOLATIONS.put(numbered)], [environment_told(environment, numbered)]
    shown = with_isolation(environment, isolation.shown, now, keeps_alone=isolation.keeps_alone)
    return [ISOLATIONS.put(isolation), ENVIRONMENTS.put(shown)], [environment_changed(shown)]


def step(
    value: T,
    operation: Operation,
    environment: RuntimeEnvironment,
    event: EnvironmentEvent | None,
    ctx: ActivityContext,
) -> Step[T]:
    """Return the step that stores *operation* and, if there is one, lets *event* happen."""
    if event is None:
        return Step(value, operation)
    after = evolve(environment, event, ctx.now())
    audited = Audited(type(event).__name__, after.environment_id, after.status)
    return Step(value, operation, [ENVIRONMENTS.put(after)], [environment_changed(after)], audited)
