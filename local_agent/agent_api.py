"""The HTTP API of the agent: the methods of the surface, for who has its token."""

import hmac
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from shared.kernel.errors import Refused, Unavailable
from shared.surfaces.agent_calls import CALL_BYTES_MAX, CALLS, write_error

_LOG: Final = logging.getLogger(__name__)
_JSON: Final = "application/json"


def agent_api(surface: object, token: str) -> web.Application:
    """Return the API of *surface*, an implementation of Surface and Sites."""

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
        method = CALLS.get(request.match_info["method"])
        if method is None:
            return web.Response(status=404)
        body = await request.read()
        try:
            arguments = method.read_arguments(body)
            result: Any = await getattr(surface, method.name)(**arguments)
        except (Refused, Unavailable) as error:
            return answer(*write_error(error))
        except Exception:  # noqa: BLE001  the caller is told, and others go on
            _LOG.exception("%s failed", method.name)
            return answer(500, b"{}")
        return answer(200, method.write_answer(result))

    def answer(status: int, body: bytes) -> web.Response:
        return web.Response(status=status, body=body, content_type=_JSON)

    app = web.Application(middlewares=[authenticate], client_max_size=CALL_BYTES_MAX)
    app.router.add_post("/v1/{method}", call)
    return app
