"""Asks an instance which release it is; what it answers is foreign, and may be anything."""

import json
from typing import Final

import aiohttp

from shared.probing.bounded_body import PLAIN, BodyTooLong, read_bounded
from shared.surfaces.spec import ReleaseQuestion

TIMEOUT_S: Final = 5
_RELEASE_MAX: Final = 200
"""Longer than every version that can be expected; the answer stands in evidence and events."""


class ReleaseUnknown(Exception):
    """The instance does not say its release; the message says what it does instead."""


async def ask_release(port: int, question: ReleaseQuestion) -> str:
    """Return the release that the instance on *port* of this machine reports.

    Raises:
        ReleaseUnknown: no answer in time, no JSON, or no such field.
    """
    url = f"http://127.0.0.1:{port}{question.path}"
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session,
            session.get(url, headers=PLAIN, allow_redirects=False) as response,
        ):
            status, body = response.status, await read_bounded(response)
    except TimeoutError:
        raise ReleaseUnknown(f"no answer within {TIMEOUT_S} s") from None
    except (aiohttp.ClientError, BodyTooLong, ValueError) as failed:
        raise ReleaseUnknown(str(failed) or type(failed).__name__) from failed
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
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
