"""The stored documents of environments, and the commit of a changed one."""

from collections.abc import Sequence
from typing import Final, TypeVar

from function_apps.environments.errors import EnvironmentNotFound
from function_apps.environments.events import environment_changed
from function_apps.environments.model.environment import RuntimeEnvironment, evolve
from function_apps.environments.model.lifecycle import IN_FLIGHT, EnvironmentEvent
from function_apps.environments.ports import EnvironmentsApp
from function_apps.environments.resources import answer
from shared.durable.activity import ActivityContext, Step
from shared.durable.operations import OPERATIONS, OperationKind, begin_operation, close_superseded
from shared.kernel.context import Context, NewIds
from shared.kernel.operation import Operation
from shared.messaging.outbox import Audited
from shared.messaging.unit_of_work import Decide, Decision, Json, Outcome, View
from shared.persistence.codec import DocumentCodec
from shared.persistence.store import Document, partition_of

T = TypeVar("T")
ENVIRONMENTS: Final = DocumentCodec(
    RuntimeEnvironment,
    "environment",
    key="environment_id",
    document="environment/{}",
    missing=EnvironmentNotFound,
)


APPLY: Final = "environments_apply_environment"
PROVISION: Final = OperationKind("ProvisionEnvironment", APPLY)
UPDATE: Final = OperationKind("UpdateEnvironment", APPLY)
DECOMMISSION: Final = OperationKind(
    "DecommissionEnvironment", "environments_decommission_environment"
)


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
    superseded = (
        close_superseded(view, known.operation_id, ids.operation_id, ids.now) if known else ()
    )
    return Decision(
        answer(environment),
        writes=[ENVIRONMENTS.put(environment), OPERATIONS.put(operation), *superseded],
        outbox=[environment_changed(environment), start],
        audited=Audited(kind.name, environment_id),
    )


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
