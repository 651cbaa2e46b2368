"""Sends each call to an instance of the app that has its path, as App Service's front end does.

A call waits while no instance of its app answers. One that broke off is sent to another instance
where it may be repeated: a read, or a write with an Idempotency-Key.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from http import HTTPStatus
from itertools import count
from typing import Final, Protocol

import aiohttp
from yarl import URL

from local_host.front_end.app_routes import AppRoutes
from local_host.http_trigger import api_reference, gateway
from local_host.http_trigger.unknown_paths import not_found, problem_answer
from local_host.model import HttpAnswer, HttpCall
from shared.connections.bounded_body import BodyTooLong, read_bounded
from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy
from shared.kernel.errors import Unavailable

_log = logging.getLogger("local_host.front_end")
INSTANCES: Final = "/admin/instances"
WAITS_S: Final = 60.0
"""An instance that was killed answers again after 3 s; where two of each of nine apps were, and all
start at once on two processors, after half a minute. Clients of ours wait longer."""
ANSWERS_WITHIN_S: Final = 230.0
"""https://learn.microsoft.com/azure/azure-functions/functions-scale#timeout"""
ANSWER_BYTES_MAX: Final = 100 * 2**20
_POLL_INTERVAL_S: Final = 0.05
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_KEY: Final = "idempotency-key"
_OF_THE_CONNECTION: Final = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "content-length"}
    | {"proxy-authenticate", "proxy-authorization", "expect", "date"}
)
"""RFC 9110, section 7.6.1: not for the next hop; each server writes the date itself."""


def forwarding_session() -> aiohttp.ClientSession:
    """Return a session that sends each call once: what is repeated is decided by the front end."""
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    )
    # By itself aiohttp sends PUT and DELETE again when a connection breaks; there is no option.
    session._retry_connection = False  # noqa: SLF001
    return session


class Backend(Protocol):
    """One process of an app, as the front end sees it."""

    @property
    def name(self) -> str: ...

    @property
    def url(self) -> str: ...

    @property
    def pid(self) -> int | None: ...

    @property
    def is_ready(self) -> bool:
        """Return whether it is sent calls."""
        ...


