"""The Durable extension's endpoint on loopback: what a client starts and raises, and nothing runs.

An instance that was started runs for ever, so a second start of it is refused as by the extension.
"""

from collections.abc import Iterable
from typing import Any, Self

from aiohttp import web
from azure.durable_functions.models.utils.http_utils import _handle_request_error

from local_host.durable.management_urls import ManagementUrls


class DurableExtension:
    """Keeps what was started, by instance, and which events were raised; enter it to serve."""

    def __init__(self) -> None:
        self.port = 0
        self.started: dict[str, tuple[str, Any]] = {}
        self.raised: set[tuple[str, str]] = set()
        self._running: set[str] = set()
        self._runner: web.AppRunner | None = None

    @staticmethod
    def binding_value(port: int) -> str:
        """Return what the client binding of a function holds that reaches it on *port*."""
        root = f"http://127.0.0.1:{port}"
        return ManagementUrls("Wire", f"{root}/webhooks", f"{root}/rpc/", "").binding_value(None)

    def begin(self, running: Iterable[str]) -> None:
        """Have *running* instances from before, and nothing started or raised."""
        self._running = set(running)
        self.started.clear()
        self.raised.clear()

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/rpc/orchestrators/{name}/{instance}", self._start)
        app.router.add_post("/rpc/instances/{instance}/raiseEvent/{name}", self._raise)
        app.router.add_get("/rpc/instances/{instance}", self._show)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = int(self._runner.addresses[0][1])
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await _handle_request_error()  # the library keeps one session for all, and never closes it
        await self._runner.cleanup()

    async def _start(self, request: web.Request) -> web.Response:
        name, instance = request.match_info["name"], request.match_info["instance"]
        if instance in self._running | self.started.keys():
            text = f"An Orchestration instance with the status Running already exists: {instance}"
            return web.json_response({"message": text}, status=500)
        self.started[instance] = (name, await request.json())
        return web.json_response({"id": instance}, status=202)

    async def _raise(self, request: web.Request) -> web.Response:
        self.raised.add((request.match_info["instance"], request.match_info["name"]))
        return web.Response(status=202)

    async def _show(self, request: web.Request) -> web.Response:
        instance = request.match_info["instance"]
        if instance not in self._running | self.started.keys():
            return web.Response(status=404)
        shown = {"instanceId": instance, "runtimeStatus": "Running"}
        return web.json_response(shown, status=202)
