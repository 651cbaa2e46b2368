"""What the routes below `/v1/platform/<app>/` work on: one service, and how its operations end."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import field
from typing import Any

from shared.contracts.alerts import OpenAlert
from shared.durable.abandon import AbandonOperation
from shared.durable.operations import OPERATIONS
from shared.kernel.context import Context
from shared.kernel.dataclass import dataclass
from shared.kernel.ids import TenantId
from shared.kernel.operation import Operation
from shared.messaging.dead_letters import EntityDeadLetters
from shared.messaging.dispatcher import Dispatcher
from shared.messaging.outbox import Audited, Raise
from shared.messaging.service_parts import App, ServiceParts
from shared.messaging.unit_of_work import Decision, Json, Outcome, View
from shared.persistence.codec import DocumentCodec
from shared.web.store_check import StoreCheck

EndOperation = Callable[[Operation, Context, Any], Awaitable[Outcome[Any]]]
"""`async def name(operation, ctx, app)`: changes operation and aggregate in one batch.

Refuses an operation that has ended with OperationAlreadyEnded, unless a marker answers first.
"""


@dataclass(frozen=True)
class OperationControl:
    """How the operations of one kind are ended from outside.

    `cancel` is the use case that cancels, `cooperative_cancel`, or the sentence with which it is
    refused. `abandon` ends an operation that nothing else can end, and frees its aggregate.
    """

    cancel: EndOperation | str
    abandon: AbandonOperation


@dataclass(frozen=True)
class AlertSource:
    """The documents of a service that have since when its alerts are raised.

    `raised` returns those of one document of a tenant that have not ended.
    """

    codec: DocumentCodec[Any]
    raised: Callable[[Any, TenantId], Iterable[OpenAlert]]


@dataclass(frozen=True)
class Administration:
    """One service behind these routes, with the dispatcher of all its messages."""

    service: ServiceParts
    app: Any
    dispatcher: Dispatcher
    openapi: Callable[[], Mapping[str, Any]]
    """Makes the OpenAPI document; a host that starts has no use for it."""
    operations: Mapping[str, OperationControl] = field(default_factory=dict)
    """By the kind of the operation."""
    dead_letters: Mapping[str, EntityDeadLetters] = field(default_factory=dict)
    """Of the entities that the service receives from, by a word for each, in the order shown."""
    store_check: StoreCheck = field(default_factory=StoreCheck)
    alerts: Sequence[AlertSource] = ()


async def cooperative_cancel(
    operation: Operation, ctx: Context, app: App[ServiceParts]
) -> Outcome[Json]:
    """Ask *operation* to stop at its next step: for kinds that stop between two steps."""
    operation_id = operation.operation_id

    def decide(view: View) -> Decision[Json]:
        asked = view.get(OPERATIONS, operation_id).request_cancel()
        return Decision(
            {},
            writes=[OPERATIONS.put(asked)],
            outbox=[Raise(operation_id, asked.wait_name)] if asked.wait_name else [],
            audited=Audited("CancelOperation", operation_id),
        )

    return await app.service.work.change(ctx, OPERATIONS, operation_id, decide)
