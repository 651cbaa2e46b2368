"""Translates a Query to Cosmos DB's SQL; what is compared always travels as a parameter."""

from collections.abc import Sequence
from typing import Any

from shared.kernel.errors import Invalid
from shared.persistence.cosmos_form import stored_id
from shared.persistence.sqlite_query import checked_path
from shared.persistence.store import Comparison, Query, Where

Parameters = list[dict[str, Any]]


def translated(query: Query, top: int | None = None) -> tuple[str, Parameters]:
    """Return the SQL text of *query* and its parameters. Raises Invalid."""
    parameters: Parameters = []
    conditions = [_condition(where, parameters) for where in query.where]
    head = "SELECT *" if top is None else f"SELECT TOP {top} *"
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    direction = "DESC" if query.descending else "ASC"
    text = f"{head} FROM c{where} ORDER BY {_path(query.order_by)} {direction}"
    return text, parameters


def _path(path: str) -> str:
    if path == "id":
        return "c.id"
    # Quoted, because a name may be a word of the language (`order`, `value`).
    return "c.body" + "".join(f'["{name}"]' for name in checked_path(path).split("."))


def _condition(where: Where, parameters: Parameters) -> str:
    path, value = _path(where.path), where.value
    match where.comparison:
        case Comparison.IN:
            if isinstance(value, str) or not isinstance(value, Sequence):
                raise Invalid(f"{where.path} IN takes a list of text, got {value!r}")
            names = [_parameter(where, one, parameters) for one in value]
            return f"{path} IN ({', '.join(names)})" if names else "false"
        case Comparison.STARTS_WITH:
            if not isinstance(value, str):
                raise Invalid(f"{where.path} STARTSWITH takes text, got {value!r}")
            return f"STARTSWITH({path}, {_parameter(where, value, parameters)})"
        case comparison:
            if not isinstance(value, str | int | float | bool | None):
                raise Invalid(f"{where.path} compares with text, number, bool or null: {value!r}")
            return f"{path} {comparison.value} {_parameter(where, value, parameters)}"


def _parameter(where: Where, value: Any, parameters: Parameters) -> str:
    name = f"@p{len(parameters)}"
    if where.path == "id" and value:
        value = stored_id(value)
    parameters.append({"name": name, "value": value})
    return name
