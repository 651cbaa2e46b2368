"""Hosts in the test's own process: over app objects or folders, on memory, on a virtual clock."""

import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import azure.functions as func

from local_cloud.sqlite.database import MEMORY, Database
from local_host.host import Host, HostSettings
from local_host.model import App, ExtensionFactory, HttpAnswer, HttpCall
from tests.kit.seeded_entropy import SeededEntropy
from tests.kit.virtual_time import LoopClock

VIRTUAL = HostSettings(threads=0, environ={})
"""Plain functions on the loop itself: a virtual clock would run ahead of a thread."""


def new_app() -> func.FunctionApp:
    return func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


def embedded(register: Any, name: str = "app", **fields: Any) -> App:
    """Return *register* as an app without the `api` prefix."""
    host_json = {"version": "2.0", "extensions": {"http": {"routePrefix": ""}}}
    return App(name, register=register, host_json=fields.pop("host_json", host_json), **fields)


@asynccontextmanager
async def hosting(
    *apps: App,
    database: Database | None = None,
    settings: HostSettings = VIRTUAL,
    extensions: Sequence[ExtensionFactory] | None = None,
    seed: int = 1,
    **changes: Any,
) -> AsyncIterator[Host]:
    """Run a host of *apps* while inside, its state in memory unless *database* says otherwise."""
    with tempfile.TemporaryDirectory() as folder:
        host = Host(
            apps,
            replace(settings, **changes),
            folder=Path(folder),
            database=database or Database(MEMORY),
            clock=LoopClock(),
            entropy=SeededEntropy(seed),
            extensions=extensions,
        )
        await host.start()
        try:
            yield host
        finally:
            await host.stop()


async def ask(
    host: Host,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> HttpAnswer:
    """Send one request without a socket; *url* is a path with or without a query."""
    parts = urlsplit(url)
    return await host.handle(
        HttpCall(method, parts.path, parts.query, tuple((headers or {}).items()), body)
    )


def refusals(host: Host) -> dict[str, str]:
    """Return why functions do not run, by name."""
    return {r.function: r.reason for app in host.apps for r in app.refusals}


def header(answer: HttpAnswer, name: str) -> str | None:
    return next((value for key, value in answer.headers if key == name), None)
