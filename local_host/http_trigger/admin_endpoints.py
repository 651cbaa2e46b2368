"""The host's own paths below `/admin`: ping, status, functions, a run by hand, warm-up.

https://learn.microsoft.com/azure/azure-functions/functions-manually-run-non-http
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from local_host.http_trigger.access_keys import AccessKeys
from local_host.model import HttpAnswer, HttpCall, IndexedFunction, ManualRun

_OK: Final = HttpAnswer(HTTPStatus.OK)
_ACCEPTED: Final = HttpAnswer(HTTPStatus.ACCEPTED)
_UNAUTHORIZED: Final = HttpAnswer(HTTPStatus.UNAUTHORIZED)
_NOT_FOUND: Final = HttpAnswer(HTTPStatus.NOT_FOUND)
_RUN: Final = "/admin/functions/"


class AdminEndpoints:
    """Answers below `/admin`. With *keys*, all but ping and warm-up need the master key."""

    def __init__(
        self,
        functions: Sequence[IndexedFunction],
        manual: Mapping[str, ManualRun],
        warm_up: Callable[[], Awaitable[None]],
        keys: AccessKeys | None,
    ) -> None:
        """*manual* is by trigger type in lower case."""
        self._functions = functions
        self._manual = manual
        self._warm_up = warm_up
        self._keys = keys
        self._runs: set[asyncio.Future[None]] = set()

    async def handle(self, call: HttpCall) -> HttpAnswer:
        match call.method, call.path.lower().rstrip("/"):
            case "GET" | "POST", "/admin/host/ping":
                return _OK
            case "GET", "/admin/warmup":
                await self._warm_up()
                return _OK
            case method, path if self._keys is None or self._keys.permits(call, "ADMIN", ""):
                return self._for_administrators(method, path)
            case _:
                return _UNAUTHORIZED

    def _for_administrators(self, method: str, path: str) -> HttpAnswer:
        match method, path:
            case "GET", "/admin/host/status":
                return _json({"id": "local", "state": "Running", "version": "4.0"})
            case "GET", "/admin/functions":
                return _json([_described(function) for function in self._functions])
            case "POST", _ if path.startswith(_RUN):
                return self._run(path.removeprefix(_RUN))
            case _:
                return _NOT_FOUND

    def _run(self, name: str) -> HttpAnswer:
        function = next((f for f in self._functions if f.name.lower() == name), None)
        run = self._manual.get(function.trigger.type.lower()) if function else None
        if function is None or run is None:
            return _NOT_FOUND
        running = asyncio.ensure_future(run(function))
        self._runs.add(running)
        running.add_done_callback(self._runs.discard)
        return _ACCEPTED


def _described(function: IndexedFunction) -> dict[str, Any]:
    return {
        "name": function.name,
        "config": {"bindings": [dict(binding.properties) for binding in function.bindings]},
        "language": "python",
        "isDisabled": False,
    }


def _json(content: Any) -> HttpAnswer:
    return HttpAnswer(
        HTTPStatus.OK,
        (("content-type", "application/json; charset=utf-8"),),
        json.dumps(content).encode(),
    )
