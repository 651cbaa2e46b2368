"""The tests of a value's type.

https://learn.microsoft.com/azure/cosmos-db/nosql/query/system-functions#type-checking-functions
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from local_cloud.cosmos_endpoint.query.signatures import Function
from local_cloud.cosmos_endpoint.query.values import LIST_RANK, UNDEFINED, is_number, rank, whole


def _test(test: Callable[[Any], bool]) -> Function:
    return Function(1, 1, test, takes_undefined=True)


TYPE_FUNCTIONS: Final[Mapping[str, Function]] = {
    "IS_ARRAY": _test(lambda value: isinstance(value, list)),
    "IS_BOOL": _test(lambda value: isinstance(value, bool)),
    "IS_BOOLEAN": _test(lambda value: isinstance(value, bool)),
    "IS_DEFINED": _test(lambda value: value is not UNDEFINED),
    "IS_FINITE_NUMBER": _test(is_number),
    "IS_INTEGER": _test(lambda value: whole(value) is not None),
    "IS_NULL": _test(lambda value: value is None),
    "IS_NUMBER": _test(is_number),
    "IS_OBJECT": _test(lambda value: isinstance(value, dict)),
    "IS_PRIMITIVE": _test(lambda value: 0 < rank(value) < LIST_RANK),
    "IS_STRING": _test(lambda value: isinstance(value, str)),
}
