"""Amounts as Kubernetes writes them: `250m`, `1Gi`, `2`."""

import re
from decimal import Decimal
from typing import Final

MIB: Final = 2**20
_QUANTITY: Final = re.compile(
    r"(-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))(?:[eE]([+-]?[0-9]{1,3})|([numkMGTPE]|[KMGTPE]i))?"
)
_DECIMAL: Final = "numkMGTPE"
_EXPONENTS: Final = dict(zip(_DECIMAL, (-9, -6, -3, 3, 6, 9, 12, 15, 18), strict=True))
_BINARY: Final = "KMGTPE"


def amount(text: object) -> Decimal:
    """Return the number that a quantity of the API server stands for.

    Raises:
        ValueError: it is none.
    """
    found = _QUANTITY.fullmatch(str(text))
    if found is None:
        raise ValueError(f"{str(text)[:90]!r} is no quantity")
    number, suffix = Decimal(found[1]).scaleb(int(found[2] or 0)), found[3] or ""
    if suffix.endswith("i"):
        return number * Decimal(1024) ** (_BINARY.index(suffix[0]) + 1)
    return number.scaleb(_EXPONENTS.get(suffix, 0))
