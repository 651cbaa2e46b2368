"""`runtimectl` before the real service configurations, over memory, behind a small server."""

import asyncio
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from pydantic import BaseModel

from function_apps.configurations.triggers import ROUTES
from shared.web.problem import render
from shared.web.request import Answer
from tests.cli.small_platform import THE_ENVIRONMENT, Ran, RuntimeCtl, answer_of
from tests.cli.small_server import Asked, Server, serving
from tests.configurations.configured import Configurations, ask, configurations, proved
from tests.kit.told import ENVIRONMENT
from tests.kit.virtual_time import VirtualTimeLoop

_ENVIRONMENTS: Final = "/v1/runtime/environments"
_HERE: Final = {**THE_ENVIRONMENT, "environmentId": ENVIRONMENT}
Before = Callable[[Asked], None]


class ConfiguredPlatform:
    """The service, and what `runtimectl` is told by it.

    `before` is called with each request; `elsewhere` answers what is not of this service.
    """

    def __init__(self, runtimectl: RuntimeCtl, *, knows_environment: bool) -> None:
        self._runtimectl = runtimectl
        self._runner = asyncio.Runner(loop_factory=VirtualTimeLoop)
        self._one_at_a_time = threading.RLock()
        self.before: Before = lambda _: None
        self.elsewhere: Callable[[Asked], tuple[int, Any]] = answer_of
        made = configurations(knows_environment=knows_environment)
        self.service: Configurations = self._runner.run(made)
        self.server: Server

    def run(self, *words: str) -> Ran:
        """Run one line against the service."""
        self.server.asked.clear()
        return self._runtimectl.run_words(self.server, words)

    def hear(self, payload: BaseModel) -> None:
        with self._one_at_a_time:
            self._runner.run(self.service.hear(payload))

    def prove(self, number: int, *hashes: str | None, version: int, mode: str = "pinned") -> None:
        """End a deployment whose release names *version*, and whose instances prove *hashes*."""
        pin = {"module": version, "hash": hashes[0]}
        self.hear(proved(number, hashes, mode, pin))

    def judge(self, after_s: float) -> None:
        with self._one_at_a_time:
            self._runner.run(self.service.judge(after_s))

    def ask(self, instance: str) -> None:
        """Have *instance* say that it has what is in force."""
        with self._one_at_a_time:
            self._runner.run(ask(self.service, instance))

    def publish(self, scope: Mapping[str, str], values: Mapping[str, Any], expected: int) -> None:
        """Publish as somebody else."""
        with self._one_at_a_time:
            self._runner.run(self.service.publish(scope, values, expected, comment="by another"))

    def answer(self, asked: Asked) -> tuple[int, Any]:
        parts = urlsplit(asked.path)
        if parts.path == _ENVIRONMENTS:
            return 200, {"value": [_HERE], "nextLink": None}
        if parts.path == f"{_ENVIRONMENTS}/{ENVIRONMENT}":
            return 200, _HERE
        self.before(asked)
        with self._one_at_a_time:
            return self._runner.run(self._answer(asked, parts.path, dict(parse_qsl(parts.query))))

    async def _answer(self, asked: Asked, path: str, query: Mapping[str, str]) -> tuple[int, Any]:
        query = {name: value for name, value in query.items() if name != "top"}
        for route in ROUTES:
            pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", f"/{route.template}")
            match = re.fullmatch(pattern, path)
            if match and route.method == asked.method:
                body = json.loads(asked.body) if asked.body else None
                try:
                    found = await self.service.call(
                        route.method, route.template, body, query=query,
                        if_none_match=asked.headers.get("if-none-match"), **match.groupdict(),
                    )  # fmt: skip
                except Exception as problem:  # noqa: BLE001  rendered as the app renders it
                    return _as_sent(render(problem, "trace-1"))
                return _as_sent(found)
        return self.elsewhere(asked)


def _as_sent(answer: Answer) -> tuple[int, Any]:
    return answer.status, json.loads(answer.content or b"null")


@contextmanager
def configured_platform(
    runtimectl: RuntimeCtl, *, knows_environment: bool = True
) -> Iterator[ConfiguredPlatform]:
    platform = ConfiguredPlatform(runtimectl, knows_environment=knows_environment)
    with serving(platform.answer, keeps_connections=False) as server, platform._runner:
        platform.server = server
        yield platform
