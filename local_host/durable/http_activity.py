"""The built-in activity behind `context.call_http`: one request, no polling of a 202."""

import json
from collections.abc import Mapping
from typing import Any, Final

_TIMEOUT_S: Final = 100.0
"""`httpTimeout` of the extension's default HttpClient."""


class HttpCallFailed(Exception):
    """There was no answer."""


async def call_http(request: Mapping[str, Any]) -> str:
    """Send *request* as the action has it; return status, headers and content as JSON text.

    Raises:
        HttpCallFailed: there was no answer.
    """
    import aiohttp  # noqa: PLC0415  only who uses Durable HTTP pays for it

    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.request(
                request["method"],
                request["uri"],
                data=request.get("content"),
                headers=request.get("headers") or {},
            ) as response,
        ):
            answer = {
                "statusCode": response.status,
                "headers": dict(response.headers),
                "content": await response.text(),
            }
    except (aiohttp.ClientError, OSError, TimeoutError) as problem:
        raise HttpCallFailed(f"{type(problem).__name__}: {problem}") from problem
    return json.dumps(answer)
