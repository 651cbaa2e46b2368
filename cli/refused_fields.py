"""What a contract of the platform refuses of a body, before anything is sent."""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cli.failure import Detail

if TYPE_CHECKING:
    from shared.contracts.shape import Command
    from shared.kernel.errors import Violation


def refused_fields(contract: "type[Command]", body: Mapping[str, Any]) -> Iterator[Detail]:
    """Yield what *contract* refuses of *body*."""
    from shared.contracts.validation import parse  # noqa: PLC0415  slow to import
    from shared.kernel.errors import Invalid  # noqa: PLC0415

    try:
        parse(contract, json.dumps(body).encode())
    except Invalid as wrong:
        yield from map(detail_of, wrong.details)


def detail_of(violation: "Violation") -> Detail:
    """Return *violation* as the command line names it."""
    return Detail(
        violation.target,
        violation.message,
        violation.expected or "",
        violation.received or "",
        violation.code,
    )
