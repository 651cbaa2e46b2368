"""A Datasette plugin that makes every request wait `pause_ms` of its configuration."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from datasette import hookimpl

Application = Callable[..., Awaitable[Any]]


def configured_pause_s() -> float:
    """Return the pause; none where the release was given no configuration."""
    folder = os.environ.get("RUNTIME_CONFIGURATION")
    if folder is None:
        return 0.0
    values = json.loads((Path(folder) / "configuration.json").read_text())
    return float(values.get("pause_ms", 0)) / 1000


@hookimpl
def asgi_wrapper() -> Callable[[Application], Application]:
    pause_s = configured_pause_s()

    def wrap(app: Application) -> Application:
        async def wait_first(scope: dict[str, Any], *ends: Any) -> None:
            if scope["type"] == "http":
                await asyncio.sleep(pause_s)  # noqa: TID251  a workload has no clock of ours
            await app(scope, *ends)

        return wait_first

    return wrap
