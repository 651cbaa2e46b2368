"""Which ids a query can find, so that the others need not be looked at."""

from local_cloud.cosmos_endpoint.query.syntax import Call, Constant, Expression, Select, path_of


def ids_in(select: Select) -> frozenset[str] | None:
    """Return the ids that WHERE leaves over; None when it may be any."""
    if select.where is None or not select.sources or select.sources[0].collection is not None:
        return None
    source = select.sources[0]
    ids = None if source.iterates else _left_over(select.where.expression, source.alias)
    return None if ids is None or not all(map(_is_plain, ids)) else ids


def _left_over(condition: Expression, alias: str) -> frozenset[str] | None:
    match condition:
        case Call("=", (left, Constant(value))) | Call("=", (Constant(value), left)):
            return _texts([value]) if _is_id(left, alias) else None
        case Call("IN", (left, *others)) if _is_id(left, alias):
            values = [other.value for other in others if isinstance(other, Constant)]
            return _texts(values) if len(values) == len(others) else None
        case Call("AND", terms):
            sets = [ids for term in terms if (ids := _left_over(term, alias)) is not None]
            return frozenset.intersection(*sets) if sets else None
        case Call("OR", terms):
            sets = [ids for term in terms if (ids := _left_over(term, alias)) is not None]
            return frozenset().union(*sets) if len(sets) == len(terms) else None
        case _:
            return None


def _is_id(expression: Expression, alias: str) -> bool:
    return path_of(expression) == (alias, ("id",))


def _texts(values: list[object]) -> frozenset[str]:
    return frozenset(value for value in values if isinstance(value, str))


def _is_plain(value: str) -> bool:
    """Return whether SQLite finds *value* in JSON as it is: it ends texts at a NUL."""
    return "\0" not in value and not any("\ud800" <= sign <= "\udfff" for sign in value)
