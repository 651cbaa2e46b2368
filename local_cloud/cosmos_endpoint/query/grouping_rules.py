"""What may stand in the select list of a query with GROUP BY or aggregates."""

from local_cloud.cosmos_endpoint.query.errors import SqlRefused
from local_cloud.cosmos_endpoint.query.syntax import (
    Aggregate,
    Alias,
    Expression,
    Select,
    Subquery,
    children_of,
    nodes_of,
)


def check_groups(select: Select) -> None:
    """Refuse what has no one value for a group. Raises SqlRefused."""
    for column in select.columns:
        for node in nodes_of(column.value.expression):
            if isinstance(node, Aggregate):
                _check_argument(node)
    if not select.is_grouped:
        return
    if not select.columns:
        raise SqlRefused("'SELECT *' is not allowed with GROUP BY.")
    if select.order_by and select.group_by:
        raise SqlRefused("ORDER BY is not allowed with GROUP BY.")
    groups = {term.expression for term in select.group_by if _is_hashable(term.expression)}
    for column in select.columns:
        _check_column(column.value.expression, groups)


def _check_argument(aggregate: Aggregate) -> None:
    inner = list(nodes_of(aggregate.argument))
    if any(isinstance(node, Aggregate | Subquery) for node in inner):
        raise SqlRefused(
            "Cannot perform an aggregate function on an expression containing an aggregate or a"
            " subquery."
        )


def _check_column(expression: Expression, groups: set[Expression]) -> None:
    if isinstance(expression, Aggregate) or (_is_hashable(expression) and expression in groups):
        return
    if isinstance(expression, Alias | Subquery):
        raise SqlRefused(
            "a property is invalid in the select list because it is not contained in either an"
            " aggregate function or the GROUP BY clause"
        )
    for child in children_of(expression):
        _check_column(child, groups)


def _is_hashable(expression: Expression) -> bool:
    """Return whether *expression* can be compared: a parameter may be a list."""
    try:
        hash(expression)
    except TypeError:
        return False
    return True
