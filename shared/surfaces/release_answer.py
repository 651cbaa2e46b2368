"""What an instance answers about its release; it is foreign, and may be anything."""

from typing import Final

from pydantic_core import from_json

from shared.surfaces.spec import ReleaseQuestion

_RELEASE_MAX: Final = 200
"""Longer than every version that can be expected; the answer stands in evidence and events."""


class ReleaseUnknown(Exception):
    """The instance does not say its release; the message says what it does instead."""


def release_in(status: int, body: bytes, question: ReleaseQuestion) -> str:
    """Return the release in an answer.

    Raises:
        ReleaseUnknown: it is no JSON, or has no such field.
    """
    try:
        answer = from_json(body, allow_inf_nan=False)
    except ValueError:  # no JSON, no UTF-8, half of a character, nested too deep
        raise ReleaseUnknown(f"expected JSON, the answer is {status} without") from None
    for part in question.field.split("."):
        if not isinstance(answer, dict) or part not in answer:
            raise ReleaseUnknown(f"the JSON of its answer {status} has no {part!r}")
        answer = answer[part]
    if isinstance(answer, dict | list):
        raise ReleaseUnknown(f"expected a text or number, the field has {_kind(answer)}")
    return str(answer)[:_RELEASE_MAX]


def _kind(value: object) -> str:
    return "a list" if isinstance(value, list) else "an object"
