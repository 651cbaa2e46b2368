"""Where environments are stored, and how a changed one is committed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from function_apps.environments.errors import EnvironmentNotFound
from function_apps.environments.events import event_of
from function_apps.environments.model.environment import RuntimeEnvironment, evolve
from function_apps.environments.model.lifecycle import IN_FLIGHT, EnvironmentEvent
from function_apps.environments.ports import EnvironmentsApp
from function_apps.environments.resources import environment_resource
from shared.durable.activity import ActivityContext, Step, commit_step
from shared.durable.operations import (
    begin_operation,
    close_superseded,
    operation_document,
    put_operation,
)
from shared.kernel.context import Context, NewIds
from shared.kernel.operation import Operation
from shared.messaging.outbox import Publish
from shared.messaging.unit_of_work import (
    Audited,
    Decision,
    Json,
    Linked,
    Outcome,
    Precheck,
    Put,
    View,
)
from shared.persistence.codec import DocumentCodec
from shared.persistence.store import Document, partition_of

T = TypeVar("T")
ENVIRONMENTS: Final = DocumentCodec(RuntimeEnvironment, "environment")


@dataclass(frozen=True)
class Work:
    """A kind of operation and the Durable name of its orchestration; a test holds the two."""

    kind: str
    orchestration: str


PROVISION: Final = Work("ProvisionEnvironment", "environments_apply_environment")
UPDATE: Final = Work("UpdateEnvironment", "environments_apply_environment")
DECOMMISSION: Final = Work("DecommissionEnvironment", "environments_decommission_environment")


def document_id(environment_id: str) -> str:
    return f"environment/{environment_id}"


def find(view: View, environment_id: str) -> RuntimeEnvironment | None:
    """Return the environment in *view*; None when it is not there."""
    body = view.body(document_id(environment_id))
    return None if body is None else ENVIRONMENTS.decode(body)


def stored(view: View, environment_id: str) -> RuntimeEnvironment:
    """Return the environment in *view*. Raises EnvironmentNotFound."""
    environment = find(view, environment_id)
    if environment is None:
        raise EnvironmentNotFound(environment_id)
    return environment


async def load_document(environment_id: str, ctx: Context, app: EnvironmentsApp) -> Document:
    """Return the environment's document, with its etag. Raises EnvironmentNotFound."""
    partition = partition_of(ctx.tenant, environment_id)
    document = await app.service.store.read(partition, document_id(environment_id))
    if document is None:
        raise EnvironmentNotFound(environment_id)
    return document


async def load(environment_id: str, ctx: Context, app: EnvironmentsApp) -> RuntimeEnvironment:
    """Return the environment. Raises EnvironmentNotFound."""
    return ENVIRONMENTS.decode((await load_document(environment_id, ctx, app)).body)


def put(environment: RuntimeEnvironment) -> Put:
    """Return the write of *environment*."""
    return Put(document_id(environment.environment_id), ENVIRONMENTS.encode(environment))


def publish(environment: RuntimeEnvironment) -> Publish:
    """Return the event that carries the state of *environment*."""
    return Publish(event_of(environment), project=environment.project_id)


def owner_at_work(view: View, environment_id: str) -> Sequence[str]:
    """Return the document of the operation that a command on the environment takes over from."""
    known = find(view, environment_id)
    is_in_flight = known is not None and known.status in IN_FLIGHT
    return [operation_document(known.operation_id)] if known and is_in_flight else []


async def change(
    environment_id: str,
    ctx: Context,
    app: EnvironmentsApp,
    decide: Callable[[View], Decision[Json]],
    *,
    precheck: Precheck | None = None,
    linked: Linked | None = None,
) -> Outcome[Json]:
    """Commit on the environment as *decide* says."""
    partition, reads = partition_of(ctx.tenant, environment_id), [document_id(environment_id)]
    return await app.service.work.commit(
        ctx, partition, reads, decide, precheck=precheck, linked=linked
    )


def begin(
    environment: RuntimeEnvironment, view: View, ids: NewIds, ctx: Context, work: Work
) -> Decision[Json]:
    """Return the batch that hands *environment* to a new operation.

    An operation from which it takes over, where the view has it (`owner_at_work`), is closed.
    """
    known = find(view, environment.environment_id)
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
            put(environment),
            put_operation(operation),
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


async def commit(
    ctx: ActivityContext,
    app: EnvironmentsApp,
    decide: Callable[[RuntimeEnvironment, Operation], tuple[Operation, EnvironmentEvent | None]],
    *,
    value: T,
    key: str | None = "",
) -> T:
    """Commit the operation and the event that *decide* gives, once for *key*; return *value*.

    Raises:
        OperationSuperseded, OperationAlreadyEnded: another operation has the environment.
    """
    environment_id = ctx.aggregate_id

    def step(environment: RuntimeEnvironment, operation: Operation) -> Step[T]:
        changed, event = decide(environment, operation)
        if event is None:
            return Step(value, changed)
        after = evolve(environment, event, ctx.now())
        audited = Audited(type(event).__name__, environment_id, after.status)
        return Step(value, changed, [put(after)], [publish(after)], audited)

    return await commit_step(
        ctx,
        app.service.work,
        [document_id(environment_id)],
        lambda view: stored(view, environment_id),
        step,
        key=key,
    )
