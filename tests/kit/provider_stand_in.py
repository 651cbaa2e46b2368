"""A provider of metrics that answers what a test says, by https on loopback: faults on purpose.

The real Prometheus serves what can be had of it; this serves what no healthy provider does.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from local_cloud.certificates import LocalCertificates
from shared.connections.loopback_ports import free_port
from shared.kernel.clock import Clock, SystemClock
from shared.kernel.entropy import SystemEntropy

HUGE = 80 * 2**20


@dataclass(frozen=True)
class Reply:
    """What one path answers.

    `body` is JSON or text, or what makes it of the request. `stalls` sends the first half of it and
    then nothing, `is_huge` sends more than anyone reads. `ahead`: so far is its clock before ours.
    """

    body: Any = field(default_factory=dict)
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    stalls: bool = False
    is_huge: bool = False
    ahead: timedelta = timedelta(0)


@dataclass
class Asked:
    """One request: its path with the query string, headers, and form or body."""

    path: str
    headers: Mapping[str, str]
    form: Mapping[str, str]
    body: str


@dataclass
class StandIn:
    """Answers each path by the first of `replies` that it begins with."""

    port: int
    ca_file: Path
    context: ssl.SSLContext
    clock: Clock = field(default_factory=SystemClock)
    replies: dict[str, Reply] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    takes_token: str | None = None
    """The only `Authorization` that is taken; None takes any."""
    _stopped: asyncio.Event = field(default_factory=asyncio.Event)
    _runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        text = await request.text()
        form = await request.post() if request.content_type.endswith("form-urlencoded") else {}
        self.asked.append(
            Asked(
                request.path_qs, {name.lower(): value for name, value in request.headers.items()},
                {name: str(value) for name, value in form.items()}, text,
            )
        )  # fmt: skip
        if (
            self.takes_token is not None
            and request.headers.get("Authorization") != self.takes_token
        ):
            return web.json_response({"message": "Unauthorized"}, status=401)
        reply = next(
            (each for path, each in self.replies.items() if request.path.startswith(path)), None
        )
        if reply is None:
            return web.json_response({"message": "no such path"}, status=404)
        return await self._send(request, reply, self.asked[-1])

    @property
    def is_stopped(self) -> bool:
        return self._runner is None

    async def start(self) -> None:
        """Listen, again after `stop`."""
        app = web.Application(client_max_size=2**20)
        app.router.add_route("*", "/{path:.*}", self.handle)
        self._runner = web.AppRunner(app, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self.context).start()

    async def stop(self) -> None:
        """Close the port and every connection."""
        self._stopped.set()
        if self._runner is not None:
            await self._runner.cleanup()
        self._runner, self._stopped = None, asyncio.Event()

    async def _send(self, request: web.Request, reply: Reply, asked: Asked) -> web.StreamResponse:
        date = format_datetime(self.clock.now() + reply.ahead, usegmt=True)
        headers = {"Content-Type": "application/json", "Date": date, **reply.headers}
        content = reply.body(asked) if callable(reply.body) else reply.body
        body = (content if isinstance(content, str) else json.dumps(content)).encode()
        response = web.StreamResponse(status=reply.status, headers=headers)
        await response.prepare(request)
        try:
            if reply.is_huge:
                for _ in range(HUGE // 65_536):
                    await response.write(b" " * 65_536)
            await response.write(body[: len(body) // 2] if reply.stalls else body)
            if reply.stalls:
                await self._stopped.wait()
            await response.write_eof()
        except ConnectionError:
            pass  # the client has had enough, as it should
        return response


@asynccontextmanager
async def stand_in(folder: Path) -> AsyncIterator[StandIn]:
    """Serve a stand-in, whose certificate only who trusts its `ca_file` takes."""
    certificates = LocalCertificates(folder / "certificates", SystemClock())
    context = certificates.server_context()
    served = StandIn(free_port(SystemEntropy()), certificates.ca_file, context)
    await served.start()
    try:
        yield served
    finally:
        await served.stop()
