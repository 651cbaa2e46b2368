"""Operations as documents: how they are stored, begun by a command, and closed by a successor."""

from datetime import datetime, timedelta
from functools import cache
from typing import Any, ClassVar, Final

from pydantic import ConfigDict, TypeAdapter
from pydantic.alias_generators import to_camel

from shared.contracts.retention import Kept
from shared.kernel.clock import isoformat
from shared.kernel.context import Context, NewIds
from shared.kernel.dataclass import dataclass
from shared.kernel.ids import TenantId
from shared.kernel.operation import HEARTBEAT_TIMEOUT, Operation, accept
from shared.messaging.outbox import Start
from shared.messaging.unit_of_work import View
from shared.persistence.codec import DocumentCodec, Put

WAITING_TIMEOUT: Final = timedelta(minutes=10)
"""An operation may wait for a day without a heartbeat; it is looked at 144 times, not 720."""


@dataclass(frozen=True)
class OperationInput:
    """The input of every orchestration: its operation's tenant and the aggregate it works on."""

    tenant_id: TenantId
    aggregate_id: str

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(
        alias_generator=to_camel, validate_by_alias=True, validate_by_name=True
    )

    @staticmethod
    def read(given: Any) -> "OperationInput":
        """Return the input that *given*, the JSON of an instance, holds."""
        return _input_adapter().validate_python(given)

    def start(self, orchestration: str, operation_id: str) -> Start:
        """Return the row that starts *orchestration* with this input."""
        argument = {"tenantId": self.tenant_id, "aggregateId": self.aggregate_id}
        return Start(orchestration, operation_id, argument)


@cache
def _input_adapter() -> TypeAdapter[OperationInput]:
    """Return the codec of inputs; made once, for it takes longer than what it reads."""
    return TypeAdapter(OperationInput)


def _due(operation: Operation) -> dict[str, Any]:
    """Return when a silent operation is started again; nothing once it has ended."""
    if operation.is_terminal:
        return {}
    timeout = WAITING_TIMEOUT if operation.wait_name else HEARTBEAT_TIMEOUT
    return {"dueAt": isoformat(datetime.fromisoformat(operation.heartbeat_at) + timeout)}


def _from_schema_1(body: dict[str, Any]) -> dict[str, Any]:
    """Return a body of schema 2.

    Schema 1 said `state`, spelled Canceled with two l, kept no answers of recorded work, and named
    the aggregate in the input by its kind.
    """
    recorded, resource = body.get("recorded", ()), str(body.get("resource"))
    return {
        **body,
        "status": _canceled(body.get("state", "NotStarted")),
        "steps": [{**step, "state": _canceled(step["state"])} for step in body.get("steps", ())],
        "recorded": dict.fromkeys(recorded),
        "input": {"aggregateId": resource.rpartition("/")[2], **body["input"]},
    }


def _canceled(state: str) -> str:
    return "Canceled" if state == "Cancelled" else state


OPERATIONS: Final = DocumentCodec(
    Operation,
    "operation",
    key="operation_id",
    document="operation/{}",
    schema=2,
    upgrades={1: _from_schema_1},
    queried=_due,
    kept=Kept.ENDED,
    has_ended=lambda operation: operation.is_terminal,
)


@dataclass(frozen=True)
class OperationKind:
    """A kind of operation and the Durable name of its orchestration; a test holds the two."""

    name: str
    orchestration: str


def begin_operation(
    kind: OperationKind, aggregate_id: str, resource: str, ids: NewIds, ctx: Context
) -> tuple[Operation, Start]:
    """Return the operation of a command and the row that starts its orchestration.

    *resource* is the path of the resource that the operation works on.
    """
    start = OperationInput(ctx.tenant, aggregate_id).start(kind.orchestration, ids.operation_id)
    operation = accept(
        ids.operation_id, kind.name, resource, ctx.cause.actor, kind.orchestration, start.input,
        ids.now, ctx.cause,
    )  # fmt: skip
    return operation, start


def close_superseded(view: View, operation_id: str, by: str, now: datetime) -> list[Put]:
    """Return the write that ends the running operation *operation_id*, which *by* takes over from.

    Belongs into the batch of the command that takes over: the old orchestration finds its operation
    ended at its next step and writes nothing.
    """
    # One that cannot be read is left as it is: it owns nothing any more, with or without its end.
    operation = view.readable(OPERATIONS, operation_id)
    if operation is None or operation.is_terminal:
        return []
    return [OPERATIONS.put(operation.supersede(by, now))]
