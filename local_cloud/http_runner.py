"""How the local cloud's HTTP endpoints are run: what a head may have, and what a bad one is told.

aiohttp quotes a head that it cannot read in its log and in its answer, and that may be of a token.
"""

import logging
from typing import Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

HEAD_MAX_BYTES: Final = 32 * 1024
"""Of its first line, and of one field: a token has 16 KiB at most, a key of Cosmos DB 2, escaped.
Beyond it Azure's front ends break the connection off, or answer 400 as here."""
_log = logging.getLogger(__name__)


class HttpRunner(web.AppRunner):
    """Runs *app* without an access log; it ends a second after it is told to."""

    __slots__ = ()

    def __init__(self, app: web.Application) -> None:
        super().__init__(
            app,
            access_log=None,
            shutdown_timeout=1.0,
            max_field_size=HEAD_MAX_BYTES,
            max_line_size=HEAD_MAX_BYTES,
        )

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        server.__class__ = _Server  # aiohttp asks nobody of which class its connections are
        return server


class _Server(web.Server):
    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Connection(web.RequestHandler):
    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer without a word of the request where its head cannot be read."""
        if not isinstance(exc, HttpProcessingError):
            return super().handle_error(request, status, exc, message)
        reason = type(exc).__name__
        _log.info("a request's head cannot be read: %s", reason)
        answer = web.Response(status=status, text=f"the request's head cannot be read: {reason}")
        answer.force_close()
        return answer
