"""Reads of health: a service now, and the samples of its history."""

import re
from collections.abc import Sequence
from typing import Final

from function_apps.health import resources
from function_apps.health.model.sample import Sample
from function_apps.health.ports import HealthApp
from function_apps.health.repository import load_target, sample_partition
from shared.contracts.health import HealthCheckResult, ServiceHealth
from shared.kernel.clock import isoformat
from shared.kernel.context import Context
from shared.persistence.query_rules import no_continuation
from shared.persistence.tables import TableRow

_AT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
"""The key of a sample's row: its instant."""


async def get_health(service_id: str, ctx: Context, app: HealthApp) -> ServiceHealth:
    """Return the health of a service. Raises HealthNotFound."""
    target = await load_target(service_id, ctx, app)
    rows = await app.samples.scan(
        sample_partition(ctx.tenant, service_id), after=target.since, limit=1, newest_first=True
    )
    latest = next((_sample(row) for row in rows), None)
    return resources.service_health(target, latest)


async def get_history(
    service_id: str, ctx: Context, app: HealthApp, *, limit: int, continuation: str | None
) -> tuple[Sequence[HealthCheckResult], str | None]:
    """Return one page of samples, newest first, and the continuation of the next.

    Samples are kept for 30 days.

    Raises:
        Invalid: *continuation* is not where a page ended.
    """
    if continuation is not None and _AT.fullmatch(continuation) is None:
        raise no_continuation(continuation)
    target = await load_target(service_id, ctx, app)
    rows = await app.samples.scan(
        sample_partition(ctx.tenant, service_id),
        after=isoformat(ctx.now() - app.service.work.retention.results),
        before=continuation,
        limit=limit + 1,
        newest_first=True,
    )
    page = rows[:limit]
    value = [resources.history_row(target, _sample(row)) for row in page]
    return value, page[-1].row_key if len(rows) > limit else None


def _sample(row: TableRow) -> Sample:
    return Sample(row.row_key, {name: str(value) for name, value in row.values.items()})
