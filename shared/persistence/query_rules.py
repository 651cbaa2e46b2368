"""The checks of a query before it runs; every adapter makes the same ones."""

import re
from collections.abc import Sequence
from typing import Final

from shared.kernel.errors import Invalid
from shared.persistence.store import AnyOf, Comparison, Query, Where

PAGE_MAX: Final = 1000
DUE_MAX: Final = 100
PAGE_MAX_BYTES: Final = 4 * 1024 * 1024
"""Cosmos DB's own bound, https://learn.microsoft.com/azure/cosmos-db/concepts-limits."""
CONTINUATION_MAX: Final = 16 * 1024
IN_MAX: Final = 1000
NUMBER_MAX: Final = 2**63 - 1
"""SQLite's integers end there; Cosmos DB's numbers are exact to 2**53."""
_PATH: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")


def page_limit(limit: int) -> int:
    """Return *limit* if a page may hold as many documents. Raises Invalid."""
    if not 1 <= limit <= PAGE_MAX:
        raise Invalid(f"a page has 1 to {PAGE_MAX} documents, got {limit}")
    return limit


def feed_limit(limit: int) -> int:
    """Return how many changes a page holds when *limit* are asked for. Raises Invalid."""
    if limit < 1:
        raise Invalid(f"a page of changes has at least 1 document, got {limit}")
    return min(limit, PAGE_MAX)


def _check_path(path: str) -> None:
    if not _PATH.fullmatch(path):
        raise Invalid(f"a query's path is names joined by dots, got {path[:80]!r}")


def checked_query(query: Query) -> Query:
    """Return *query* if every store can run it. Raises Invalid."""
    page_limit(query.limit)
    _check_path(query.order_by)
    checked_continuation(query.continuation)
    for condition in query.where:
        for where in condition.conditions if isinstance(condition, AnyOf) else [condition]:
            _check(where)
    return query


def checked_continuation(continuation: str | None) -> str | None:
    """Return *continuation* if a page may have ended with it. Raises Invalid."""
    if continuation is not None and len(continuation) > CONTINUATION_MAX:
        raise no_continuation(continuation)
    return continuation


def no_continuation(text: str | None) -> Invalid:
    return Invalid(
        f"not where a page of this query ended: {text!r:.80}",
        code="InvalidContinuation",
        target="continuation",
    )


def _check(where: Where) -> None:
    _check_path(where.path)
    if where.comparison is Comparison.IN:
        texts_of(where)
    elif where.comparison is Comparison.STARTS_WITH or where.path == "id":
        text_of(where)
    elif isinstance(where.value, str):
        _unicode(where, where.value)
    elif isinstance(where.value, int | float):
        if not -NUMBER_MAX <= where.value <= NUMBER_MAX:
            raise Invalid(f"{where.path} compares with numbers of at most 64 bits")
    elif where.value is not None:
        raise Invalid(
            f"{where.path} compares with text, number, bool or null, got {str(where.value)[:80]!r}"
        )


def text_of(where: Where) -> str:
    """Return the text that *where* compares with. Raises Invalid."""
    return _unicode(where, where.value)


def texts_of(where: Where) -> Sequence[str]:
    """Return the list of text that *where* compares with. Raises Invalid."""
    values = where.value
    if isinstance(values, str) or not isinstance(values, Sequence) or len(values) > IN_MAX:
        raise Invalid(f"{where.path} IN takes a list of at most {IN_MAX} texts")
    return [_unicode(where, value) for value in values]


def _unicode(where: Where, value: object) -> str:
    if not isinstance(value, str):
        raise Invalid(f"{where.path} {where.comparison} takes text, got {value!r}")
    if not is_unicode(value):
        raise Invalid(f"{where.path} compares with Unicode text, got {value[:80]!r}")
    return value


def is_unicode(text: str) -> bool:
    """Return whether *text* has no lone surrogates, which no store can compare with."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
