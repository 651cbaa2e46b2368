"""Translates a Query to Cosmos DB's SQL; every value travels as a parameter.

Queries are those that `query_rules` let pass.
"""

from typing import Any

from shared.persistence.cosmos_form import stored_id
from shared.persistence.query_rules import text_of, texts_of
from shared.persistence.store import AnyOf, Comparison, Condition, Query, Where

Parameters = list[dict[str, Any]]


def translated(query: Query, top: int | None = None) -> tuple[str, Parameters]:
    """Return the SQL text of *query* and its parameters."""
    parameters: Parameters = []
    conditions = [_condition(where, parameters) for where in query.where]
    head = "SELECT *" if top is None else f"SELECT TOP {top} *"
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    direction = "DESC" if query.descending else "ASC"
    return f"{head} FROM c{where} ORDER BY {_path(query.order_by)} {direction}", parameters


def _path(path: str) -> str:
    if path == "id":
        return "c.id"
    # Quoted, because a name may be a word of the language (`order`, `value`).
    return "c.body" + "".join(f'["{name}"]' for name in path.split("."))


def _condition(where: Condition, parameters: Parameters) -> str:
    if isinstance(where, AnyOf):
        terms = [_condition(each, parameters) for each in where.conditions]
        return f"({' OR '.join(terms) or 'false'})"
    path = _path(where.path)
    match where.comparison:
        case Comparison.IN:
            names = [_parameter(where, text, parameters) for text in texts_of(where)]
            return f"{path} IN ({', '.join(names)})" if names else "false"
        case Comparison.STARTS_WITH:
            return f"STARTSWITH({path}, {_parameter(where, text_of(where), parameters)})"
        case Comparison.IS_NOT:
            equal = f"{path} = {_parameter(where, where.value, parameters)}"
            return f"NOT (IS_DEFINED({path}) AND {equal})"
        case comparison:
            return f"{path} {comparison.value} {_parameter(where, where.value, parameters)}"


def _parameter(where: Where, value: Any, parameters: Parameters) -> str:
    name = f"@p{len(parameters)}"
    if where.path == "id" and value:
        value = stored_id(value)
    parameters.append({"name": name, "value": value})
    return name
