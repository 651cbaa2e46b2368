"""The stored documents of health: the target of probes and the gates of a service."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from function_apps.health.errors import HealthNotFound
from function_apps.health.events import gate_completed
from function_apps.health.model.gate_record import GateRecord
from function_apps.health.model.probe_target import ProbeTarget
from function_apps.health.ports import HealthApp
from shared.durable.activity import ActivityContext, Step, commit_step
from shared.kernel.context import Context
from shared.kernel.errors import NotFound
from shared.kernel.operation import Operation
from shared.messaging.outbox import Publish
from shared.messaging.unit_of_work import NOTHING, Audited, Decision, Json, Outcome, Put, View
from shared.persistence.codec import DocumentCodec
from shared.persistence.store import partition_of

T = TypeVar("T")
TARGET_ID: Final = "target"
"""A service has a partition of its own, so its target needs no other name."""
EVALUATE: Final = "health_evaluate_gate"
"""Durable name of the orchestration; a test holds it to `orchestrations/`."""


def _due(target: ProbeTarget) -> dict[str, Any]:
    """Return the time from which every sweep probes *target*; a retired one is not probed."""
    return {} if target.is_retired else {"dueAt": target.released_at}


def _from_schema_1(body: dict[str, Any]) -> dict[str, Any]:
    """Schema 1 said `told_at` and `looked_at`."""
    return {**body, "published_at": body["told_at"], "probed_at": body.get("looked_at")}


TARGETS: Final = DocumentCodec(
    ProbeTarget, "target", schema=2, upgrades={1: _from_schema_1}, queried=_due
)
GATES: Final = DocumentCodec(GateRecord, "gate")


async def load_target(service_id: str, ctx: Context, app: HealthApp) -> ProbeTarget:
    """Return the target of a service. Raises HealthNotFound, also for a tombstone."""
    document = await app.service.store.read(partition_of(ctx.tenant, service_id), TARGET_ID)
    target = None if document is None else TARGETS.decode(document.body)
    if target is None or not target.component:
        raise HealthNotFound(service_id)
    return target


async def commit_target(
    service_id: str,
    change: Callable[[ProbeTarget | None], ProbeTarget | None],
    action: str,
    ctx: Context,
    app: HealthApp,
) -> Outcome[Json]:
    """Commit the target that *change* makes of the stored one; None changes nothing."""

    def decide(view: View) -> Decision[Json]:
        body = view.body(TARGET_ID)
        target = change(None if body is None else TARGETS.decode(body))
        if target is None:
            return NOTHING
        return Decision({}, writes=[put_target(target)], audited=Audited(action, service_id))

    partition = partition_of(ctx.tenant, service_id)
    return await app.service.work.commit(ctx, partition, [TARGET_ID], decide)


def put_target(target: ProbeTarget) -> Put:
    """Return the write of *target*."""
    return Put(TARGET_ID, TARGETS.encode(target))


def gate_document(gate_id: str) -> str:
    return f"gate/{gate_id}"


def find_gate(view: View, gate_id: str) -> GateRecord | None:
    """Return the gate in *view*; None when it is not there."""
    body = view.body(gate_document(gate_id))
    return None if body is None else GATES.decode(body)


def stored_gate(view: View, gate_id: str) -> GateRecord:
    """Return the gate in *view*. Raises NotFound."""
    record = find_gate(view, gate_id)
    if record is None:
        raise NotFound(f"no gate {gate_id!r}")
    return record


async def load_gate(gate_id: str, ctx: Context, app: HealthApp) -> GateRecord:
    """Return the gate. Raises NotFound."""
    partition = partition_of(ctx.tenant, gate_id)
    return stored_gate(await app.service.work.read(partition, gate_document(gate_id)), gate_id)


async def commit_gate(
    ctx: ActivityContext, app: HealthApp, decide: Callable[[GateRecord, Operation], Step[T]]
) -> T:
    """Commit the step that *decide* makes of the gate and its operation, once.

    Raises:
        OperationSuperseded, OperationAlreadyEnded: the operation no longer owns the gate.
    """
    gate_id = ctx.aggregate_id
    return await commit_step(
        ctx, app.service.work, [gate_document(gate_id)], lambda view: stored_gate(view, gate_id),
        decide,
    )  # fmt: skip


def put_gate(record: GateRecord, app: HealthApp) -> Put:
    """Return the write of *record*, which is deleted when results are no longer kept."""
    ttl_s = int(app.rules.results_kept.total_seconds())
    return Put(gate_document(record.gate.gate_id), GATES.encode(record), ttl_s=ttl_s)


def publish_gate(record: GateRecord) -> Publish:
    """Return the event that answers the gate of *record*."""
    return Publish(gate_completed(record), module=record.gate.module_id)


def sample_partition(tenant: str, service_id: str) -> str:
    """Return the key of the table's partition with the samples of a service."""
    return f"{tenant}|{service_id}"
