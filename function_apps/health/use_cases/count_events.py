"""Count the events that an objective is about, good and bad.

The counted events are one row of the table of samples, of bounded size, in a partition of its own.
"""

from datetime import datetime
from functools import cache
from typing import Final

from pydantic import TypeAdapter

from function_apps.health.model.burn_samples import BurnSamples
from function_apps.health.model.objective import Objective, count_probes, count_requests
from function_apps.health.model.probe_target import ProbeTarget
from function_apps.health.model.status_hysteresis import ProbeOutcome
from function_apps.health.ports import HealthApp
from function_apps.health.repository import OBJECTIVES, sample_partition
from function_apps.health.use_cases.probe_service import ServiceProbe
from shared.contracts.health import Sli
from shared.kernel.ids import EnvironmentId, ModuleId, TenantId
from shared.kernel.observation import Present
from shared.persistence.tables import TableRow, delete_all_before
from shared.surfaces.spec import SurfaceComponent

_ROW: Final = "counted"


@cache
def _samples() -> TypeAdapter[BurnSamples]:
    return TypeAdapter(BurnSamples)


async def load_samples(tenant: str, service_id: str, app: HealthApp) -> BurnSamples:
    """Return what has been counted of a service so far."""
    row = await app.samples.get(_partition(tenant, service_id), _ROW)
    return BurnSamples() if row is None else _samples().validate_json(str(row.values["samples"]))


async def count_events(
    target: ProbeTarget, probe: ServiceProbe, now: datetime, app: HealthApp
) -> tuple[Objective, BurnSamples] | None:
    """Count the events since the last sweep; None for a service without an objective.

    What cannot be read adds nothing: a window without enough samples is not measured.
    """
    tenant = TenantId(target.tenant_id)
    if not target.has_objective:
        return None
    objective = await app.service.work.find(OBJECTIVES, target.service_id, tenant)
    if objective is None:
        return None
    before = await load_samples(tenant, target.service_id, app)
    if objective.content.provider_metrics is not None:
        return objective, before  # `ask_providers` counts it
    samples = await _counted(objective, before, target, probe, now, app)
    if samples is not before:
        await store_samples(samples, tenant, target.service_id, app)
    return objective, samples


async def store_samples(samples: BurnSamples, tenant: str, service_id: str, app: HealthApp) -> None:
    """Keep what has been counted of a service."""
    text = _samples().dump_json(samples).decode()
    row = TableRow(_partition(tenant, service_id), _ROW, {"samples": text})
    await app.samples.upsert([row])


async def _counted(
    objective: Objective,
    samples: BurnSamples,
    target: ProbeTarget,
    probe: ServiceProbe,
    now: datetime,
    app: HealthApp,
) -> BurnSamples:
    if objective.content.sli is Sli.PROBES:
        nobody_was_due = probe.outcome is ProbeOutcome.PASS and not probe.checks
        if nobody_was_due or probe.outcome is ProbeOutcome.NOTHING:
            return samples
        return count_probes(objective, samples, probe.checks, now)
    traffic = await app.surface.traffic(component_of(target))
    if not isinstance(traffic, Present):
        return samples
    return count_requests(objective, samples, traffic.value, now)


def component_of(target: ProbeTarget) -> SurfaceComponent:
    return SurfaceComponent(
        EnvironmentId(target.environment_id), TenantId(target.tenant_id), ModuleId(target.module_id)
    )


async def delete_counted(tenant: str, service_id: str, app: HealthApp) -> int:
    """Delete what has been counted of a service; return how many rows that were."""
    return await delete_all_before(app.samples, _partition(tenant, service_id), f"{_ROW}~")


def _partition(tenant: str, service_id: str) -> str:
    return f"{sample_partition(tenant, service_id)}|slo"
