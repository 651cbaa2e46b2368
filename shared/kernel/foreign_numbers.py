"""Numbers in the answers of others, which may be any that JSON can write."""

import math
import re
from typing import Final

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def finite_number(value: object) -> float | None:
    """Return *value*, a number or the text of one, as a float; None where no float holds it.

    `1e999`, an integer of 400 digits, NaN, a truth value and `1_0` are none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        return None
    try:
        number = float(value)
    except OverflowError:  # of an integer; text becomes an infinity
        return None
    return number if math.isfinite(number) else None