class FrontEnd:
    """Answers for all *instances*, by the name of their app."""

    def __init__(
        self,
        instances: Mapping[str, Sequence[Backend]],
        session: aiohttp.ClientSession,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._instances = instances
        self._session = session
        self._clock = clock
        self._entropy = entropy
        self._routes = AppRoutes(tuple(instances))
        self._turn = count()
        self._reading: asyncio.Future[list[None]] | None = None

    async def handle(self, call: HttpCall) -> HttpAnswer:
        """Return the answer to *call*; nothing is raised but cancellation."""
        if call.path == INSTANCES:
            return self._list_instances()
        if call.path in api_reference.PATHS:
            answer = await api_reference.answer(call.path, self.handle)
            return answer or HttpAnswer(HTTPStatus.NOT_FOUND)
        app = self._routes.app_of(call.path)
        if app is None and self._routes.missing:
            # It may be of an app that starts just now; the calls of the others do not wait.
            await self._read_routes()
            app = self._routes.app_of(call.path)
        if app is not None:
            return await self._forward(call, app)
        if self._routes.missing:
            names = ", ".join(sorted(self._routes.missing))
            return problem_answer(Unavailable(f"{names} starts just now"), call, self._entropy)
        unknown = not_found(_mapped(call), self._entropy)
        return unknown or HttpAnswer(HTTPStatus.NOT_FOUND)

    async def check(self, head: HttpCall) -> HttpAnswer | None:
        """Return the refusal of a call before its long body is read; None where it may be read.

        An instance is asked, which knows tokens, scopes and sizes.
        """
        app = self._routes.app_of(head.path)
        if app is None:
            return None if self._routes.missing else await self.handle(head)
        for instance in self._in_turn(app):
            try:
                return await self._ask(head, instance)
            except (aiohttp.ClientError, OSError, TimeoutError, BodyTooLong):
                continue
        return problem_answer(Unavailable(f"no instance of {app} answers"), head, self._entropy)

    async def _ask(self, head: HttpCall, instance: Backend) -> HttpAnswer | None:
        """Return what *instance* answers to *head* instead of inviting its body (RFC 9110, 10.1.1).

        Raises as aiohttp.
        """
        is_invited = False

        async def body() -> AsyncIterator[bytes]:
            nonlocal is_invited
            is_invited = True
            raise ConnectionResetError
            yield b""

        length = head.header("content-length")
        headers = [*_next_hop(head.headers), *([("content-length", length)] if length else [])]
        try:
            async with self._session.request(
                head.method,
                _url(head, instance),
                headers=headers,
                data=body(),
                expect100=True,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=WAITS_S),
            ) as answer:
                said = await read_bounded(answer, at_most=ANSWER_BYTES_MAX)
                return HttpAnswer(answer.status, _next_hop(answer.headers.items()), said)
        except (aiohttp.ClientError, OSError):
            if is_invited:
                return None
            raise

    def _list_instances(self) -> HttpAnswer:
        """Return which processes run; nothing of it is secret on this machine."""
        listed = [
            {
                "app": app,
                "name": instance.name,
                "pid": instance.pid,
                "url": instance.url,
                "isReady": instance.is_ready,
            }
            for app, instances in self._instances.items()
            for instance in instances
        ]
        headers = (("content-type", "application/json"),)
        return HttpAnswer(HTTPStatus.OK, headers, json.dumps({"value": listed}).encode())

    async def _read_routes(self) -> None:
        """Read the documents of all apps of which none was read; one reading serves all calls."""
        if self._reading is None or self._reading.done():
            work = [self._read_routes_of(app) for app in self._routes.missing]
            self._reading = asyncio.gather(*work)
        await asyncio.shield(self._reading)

    async def _read_routes_of(self, app: str) -> None:
        path = f"/v1/platform/{app}{api_reference.DOCUMENT}"
        answer = await self._forward(HttpCall("GET", path), app)
        if answer.status == HTTPStatus.OK:
            try:
                self._routes.read(app, answer.body)
            except ValueError as odd:
                _log.warning("the OpenAPI document of %s cannot be read: %s", app, odd)

    async def _forward(self, call: HttpCall, app: str) -> HttpAnswer:
        """Return the answer of an instance of *app*: of the first that gives one."""
        may_repeat = call.method in _SAFE or call.header(_KEY) is not None
        give_up_at_s = self._clock.monotonic_s() + WAITS_S
        while True:
            for instance in self._in_turn(app):
                try:
                    return await self._send(call, instance)
                except aiohttp.ClientConnectorError:
                    continue  # nothing was sent
                except (aiohttp.ClientError, OSError, TimeoutError, BodyTooLong) as broken:
                    if not may_repeat or isinstance(broken, TimeoutError | BodyTooLong):
                        cut = Unavailable(
                            f"{instance.name} broke off its answer to {call.method}: ask whether it"
                            " was done, or repeat it with an Idempotency-Key"
                        )
                        return problem_answer(cut, call, self._entropy)
            if self._clock.monotonic_s() >= give_up_at_s:
                away = Unavailable(f"no instance of {app} answers: its log says why")
                return problem_answer(away, call, self._entropy)
            await self._clock.sleep(_POLL_INTERVAL_S)

    def _in_turn(self, app: str) -> Sequence[Backend]:
        """Return the instances of *app* that are ready, beginning with another each time."""
        found = [instance for instance in self._instances[app] if instance.is_ready]
        first = next(self._turn) % max(len(found), 1)
        return [*found[first:], *found[:first]]

    async def _send(self, call: HttpCall, instance: Backend) -> HttpAnswer:
        async with self._session.request(
            call.method,
            _url(call, instance),
            headers=_next_hop(call.headers),
            data=call.body or None,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=ANSWERS_WITHIN_S),
        ) as answer:
            body = await read_bounded(answer, at_most=ANSWER_BYTES_MAX)
            return HttpAnswer(answer.status, _next_hop(answer.headers.items()), body)


def _url(call: HttpCall, instance: Backend) -> URL:
    query = f"?{call.query}" if call.query else ""
    return URL(f"{instance.url}{call.path}{query}", encoded=True)


def _next_hop(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    lowered = [(name.lower(), value) for name, value in headers]
    named = {
        word.strip().lower()
        for name, value in lowered
        if name == "connection"
        for word in value.split(",")
    }
    return [(n, v) for n, v in lowered if n not in _OF_THE_CONNECTION and n not in named]


def _mapped(call: HttpCall) -> HttpCall:
    return HttpCall(call.method, gateway.mapped(call.path), call.query, call.headers)
