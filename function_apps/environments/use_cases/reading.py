"""Lists of environments."""

from collections.abc import Mapping

from function_apps.environments.ports import EnvironmentsApp
from shared.kernel.scope import Scope
from shared.persistence.store import Comparison, Page, Prefix, Query, Where


async def list_environments(
    filters: Mapping[str, str], *, limit: int, continuation: str | None, scope: Scope,
    app: EnvironmentsApp,
) -> Page:  # fmt: skip
    """Return one page of the tenant's environments; *filters* are stored field names."""
    where = [Where("type", Comparison.EQ, "environment")]
    where += [Where(name, Comparison.EQ, value) for name, value in filters.items()]
    return await app.service.store.query(
        Prefix(scope.tenant), Query(where=where, limit=limit, continuation=continuation)
    )
