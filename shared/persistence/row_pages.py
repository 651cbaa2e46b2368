"""Pages of the rows of a partition, newest first, where row keys begin with their instant."""

import re
from collections.abc import Sequence
from typing import Final

from shared.kernel.dataclass import dataclass
from shared.persistence.query_rules import PAGE_MAX, no_continuation
from shared.persistence.tables import Table, TableRow

INSTANT: Final = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"


@dataclass(frozen=True)
class RowPage:
    """Some rows, and the key after which the next page begins; None where this is the last."""

    rows: Sequence[TableRow]
    continuation: str | None


async def newest_page(
    table: Table,
    partition_key: str,
    *,
    limit: int,
    continuation: str | None,
    after: str = "",
    key: str = INSTANT,
) -> RowPage:
    """Return at most *limit* rows, 1 to 1,000, before *continuation* and with a key above *after*.

    Raises:
        Invalid: *continuation* has not the form of a *key*, so no page ended there.
    """
    if continuation is not None and re.fullmatch(key, continuation, re.ASCII) is None:
        raise no_continuation(continuation)

    async def older(than: str | None, count: int) -> Sequence[TableRow]:
        return await table.scan(
            partition_key, after=after, before=than, limit=count, newest_first=True
        )

    # One more than is shown, so that a full last page leads to no empty one.
    rows = [*await older(continuation, min(limit + 1, PAGE_MAX))]
    if len(rows) == limit == PAGE_MAX:
        rows += await older(rows[-1].row_key, 1)
    page = rows[:limit]
    return RowPage(page, page[-1].row_key if len(rows) > limit else None)
