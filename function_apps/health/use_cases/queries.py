"""Reads of health: a service now, its objective, and the samples of its history."""

from collections.abc import Sequence

from function_apps.health import resources
from function_apps.health.model.objective import Objective
from function_apps.health.model.probe_target import ProbeTarget
from function_apps.health.model.sample import Sample
from function_apps.health.ports import HealthApp
from function_apps.health.repository import (
    OBJECTIVES,
    TARGETS,
    load_target,
    require_release,
    sample_partition,
)
from function_apps.health.use_cases.count_events import load_samples
from shared.contracts.health import HealthCheckResult, ServiceHealth, ServiceObjective
from shared.kernel.clock import isoformat
from shared.kernel.context import Context
from shared.persistence.row_pages import newest_page
from shared.persistence.store import partition_of
from shared.persistence.tables import TableRow, readable_rows


async def get_health(service_id: str, ctx: Context, app: HealthApp) -> ServiceHealth:
    """Return the health of a service. Raises HealthNotFound."""
    target = await load_target(service_id, ctx, app)
    rows = await app.samples.scan(
        sample_partition(ctx.tenant, service_id), after=target.since, limit=1, newest_first=True
    )
    latest = next((_sample(row) for row in rows), None)
    objective = await _find_objective(target, ctx, app)
    if objective is None:
        return resources.service_health(target, latest, (), ())
    burns = objective.burns(await load_samples(ctx.tenant, service_id, app), ctx.now())
    return resources.service_health(
        target, latest, objective.burn_rates(burns), objective.unmeasured(burns)
    )


async def get_objective(
    service_id: str, ctx: Context, app: HealthApp
) -> tuple[ServiceObjective, str]:
    """Return the objective of a service with its burn rates, and its etag.

    Raises HealthNotFound, and ObjectiveNotFound where none is set.
    """
    ids = (OBJECTIVES.document_id(service_id), TARGETS.document_id(service_id))
    view = await app.service.work.read(partition_of(ctx.tenant, service_id), *ids)
    require_release(view.get(TARGETS, service_id))
    objective = view.get(OBJECTIVES, service_id)
    samples = await load_samples(ctx.tenant, service_id, app)
    burn = objective.burn_rates(objective.burns(samples, ctx.now()))
    resource = resources.service_objective(objective, burn, objective.why_unmeasured(samples))
    return resource, view.etag(ids[0]) or ""


async def _find_objective(target: ProbeTarget, ctx: Context, app: HealthApp) -> Objective | None:
    if not target.has_objective or target.is_retired:
        return None
    return await app.service.work.find(OBJECTIVES, target.service_id, ctx.tenant)


async def get_history(
    service_id: str, ctx: Context, app: HealthApp, *, limit: int, continuation: str | None
) -> tuple[Sequence[HealthCheckResult], str | None]:
    """Return one page of samples, newest first, and the continuation of the next.

    Samples are kept for 30 days.

    Raises:
        Invalid: *continuation* is not where a page ended.
    """
    target = await load_target(service_id, ctx, app)
    page = await newest_page(
        app.samples,
        sample_partition(ctx.tenant, service_id),
        limit=limit,
        continuation=continuation,
        after=isoformat(ctx.now() - app.service.work.retention.results),
    )
    value = readable_rows(page.rows, lambda row: resources.history_row(target, _sample(row)))
    return value, page.continuation


def _sample(row: TableRow) -> Sample:
    return Sample(row.row_key, {name: str(value) for name, value in row.values.items()})
