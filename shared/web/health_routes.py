"""The health of one app over HTTP, and its OpenAPI document."""

import json
from collections.abc import Sequence
from typing import Any

from shared.web.administration import Administration
from shared.web.request import Answer, Request, ok
from shared.web.routes import Route, get


def rows(root: str) -> Sequence[Route]:
    """Return the routes of health below *root*; none needs a token."""
    return (
        get(f"{root}/health", get_health, None),
        get(f"{root}/alive", get_alive, None),
        get(f"{root}/startup", get_health, None, name="get_startup"),
        get(f"{root}/openapi.json", get_openapi, None),
    )


async def get_health(request: Request[None], app: Administration) -> Answer:
    """Answer whether the app, its store can be written and its sweeps work; details need a token.

    A sweep that left documents undone is Degraded, at 200: the app serves its callers.
    """
    clock = app.service.clock
    started_s = clock.monotonic_s()
    problem = await app.store_check.problem(app.service)
    took = _duration((clock.monotonic_s() - started_s) * 1000)
    store = {"status": "Unhealthy", "duration": took, "description": problem}
    entries: dict[str, Any] = {
        "store": store if problem else {"status": "Healthy", "duration": took}
    }
    for sweep, failures in app.service.sweeps.failures(clock.now()).items():
        entries[sweep] = {
            "status": "Degraded",
            "duration": took,
            "description": f"{failures} documents failed and were postponed; see the log",
        }
    status = "Unhealthy" if problem else "Degraded" if len(entries) > 1 else "Healthy"
    is_known = request.scope.tenant != ""
    body = {"status": status, "totalDuration": took, "entries": entries if is_known else {}}
    return Answer(503 if problem else 200, body)


async def get_alive(_request: Request[None], _app: Administration) -> Answer:
    """Answer that the process runs; a store that is away is no reason to restart it."""
    return ok({"status": "Healthy", "totalDuration": _duration(0), "entries": {}})


async def get_openapi(_request: Request[None], app: Administration) -> Answer:
    """Answer this service's OpenAPI document."""
    return Answer(200, json.dumps(app.openapi()).encode(), {"Cache-Control": "max-age=300"})


def _duration(milliseconds: float) -> str:
    """Return `hh:mm:ss.fffffff`, as .NET health checks write it."""
    seconds, rest = divmod(milliseconds / 1000, 60)
    return f"00:{int(seconds):02d}:{rest:010.7f}"
