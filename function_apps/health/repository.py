"""The stored documents of health: of a service the target of probes, the objective, the gates."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from function_apps.health.errors import HealthNotFound, ObjectiveNotFound
from function_apps.health.events import alert_changed
from function_apps.health.model.alerts import clear_alerts
from function_apps.health.model.gate_record import GateRecord
from function_apps.health.model.objective import Objective
from function_apps.health.model.probe_target import ProbeTarget
from function_apps.health.ports import HealthApp
from shared.contracts.retention import Kept
from shared.durable.operations import OperationKind
from shared.kernel.context import Context
from shared.messaging.outbox import Audited
from shared.messaging.unit_of_work import NOTHING, Decision, Json
from shared.persistence.codec import DocumentCodec, Put

EVALUATE: Final = OperationKind("EvaluateGate", "health_evaluate_gate")


def _due(target: ProbeTarget) -> dict[str, Any]:
    """Return the time from which every sweep probes *target*; one that runs nothing is not."""
    return {} if target.is_retired or not target.component else {"dueAt": target.released_at}


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
    kept=Kept.RETIRED,
    has_ended=lambda target: target.is_retired,
)
"""A service has a partition of its own, so its target needs no other id."""
GATES: Final = DocumentCodec(
    GateRecord, "gate", key="gate_id", document="gate/{}", kept=Kept.RESULT
)
OBJECTIVES: Final = DocumentCodec(
    Objective,
    "objective",
    key="service_id",
    document="slo/{}",
    missing=ObjectiveNotFound,
    kept=Kept.RETIRED,
    has_ended=lambda objective: objective.is_retired,
)


async def load_target(service_id: str, ctx: Context, app: HealthApp) -> ProbeTarget:
    """Return the target of a service. Raises HealthNotFound, also for a tombstone."""
    return require_release(await app.service.work.load(TARGETS, service_id, ctx.tenant))


def require_release(target: ProbeTarget) -> ProbeTarget:
    """Return *target* if there ever was a release of it. Raises HealthNotFound for a tombstone."""
    if not target.component:
        raise HealthNotFound(target.service_id)
    return target


def changed(
    target: ProbeTarget | None, objective: Objective | None, action: str, now: datetime
) -> Decision[Json]:
    """Return the decision that stores *target*; None changes nothing.

    The alerts of one that is retired end with it, and its *objective* is kept as long as it is.
    """
    if target is None:
        return NOTHING
    after, changes = clear_alerts(target, now) if target.is_retired else (target, ())
    return Decision(
        {},
        writes=[TARGETS.put(after), *_objective_of(after, objective)],
        outbox=[alert_changed(after, change) for change in changes],
        audited=Audited(action, target.service_id),
    )


def _objective_of(target: ProbeTarget, objective: Objective | None) -> Sequence[Put]:
    if objective is None or not (target.is_retired or objective.is_retired):
        return ()
    return [OBJECTIVES.put(replace(objective, is_retired=target.is_retired))]


def sample_partition(tenant: str, service_id: str) -> str:
    """Return the key of the table's partition with the samples of a service."""
    return f"{tenant}|{service_id}"
