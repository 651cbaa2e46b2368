"""A Datasette plugin with a mistake: every request waits for something that takes 300 ms."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from datasette import hookimpl

DELAY_S = 0.3
Application = Callable[..., Awaitable[Any]]


@hookimpl
def asgi_wrapper() -> Callable[[Application], Application]:
    def wrap(app: Application) -> Application:
        async def wait_first(scope: dict[str, Any], *ends: Any) -> None:
            if scope["type"] == "http":
                await asyncio.sleep(DELAY_S)  # noqa: TID251  the mistake itself
            await app(scope, *ends)

        return wait_first

    return wrap
