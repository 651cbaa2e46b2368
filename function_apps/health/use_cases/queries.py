"""Reads of health: a service now, and the samples of its history."""

from collections.abc import Sequence

from function_apps.health import resources
from function_apps.health.errors import HealthNotFound
from function_apps.health.model.probe_target import DOCUMENT_ID, ProbeTarget, from_body
from function_apps.health.model.sample import Sample
from function_apps.health.ports import HealthApp
from function_apps.health.use_cases.sweep import sample_partition
from shared.contracts.health import HealthCheckResult, ServiceHealth
from shared.kernel.clock import isoformat
from shared.kernel.ids import parse_id
from shared.kernel.scope import Scope
from shared.persistence.store import Partition
from shared.persistence.tables import TableRow


async def get_health(identity: str, *, scope: Scope, app: HealthApp) -> ServiceHealth:
    """Return the health of a service. Raises HealthNotFound."""
    target = await _load(identity, scope, app)
    rows = await app.samples.scan(
        sample_partition(scope.tenant, identity), after=target.since, limit=1, newest_first=True
    )
    latest = next((_sample(row) for row in rows), None)
    return resources.service_health(target, latest)


async def get_history(
    identity: str, *, limit: int, continuation: str | None, scope: Scope, app: HealthApp
) -> tuple[Sequence[HealthCheckResult], str | None]:
    """Return one page of samples, newest first, and the continuation of the next.

    Samples are kept for 30 days.
    """
    target = await _load(identity, scope, app)
    oldest = isoformat(app.service.clock.now() - app.rules.results_kept)
    rows = await app.samples.scan(
        sample_partition(scope.tenant, identity),
        after=oldest,
        before=continuation,
        limit=limit + 1,
        newest_first=True,
    )
    page = rows[:limit]
    value = [resources.history_row(target, _sample(row)) for row in page]
    return value, page[-1].row_key if len(rows) > limit else None


def _sample(row: TableRow) -> Sample:
    return Sample(row.row_key, {name: str(value) for name, value in row.values.items()})


async def _load(identity: str, scope: Scope, app: HealthApp) -> ProbeTarget:
    partition = Partition(scope.tenant, parse_id(identity, "svc").environment, identity)
    document = await app.service.store.read(partition, DOCUMENT_ID)
    if document is None or not document.body["component"]:
        raise HealthNotFound(identity)
    return from_body(document.body)
