"""The plan of a query: what an SDK asks of each range of keys, and how it joins the answers.

Form and rewritten texts are those of Microsoft's `QueryPlanBaselineTests`
(https://github.com/Azure/azure-cosmos-dotnet-v3). An SDK that is answered directly needs none.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final

from local_cloud.cosmos_endpoint.query.errors import SqlRefused
from local_cloud.cosmos_endpoint.query.parser import parse
from local_cloud.cosmos_endpoint.query.syntax import (
    Aggregate,
    Column,
    Select,
    Subquery,
    nodes_of,
)
from shared.persistence.effective_key import SPLIT

_FILTER: Final = "{documentdb-formattableorderbyquery-filter}"
"""An SDK puts the place in here from which it goes on, or true."""
_KINDS: Final = {"COUNT": "Count", "SUM": "Sum", "AVG": "Average", "MIN": "Min", "MAX": "Max"}
_EVERYWHERE: Final = {"min": "", "max": "FF", "isMinInclusive": True, "isMaxInclusive": False}


def plan_of(
    text: str, parameters: Mapping[str, Any], features: Collection[str] = ()
) -> dict[str, Any]:
    """Return the plan of the query *text* for an SDK that has *features*.

    Raises:
        SqlRefused: it is no query, or its answers for ranges of keys cannot be joined.
    """
    select = parse(text, parameters)
    if _counted(select) is not None and "DCount" not in features:
        raise SqlRefused("this SDK cannot join counts of distinct values: count them yourself")
    # Without FROM there is one row, not one for each range.
    ranges = _EVERYWHERE if select.sources else {**_EVERYWHERE, "max": SPLIT}
    return {
        "partitionedQueryExecutionInfoVersion": 2,
        "queryInfo": _info(select),
        "queryRanges": [ranges],
    }


def _info(select: Select) -> dict[str, Any]:
    inner = _counted(select)
    if inner is not None:
        alias = select.columns[0].name or ""
        counted = {"dCountAlias": alias}
        return {
            **_info(inner), "hasSelectValue": select.is_value,
            "dCountInfo": counted, "rewrittenQuery": _text(inner),
        }  # fmt: skip
    _check_joinable(select)
    aggregates = [
        column.value.expression.kind
        for column in select.columns
        if isinstance(column.value.expression, Aggregate)
    ]
    named = [] if select.is_value or not select.is_grouped else select.columns
    return {
        "distinctType": _distinct_type(select),
        "top": select.top,
        "offset": select.offset if select.has_offset else None,
        "limit": select.limit,
        "orderBy": ["Descending" if term.descends else "Ascending" for term in select.order_by],
        "orderByExpressions": [term.value.text for term in select.order_by],
        "groupByExpressions": [term.text for term in select.group_by],
        "groupByAliases": [column.name for column in named],
        "aggregates": [_KINDS[kind] for kind in aggregates] if select.is_value else [],
        "groupByAliasToAggregateType": {column.name: _kind_of(column) for column in named},
        "rewrittenQuery": _rewritten(select),
        "hasSelectValue": select.is_value,
        "dCountInfo": None,
        "hasNonStreamingOrderBy": False,
    }


def _counted(select: Select) -> Select | None:
    """Return the inner query of a count of distinct values, which SDKs join by themselves."""
    if len(select.sources) != 1 or len(select.columns) != 1 or select.where is not None:
        return None
    collection, value = select.sources[0].collection, select.columns[0].value.expression
    if not isinstance(collection, Subquery) or collection.kind != "ROOT":
        return None
    is_count = isinstance(value, Aggregate) and value.kind == "COUNT"
    return collection.select if is_count and collection.select.is_distinct else None


def _check_joinable(select: Select) -> None:
    if any(
        isinstance(source.collection, Subquery) and source.collection.kind == "ROOT"
        for source in select.sources
    ):
        raise SqlRefused("FROM (SELECT …) over more than one partition is not served here")
    for column in select.columns:
        expression = column.value.expression
        if isinstance(expression, Aggregate):
            continue
        if any(isinstance(node, Aggregate) for node in nodes_of(expression)):
            raise SqlRefused("Compositions of aggregates and other expressions are not allowed.")


def _distinct_type(select: Select) -> str:
    if not select.is_distinct:
        return "None"
    ordered = [term.value.expression for term in select.order_by]
    shown = [column.value.expression for column in select.columns]
    return "Ordered" if ordered and ordered == shown else "Unordered"


def _kind_of(column: Column) -> str | None:
    expression = column.value.expression
    return _KINDS[expression.kind] if isinstance(expression, Aggregate) else None


def _rewritten(select: Select) -> str:
    """Return what is asked of each range; nothing where that is the query itself."""
    if select.is_grouped:
        return _grouped(select)
    if select.order_by:
        return _ordered(select)
    if select.has_offset:
        most = select.offset + (select.limit or 0)
        head = f"SELECT {'DISTINCT ' if select.is_distinct else ''}{_columns(select)}"
        tail = "" if select.is_distinct else f" OFFSET 0 LIMIT {most}"
        return f"{head} {select.from_text}{_where(select)}{tail}"
    return _text(select) if select.is_distinct and select.top is not None else ""


def _grouped(select: Select) -> str:
    items = ", ".join(f'{{"item": {term.text}}}' for term in select.group_by)
    if select.is_value and not select.group_by:
        head = f"SELECT VALUE [{_partial(select.columns[0])}]"
    else:
        groups = f"[{items}] AS groupByItems, " if select.group_by else ""
        head = f"SELECT {groups}{_payload(select)} AS payload"
    group_by = ", ".join(term.text for term in select.group_by)
    tail = f" GROUP BY {group_by}" if group_by else ""
    return f"{head} {select.from_text}{_where(select)}{tail}"


def _payload(select: Select) -> str:
    if select.is_value:
        column = select.columns[0]
        partial = _partial(column)
        return f"[{partial}]" if isinstance(column.value.expression, Aggregate) else partial
    fields = (f"{_quoted(column.name)}: {_partial(column)}" for column in select.columns)
    return f"{{{', '.join(fields)}}}"


def _partial(column: Column) -> str:
    """Return what an SDK needs of one range for a column of a grouped query."""
    match column.value.expression:
        case Aggregate("AVG", _, text):
            return f'{{"item": {{"sum": SUM({text}), "count": COUNT({text})}}}}'
        case Aggregate("MIN" | "MAX" as kind, _, text):
            extreme = f'{{"{kind.lower()}": {kind}({text}), "count": COUNT({text})}}'
            return f'{{"item": {kind}({text}), "item2": {extreme}}}'
        case Aggregate(kind, _, text):
            return f'{{"item": {kind}({text})}}'
        case _:
            return column.value.text


def _ordered(select: Select) -> str:
    alias = select.sources[0].alias
    items = ", ".join(f'{{"item": {term.value.text}}}' for term in select.order_by)
    terms = ", ".join(
        f"{term.value.text} {'DESC' if term.descends else 'ASC'}" for term in select.order_by
    )
    payload = alias if not select.columns else _payload(select)
    where = f"({_FILTER})"
    if select.where is not None:
        where = f"(({select.where.text}) AND {where})"
    if select.is_value and select.is_distinct:
        where = f"({where} AND IS_DEFINED({select.columns[0].value.text}))"
    most = select.offset + select.limit if select.limit is not None else None
    bounds = [bound for bound in (select.top, most) if bound is not None]
    top = f"TOP {min(bounds)} " if bounds and not select.is_distinct else ""
    return (
        f"SELECT {top}{alias}._rid, [{items}] AS orderByItems, {payload} AS payload"
        f" {select.from_text} WHERE {where} ORDER BY {terms}"
    )


def _text(select: Select) -> str:
    """Return *select* without its TOP, OFFSET and LIMIT."""
    distinct = "DISTINCT " if select.is_distinct else ""
    return f"SELECT {distinct}{_columns(select)} {select.from_text}{_where(select)}"


def _columns(select: Select) -> str:
    if not select.columns:
        return "*"
    if select.is_value:
        return f"VALUE {select.columns[0].value.text}"
    return ", ".join(column.text for column in select.columns)


def _where(select: Select) -> str:
    return "" if select.where is None else f" WHERE {select.where.text}"


def _quoted(name: str | None) -> str:
    return '"' + str(name).replace("\\", "\\\\").replace('"', '\\"') + '"'
