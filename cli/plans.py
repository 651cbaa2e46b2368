"""What a plan refuses: printed, and the exit code of a plan that cannot be carried out."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cli.exit_codes import ExitCode
from cli.failure import Detail, Failure
from cli.field_names import field_name
from cli.output import say
from cli.remedies import REMEDIES
from cli.remedy_lookup import remedy_for
from cli.typed import as_typed

_PLACE: Final = re.compile(r"^((?:/[A-Za-z0-9~_-]+)+): ")
"""A JSON pointer."""


def print_refusals(refusals: Sequence[Mapping[str, Any]]) -> None:
    """Print each refusal of a plan as a line."""
    for refusal in refusals:
        target = refusal.get("target") or ""
        place = f"{field_name(target) or target}: " if target else ""
        say(as_typed(f"refused: {place}{_in_words(refusal['message'])} [{refusal['code']}]"))


def require_plannable(refusals: Sequence[Mapping[str, Any]], *, are_shown: bool = True) -> None:
    """Raise for a plan with refusals, with the remedy of the first that has one.

    Unless they *are_shown*, the failure has them as its details.
    """
    if not refusals:
        return
    known = [refusal for refusal in refusals if refusal["code"] in REMEDIES]
    first: Mapping[str, Any] = known[0] if known else {"code": "PlanRefused", "message": ""}
    raise Failure(
        f"it is not plannable as it stands: {len(refusals)} refused",
        ExitCode.REFUSED,
        code="PlanRefused",
        remedy=remedy_for(first["code"], first["message"], ExitCode.REFUSED),
        details=[] if are_shown else [_detail(refusal) for refusal in refusals],
    )


def _in_words(message: str) -> str:
    """Return *message*, which may begin with the place that it is about, with that as typed."""
    return _PLACE.sub(lambda place: f"{field_name(place[1])}: ", message)


def _detail(refusal: Mapping[str, Any]) -> Detail:
    message = f"{_in_words(refusal['message'])} [{refusal['code']}]"
    return Detail(refusal.get("target", ""), message, code=refusal["code"])
