"""The host's own paths below `/admin`: ping, status, metrics, functions, a run by hand, warm-up.

https://learn.microsoft.com/azure/azure-functions/functions-manually-run-non-http
"""

import asyncio
import json
import logging
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from local_host.http_trigger.access_keys import AccessKeys
from local_host.model import HttpAnswer, HttpCall, IndexedFunction, ManualRun
from shared.telemetry.exporters import prometheus_text

_log = logging.getLogger("local_host.http")
_OK: Final = HttpAnswer(HTTPStatus.OK)
_ACCEPTED: Final = HttpAnswer(HTTPStatus.ACCEPTED)
_UNAUTHORIZED: Final = HttpAnswer(HTTPStatus.UNAUTHORIZED)
_BAD_REQUEST: Final = HttpAnswer(HTTPStatus.BAD_REQUEST)
_NOT_FOUND: Final = HttpAnswer(HTTPStatus.NOT_FOUND)
_RUN: Final = "/admin/functions/"
_METRICS: Final = "/admin/host/metrics"
_PROMETHEUS: Final = "text/plain; version=0.0.4; charset=utf-8"


class AdminEndpoints:
    """Answers below `/admin`. With *keys*, all but ping and warm-up need the master key."""

    def __init__(
        self,
        functions: Sequence[IndexedFunction],
        manual: Mapping[str, ManualRun],
        warm_up: Callable[[], Awaitable[None]],
        keys: AccessKeys | None,
        problems: Callable[[], Sequence[str]],
        is_primary: Callable[[], bool] = lambda: True,
    ) -> None:
        """*manual* is by trigger type in lower case; *problems* are shown in the status.

        Of hosts that share a folder one *is_primary*: timers and orchestrations run there.
        """
        self._functions = functions
        self._manual = manual
        self._warm_up = warm_up
        self._keys = keys
        self._problems = problems
        self._is_primary = is_primary
        self._runs: set[asyncio.Future[None]] = set()

    async def handle(self, call: HttpCall) -> HttpAnswer:
        match call.method, call.path.lower().rstrip("/"):
            case "GET" | "POST", "/admin/host/ping":
                return _OK
            case "GET", "/admin/warmup":
                await self._warm_up()
                return _OK
            case method, path if self._keys is None or self._keys.permits(call, "ADMIN", ""):
                if (method, path) == ("GET", _METRICS):
                    return await _metrics()
                return self._for_administrators(method, path, call.body)
            case _:
                return _UNAUTHORIZED

    def _for_administrators(self, method: str, path: str, body: bytes) -> HttpAnswer:
        match method, path:
            case "GET", "/admin/host/status":
                problems = list(self._problems())
                state = {
                    "id": "local",
                    "state": "Running",
                    "version": "4.0",
                    # Also what names the holder of a state folder.
                    "instanceId": str(os.getpid()),
                    "isPrimary": self._is_primary(),
                }
                return _json({**state, "errors": problems} if problems else state)
            case "GET", "/admin/functions":
                return _json([_described(function) for function in self._functions])
            case "POST", _ if path.startswith(_RUN):
                return self._run(path.removeprefix(_RUN), body)
            case _:
                return _NOT_FOUND

    def _run(self, name: str, body: bytes) -> HttpAnswer:
        """Begin a run; that it was accepted says nothing about how it ends, as in Azure."""
        function = next((f for f in self._functions if f.name.lower() == name), None)
        if function is None:
            return _NOT_FOUND
        given = _input(body)
        if given is None:
            return _BAD_REQUEST
        run = self._manual.get(function.trigger.type.lower())
        if run is None:
            _log.warning(
                "%s is not run by hand here, since its trigger is %s: call what triggers it",
                function.name,
                function.trigger.type,
            )
            return _ACCEPTED
        running = asyncio.ensure_future(run(function, given))
        self._runs.add(running)
        running.add_done_callback(self._runs.discard)
        return _ACCEPTED


async def _metrics() -> HttpAnswer:
    """Answer what the apps measured as Prometheus reads it; 404 where none was told to."""
    text = await asyncio.to_thread(prometheus_text)
    return (
        _NOT_FOUND
        if text is None
        else HttpAnswer(_OK.status, (("content-type", _PROMETHEUS),), text)
    )


def _input(body: bytes) -> str | None:
    """Return the input in `{"input": "…"}`, empty without one; None for what is no such body."""
    try:
        asked = json.loads(body.decode() or "{}")
    except (ValueError, RecursionError):
        return None
    given = asked.get("input", "") if isinstance(asked, dict) else None
    return given if isinstance(given, str) else None


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
