"""A Datasette plugin with a mistake: one page answers every third request with 500."""

import itertools
import json
from collections.abc import Awaitable, Callable
from typing import Any

from datasette import hookimpl

PAGE = "/-/versions.json"
FAILS_EACH = 3
RELEASE = "0.65.5-failing"
Application = Callable[..., Awaitable[Any]]


@hookimpl
def asgi_wrapper() -> Callable[[Application], Application]:
    asked = itertools.count(1)

    def wrap(app: Application) -> Application:
        async def answer(scope: dict[str, Any], receive: Any, send: Any) -> None:
            is_page = scope["type"] == "http" and scope["path"] == PAGE
            if not is_page or next(asked) % FAILS_EACH:
                await app(scope, receive, send)
                return
            body = json.dumps({"error": "a mistake", "version": RELEASE}).encode()
            headers = [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
            ]
            await send({"type": "http.response.start", "status": 500, "headers": headers})
            await send({"type": "http.response.body", "body": body})

        return answer

    return wrap
