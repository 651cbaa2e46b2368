"""Numbers of providers, of which those that are finite and not negative are measurements."""

from shared.kernel.errors import Unavailable
from shared.kernel.foreign_numbers import finite_number


def measured_number(value: object, what: str = "its value") -> float:
    """Return the number that *value*, or its text, is. Raises Unavailable, which names *what*."""
    number = finite_number(value)
    if number is None:
        raise Unavailable(f"{what} is {str(value)[:40]}")
    if number < 0:
        raise Unavailable(f"{what} is negative: {str(value)[:40]}")
    return number
