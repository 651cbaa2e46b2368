"""Answers an HTTP call: gateway, the host's own paths, key, route, function, result.

Unknown paths and methods are 404, a missing key 401, a function that raises 500; each has an empty
body, as in Azure. Unknown paths below the platform's own say more.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Final

from local_host.http_trigger import api_reference, gateway, http_binding, unknown_paths
from local_host.http_trigger.access_keys import AccessKeys
from local_host.http_trigger.admin_endpoints import AdminEndpoints
from local_host.http_trigger.http_concurrency import ConcurrencyLimit
from local_host.model import (
    HttpAnswer,
    HttpCall,
    HttpHandler,
    IndexedFunction,
    Invocation,
    InvocationFailed,
    Invoker,
)
from local_host.routing.route_table import RouteTable
from shared.kernel.entropy import Entropy
from shared.kernel.errors import Unavailable

_log = logging.getLogger("local_host.http")
_OWN: Final = ("/admin/", "/runtime/")
_INITIALS: Final = frozenset("aArR")
_WEBHOOKS: Final = "/runtime/webhooks/"
_NOT_FOUND: Final = HttpAnswer(HTTPStatus.NOT_FOUND)
_UNAUTHORIZED: Final = HttpAnswer(HTTPStatus.UNAUTHORIZED)
_TOO_MANY: Final = HttpAnswer(HTTPStatus.TOO_MANY_REQUESTS)
_FAILED: Final = HttpAnswer(HTTPStatus.INTERNAL_SERVER_ERROR)
_PLAIN: Final = (("content-type", "text/plain; charset=utf-8"),)
_HOME: Final = HttpAnswer(
    HTTPStatus.OK,
    _PLAIN,
    b"This Functions host is up and running.\n",
)


@dataclass(frozen=True, slots=True)
class HttpTarget:
    """One HTTP function, with all that is decided once."""

    function: IndexedFunction
    argument: str
    encode: Callable[[Any, Mapping[str, Any]], HttpAnswer]
    level: str
    concurrency: ConcurrencyLimit | None


class HttpPipeline:
    """Everything between the socket and the worker."""

    def __init__(
        self,
        table: RouteTable[HttpTarget],
        invoker: Invoker,
        *,
        mounts: Mapping[str, HttpHandler],
        keys: AccessKeys | None,
        administration: AdminEndpoints,
        entropy: Entropy,
    ) -> None:
        """*keys* None: nobody is asked for one, as Core Tools does locally."""
        self._table = table
        self._invoker = invoker
        self._mounts = mounts
        self._keys = keys
        self._administration = administration
        self._entropy = entropy

    async def handle(self, call: HttpCall) -> HttpAnswer:
        """Return the answer to *call*; nothing is raised but cancellation."""
        path = gateway.mapped(call.path)
        if path is not call.path:
            call = replace(call, path=path)
        if path[1:2] in _INITIALS and path[:9].lower().startswith(_OWN):
            return await self._answer_host_path(call)
        match = self._table.find(call.method, path)
        if match is None:
            return await self._unrouted(call)
        target, values = match
        if self._keys is not None and not self._keys.permits(
            call, target.level, target.function.name
        ):
            return _UNAUTHORIZED
        if target.concurrency is None:
            return await self._run(target, call, values)
        async with target.concurrency.slot() as has_slot:
            return await self._run(target, call, values) if has_slot else _TOO_MANY

    async def check(self, head: HttpCall) -> HttpAnswer | None:
        """Return the refusal of a call before its long body is read; None where it may be read.

        Azure's front end has no such check. A function of an app says what it takes in an attribute
        `check_head`, a coroutine function from the request without its body to a response or None.
        """
        path = gateway.mapped(head.path)
        match = self._table.find(head.method, path)
        if match is None:
            return None
        target, values = match
        if self._keys is not None and not self._keys.permits(
            head, target.level, target.function.name
        ):
            return _UNAUTHORIZED
        check = getattr(target.function.handler, "check_head", None)
        if check is None:
            return None
        try:
            response = await check(http_binding.Request(head, values))
            return None if response is None else target.encode(response, {})
        except (Exception, SystemExit, KeyboardInterrupt):  # noqa: BLE001  user code as well
            _log.exception("the check of %s failed", target.function.name)
            return _FAILED

    async def _unrouted(self, call: HttpCall) -> HttpAnswer:
        """Answer a path without a function: the home page, or the API of the joined apps."""
        if (answer := unknown_paths.not_found(call, self._entropy)) is not None:
            return answer
        if call.method not in ("GET", "HEAD"):
            return _NOT_FOUND
        if call.path in ("/", ""):
            return _HOME
        if call.path in api_reference.PATHS:
            return await api_reference.answer(call.path, self.handle) or _NOT_FOUND
        return _NOT_FOUND

    async def _run(
        self, target: HttpTarget, call: HttpCall, values: Mapping[str, str]
    ) -> HttpAnswer:
        function = target.function
        invocation = Invocation(
            function,
            {target.argument: http_binding.Request(call, values)},
            target.encode,
            traceparent=call.header("traceparent") or "",
            tracestate=call.header("tracestate") or "",
        )
        try:
            answer: HttpAnswer = (await self._invoker.invoke(invocation)).returned
        except InvocationFailed as failed:
            _log.error("%s failed: %s", function.name, failed.text, exc_info=failed.cause)
            return _FAILED
        return answer

    async def _answer_host_path(self, call: HttpCall) -> HttpAnswer:
        lowered = call.path.lower()
        for prefix, handler in self._mounts.items():
            if lowered == prefix or lowered.startswith(f"{prefix}/"):
                if not self._may_enter(call, lowered):
                    return _UNAUTHORIZED
                return await self._mounted(handler, call)
        return await self._administration.handle(call)

    def _may_enter(self, call: HttpCall, lowered: str) -> bool:
        if self._keys is None or not lowered.startswith(_WEBHOOKS):
            return True
        extension = lowered.removeprefix(_WEBHOOKS).partition("/")[0]
        return self._keys.permits_webhook(call, extension)

    async def _mounted(self, handler: HttpHandler, call: HttpCall) -> HttpAnswer:
        try:
            return await handler(call)
        except Unavailable as away:
            _log.error("%s %s: %s", call.method, call.path, away.message)
            return HttpAnswer(HTTPStatus.SERVICE_UNAVAILABLE, _PLAIN, away.message.encode())
        except Exception:  # noqa: BLE001  a defect of the host: the caller gets what Azure gives it
            _log.exception("%s %s failed in the host", call.method, call.path)
            return _FAILED
