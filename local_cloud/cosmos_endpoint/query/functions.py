"""The table of all functions and operators, by name."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from local_cloud.cosmos_endpoint.query.array_functions import ARRAY_FUNCTIONS
from local_cloud.cosmos_endpoint.query.date_functions import DATE_FUNCTIONS
from local_cloud.cosmos_endpoint.query.errors import SqlRefused
from local_cloud.cosmos_endpoint.query.number_functions import NUMBER_FUNCTIONS
from local_cloud.cosmos_endpoint.query.signatures import Function
from local_cloud.cosmos_endpoint.query.syntax import Call, Expression
from local_cloud.cosmos_endpoint.query.text_functions import TEXT_FUNCTIONS
from local_cloud.cosmos_endpoint.query.type_functions import TYPE_FUNCTIONS
from local_cloud.cosmos_endpoint.query.values import UNDEFINED, equal, rank

_COMPARISONS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
NOT_SERVED: Final = frozenset(
    {
        "AGO", "ALL", "DATETIMEFORMAT", "DOCUMENTID", "FIRST", "FULLTEXTCONTAINS",
        "FULLTEXTCONTAINSALL", "FULLTEXTCONTAINSANY", "FULLTEXTSCORE", "IS_DATETIME", "LAST",
        "MAKELIST", "MAKESET", "NOW", "RRF", "ST_AREA", "ST_DISTANCE", "ST_INTERSECTS",
        "ST_ISVALID", "ST_ISVALIDDETAILED", "ST_WITHIN", "VECTORDISTANCE",
    }
)  # fmt: skip
"""What Cosmos DB has and this endpoint has not."""


def compared(sign: str, left: Any, right: Any) -> Any:
    """Return how two values compare; those of two types, arrays and objects do not."""
    if type(left) is bool and type(right) is bool:
        return _COMPARISONS[sign](left, right)
    if rank(left) != rank(right) or isinstance(left, list | dict):
        return UNDEFINED
    if left is None:
        return sign in {"<=", ">="}
    return _COMPARISONS[sign](left, right)


def _comparison(sign: str) -> Function:
    return Function(2, 2, lambda left, right: compared(sign, left, right))


def _between(value: Any, low: Any, high: Any) -> Any:
    results = (compared(">=", value, low), compared("<=", value, high))
    if False in results:
        return False
    return UNDEFINED if UNDEFINED in results else True


def _is_in(value: Any, *others: Any) -> Any:
    if value is UNDEFINED:
        return UNDEFINED
    return any(other is not UNDEFINED and equal(value, other) for other in others)


FUNCTIONS: Final[Mapping[str, Function]] = {
    **ARRAY_FUNCTIONS,
    **DATE_FUNCTIONS,
    **NUMBER_FUNCTIONS,
    **TEXT_FUNCTIONS,
    **TYPE_FUNCTIONS,
    **{sign: _comparison(sign) for sign in _COMPARISONS},
    "=": Function(2, 2, equal),
    "!=": Function(2, 2, lambda left, right: not equal(left, right)),
    "BETWEEN": Function(3, 3, _between),
    "IN": Function(1, 2**31, _is_in, takes_undefined=True),
    "NOT": Function(1, 1, lambda value: not value if isinstance(value, bool) else UNDEFINED),
}
CURRENT: Final = frozenset(
    {
        "GETCURRENTDATETIME", "GETCURRENTDATETIMESTATIC", "GETCURRENTTICKS",
        "GETCURRENTTICKSSTATIC", "GETCURRENTTIMESTAMP", "GETCURRENTTIMESTAMPSTATIC",
    }
)  # fmt: skip
"""Functions of the time at which the query runs; the static ones say the same here."""
_LAZY: Final = {"IIF": 3}
"""Functions that look at one argument before the others, and how many they take."""


def checked_call(name: str, arguments: tuple[Expression, ...]) -> Call:
    """Return the call of a function that there is, with arguments that it takes.

    Raises:
        SqlRefused: there is no such function, it is not served, or takes other arguments.
    """
    if name in NOT_SERVED:
        raise SqlRefused(f"the function {name} is not served here")
    least, most = (0, 0) if name in CURRENT or name == "RAND" else (_LAZY.get(name, -1),) * 2
    if least < 0:
        function = FUNCTIONS.get(name)
        if function is None or not name[0].isalpha() or name in {"IN", "BETWEEN", "LIKE", "NOT"}:
            raise SqlRefused(f"'{name}' is not a recognized built-in function name.")
        least, most = function.least, function.most
    if not least <= len(arguments) <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        raise SqlRefused(f"The {name} function requires {wanted} argument(s).")
    return Call(name, arguments)
