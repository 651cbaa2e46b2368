"""Where environments are stored, and how a changed one is committed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from function_apps.environments.errors import EnvironmentNotFound
from function_apps.environments.events import event_of
from function_apps.environments.model.environment import RuntimeEnvironment, evolve
from function_apps.environments.model.lifecycle import IN_FLIGHT, EnvironmentEvent
from function_apps.environments.ports import EnvironmentsApp
from function_apps.environments.resources import environment_resource
from shared.durable.activity import ActivityContext, Step
from shared.durable.operations import OPERATIONS, begin_operation, close_superseded
from shared.kernel.context import Context, NewIds
from shared.kernel.operation import Operation
from shared.messaging.outbox import Publish
from shared.messaging.unit_of_work import (
    Audited,
    Decide,
    Decision,
    Json,
    Linked,
    Outcome,
    View,
)
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


@dataclass(frozen=True)
class Work:
    """A kind of operation and the Durable name of its orchestration; a test holds the two."""

    kind: str
    orchestration: str


PROVISION: Final = Work("ProvisionEnvironment", "environments_apply_environment")
UPDATE: Final = Work("UpdateEnvironment", "environments_apply_environment")
DECOMMISSION: Final = Work("DecommissionEnvironment", "environments_decommission_environment")


async def load_document(environment_id: str, ctx: Context, app: EnvironmentsApp) -> Document:
    """Return the environment's document, with its etag. Raises EnvironmentNotFound."""
    partition = partition_of(ctx.tenant, environment_id)
    document = await app.service.store.read(partition, ENVIRONMENTS.document_id(environment_id))
    if document is None:
        raise EnvironmentNotFound(environment_id)
    return document


def publish(environment: RuntimeEnvironment) -> Publish:
    """Return the event that carries the state of *environment*."""
    return Publish(event_of(environment), project=environment.project_id)


def owner_at_work(view: View, environment_id: str) -> Sequence[str]:
    """Return the document of the operation that a command on the environment takes over from."""
    known = view.find(ENVIRONMENTS, environment_id)
    is_in_flight = known is not None and known.status in IN_FLIGHT
    return [OPERATIONS.document_id(known.operation_id)] if known and is_in_flight else []


async def commit(
    environment_id: str,
    ctx: Context,
    app: EnvironmentsApp,
    decide: Decide[Json],
    *,
    linked: Linked | None = None,
) -> Outcome[Json]:
    """Commit what *decide* makes of the environment."""
    partition, reads = (
        partition_of(ctx.tenant, environment_id),
        [ENVIRONMENTS.document_id(environment_id)],
    )
    return await app.service.work.commit(ctx, partition, reads, decide, linked=linked)


def begin(
    environment: RuntimeEnvironment, view: View, ids: NewIds, ctx: Context, work: Work
) -> Decision[Json]:
    """Return the batch that hands *environment* to a new operation.

    An operation from which it takes over, where the view has it (`owner_at_work`), is closed.
    """
    known = view.find(ENVIRONMENTS, environment.environment_id)
    operation, start = begin_operation(
        ctx,
        ids,
        kind=work.kind,
        orchestration=work.orchestration,
        aggregate_id=environment.environment_id,
        resource=f"/v1/runtime/environments/{environment.environment_id}",
    )
    return Decision(
        answer(environment),
        writes=[
            ENVIRONMENTS.put(environment),
            OPERATIONS.put(operation),
            *(
                close_superseded(view, known.operation_id, ids.operation_id, ids.now)
                if known
                else ()
            ),
        ],
        outbox=[publish(environment), start],
        audited=Audited(work.kind, environment.environment_id),
    )


def answer(environment: RuntimeEnvironment) -> Json:
    """Return the answer of a command, as JSON."""
    resource = environment_resource(environment).model_dump(mode="json", by_alias=True)
    return {"operationId": environment.operation_id, "environment": resource}


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
    return Step(value, operation, [ENVIRONMENTS.put(after)], [publish(after)], audited)
