"""Ports as they are typed."""

import argparse
from typing import Final

_PORT_MAX: Final = 65_535


def port_number(text: str) -> int:
    """Return the port *text*, 0 for any. Raises ArgumentTypeError, for a parser of options."""
    if not text.isdecimal() or int(text) > _PORT_MAX:
        raise argparse.ArgumentTypeError(f"expected 0 to {_PORT_MAX}, got {text!r}")
    return int(text)
