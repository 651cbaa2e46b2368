"""Answers the calls of an API, for who has the token, on a socket in a folder."""

import hmac
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from shared.kernel.errors import Refused, Unavailable
from shared.persistence.plain_files import remove
from shared.persistence.unix_sockets import short_name
from shared.rpc.api import CALL_BYTES_MAX, Api

_LOG: Final = logging.getLogger(__name__)
_JSON: Final = "application/json"


@asynccontextmanager
async def served(api: Api, port: object, token: str, socket: Path) -> AsyncIterator[None]:
    """Answer the calls of *api* by *port*, its implementation, on *socket* while inside."""
    runner = web.AppRunner(application(api, port, token), access_log=None)
    await runner.setup()
    try:
        remove(socket)
        with short_name(socket) as name:
            await web.UnixSite(runner, name).start()
        yield
    finally:
        await runner.cleanup()


def application(api: Api, port: object, token: str) -> web.Application:
    """Return the HTTP application of *api* for *port*, its implementation."""

    @web.middleware
    async def authenticate(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        # Before the body is read, and in a time that does not depend on how much of it is right.
        credential = request.headers.get("Authorization", "").encode(errors="surrogateescape")
        if not hmac.compare_digest(credential, f"Bearer {token}".encode()):
            return web.Response(status=401)
        return await handler(request)

    async def call(request: web.Request) -> web.Response:
        method = api.calls.get(request.match_info["method"])
        if method is None:
            return web.Response(status=404)
        body = await request.read()
        try:
            arguments = method.read_arguments(body)
            result: Any = await getattr(port, method.name)(**arguments)
        except (Refused, Unavailable) as error:
            return answer(*api.write_error(error))
        except Exception:  # noqa: BLE001  the caller is told, and others go on
            _LOG.exception("%s failed", method.name)
            return answer(500, b"{}")
        return answer(200, method.write_answer(result))

    def answer(status: int, body: bytes) -> web.Response:
        return web.Response(status=status, body=body, content_type=_JSON)

    app = web.Application(middlewares=[authenticate], client_max_size=CALL_BYTES_MAX)
    app.router.add_post("/v1/{method}", call)
    return app
