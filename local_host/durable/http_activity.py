"""The built-in activity behind `context.call_http`: one request, no polling of a 202."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from local_host.invocation.user_code import described

if TYPE_CHECKING:
    import aiohttp

_TIMEOUT_S: Final = 100.0
"""`httpTimeout` of the extension's default HttpClient."""


CONTENT_MAX_BYTES: Final = 16 * 1024 * 1024
"""Ours: an answer becomes part of a history, which is read whole."""


class HttpCallFailed(Exception):
    """There was no answer, or none that can be handed on."""


async def call_http(request: Mapping[str, Any]) -> str:
    """Send *request* as the action has it; return status, headers and content as JSON text.

    Raises:
        HttpCallFailed: the request cannot be sent, there was no answer, or it is too long.
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
                "content": await _text(response),
            }
    except Exception as problem:
        raise HttpCallFailed(described(problem)) from problem
    return json.dumps(answer)


async def _text(response: "aiohttp.ClientResponse") -> str:
    """Return the body as text; bytes that are none in its encoding are replaced."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > CONTENT_MAX_BYTES:
            raise HttpCallFailed(f"the answer has more than {CONTENT_MAX_BYTES} bytes")
    try:
        return body.decode(response.get_encoding(), "replace")
    except LookupError:
        return body.decode(errors="replace")
