"""The stored documents of health: the target of probes and the gates of a service."""

from collections.abc import Callable
from typing import Any, Final

from function_apps.health.errors import HealthNotFound
from function_apps.health.events import gate_completed
from function_apps.health.model.gate_record import GateRecord
from function_apps.health.model.probe_target import ProbeTarget
from function_apps.health.ports import HealthApp
from shared.kernel.context import Context
from shared.messaging.outbox import Publish
from shared.messaging.unit_of_work import NOTHING, Audited, Decision, Json, Outcome, View
from shared.persistence.codec import DocumentCodec, Put
from shared.persistence.store import partition_of

EVALUATE: Final = "health_evaluate_gate"
"""Durable name of the orchestration; a test holds it to `orchestrations/`."""


def _due(target: ProbeTarget) -> dict[str, Any]:
    """Return the time from which every sweep probes *target*; a retired one is not probed."""
    return {} if target.is_retired else {"dueAt": target.released_at}


def _from_schema_1(body: dict[str, Any]) -> dict[str, Any]:
    """Schema 1 said `told_at` and `looked_at`."""
    return {**body, "published_at": body["told_at"], "probed_at": body.get("looked_at")}


TARGETS: Final = DocumentCodec(
    ProbeTarget,
    "target",
    key="service_id",
    document="target",
    missing=HealthNotFound,
    schema=2,
    upgrades={1: _from_schema_1},
    queried=_due,
)
"""A service has a partition of its own, so its target needs no other id."""
GATES: Final = DocumentCodec(GateRecord, "gate", key="gate_id", document="gate/{}")


async def load_target(service_id: str, ctx: Context, app: HealthApp) -> ProbeTarget:
    """Return the target of a service. Raises HealthNotFound, also for a tombstone."""
    target = await app.service.work.load(TARGETS, service_id, ctx.tenant)
    if not target.component:
        raise HealthNotFound(service_id)
    return target


async def commit_target(
    service_id: str,
    ctx: Context,
    app: HealthApp,
    decide: Callable[[ProbeTarget | None], ProbeTarget | None],
    *,
    action: str,
) -> Outcome[Json]:
    """Commit the target that *decide* makes of the stored one; None changes nothing."""

    def decide_on(view: View) -> Decision[Json]:
        target = decide(view.find(TARGETS, service_id))
        if target is None:
            return NOTHING
        return Decision({}, writes=[TARGETS.put(target)], audited=Audited(action, service_id))

    partition, reads = partition_of(ctx.tenant, service_id), [TARGETS.document_id(service_id)]
    return await app.service.work.commit(ctx, partition, reads, decide_on)


def put_gate(record: GateRecord, app: HealthApp) -> Put:
    """Return the write of *record*, which is deleted when results are no longer kept."""
    ttl_s = int(app.rules.results_kept.total_seconds())
    return GATES.put(record, ttl_s=ttl_s)


def publish_gate(record: GateRecord) -> Publish:
    """Return the event that answers the gate of *record*."""
    return Publish(gate_completed(record), module=record.gate.module_id)


def sample_partition(tenant: str, service_id: str) -> str:
    """Return the key of the table's partition with the samples of a service."""
    return f"{tenant}|{service_id}"
