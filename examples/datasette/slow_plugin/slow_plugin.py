"""A Datasette plugin with a mistake: every request waits for something that takes 300 ms."""

import asyncio

from datasette import hookimpl

DELAY_S = 0.3


@hookimpl
def asgi_wrapper(datasette):
    def wrap(app):
        async def wait_first(scope, receive, send):
            if scope["type"] == "http":
                await asyncio.sleep(DELAY_S)  # noqa: TID251  the mistake itself
            await app(scope, receive, send)

        return wait_first

    return wrap
