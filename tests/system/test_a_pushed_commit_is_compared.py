"""A real repository, followed over HTTP: a push, its signed webhook, and what drift finds."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from shared.git.port import Snapshot
from shared.git.smart_http import SmartHttpRepositories
from shared.kernel.ids import parse_id
from shared.vault.port import SecretValue
from tests.kit.git_server import GitServer, git_server
from tests.kit.git_sources import source
from tests.kit.push import SIGNING_KEY, manifest, signature
from tests.kit.releases import deploy, ended, provisioned
from tests.kit.virtual_time import run_virtual
from tests.kit.world import World

pytestmark = pytest.mark.long
NAME = "shop"
"""Of the environment."""


class RealRepositories(SmartHttpRepositories):
    """The adapter over real sockets, for a world on virtual time, which stands still meanwhile."""

    async def fetch(self, *asked: Any, **how: Any) -> Snapshot | None:
        with ThreadPoolExecutor(1) as other:
            return other.submit(asyncio.run, super().fetch(*asked, **how)).result()


@dataclass
class Platform:
    """A world with a release of module-web, and the repository that its environment has."""

    world: World
    server: GitServer
    environment: str
    followed: Mapping[str, Any]
    version: str

    async def webhook(self, signed: str | None = None) -> int:
        path, content = self.followed["webhook"].removeprefix("/v1"), b'{"ref": "refs/heads/main"}'
        headers = {"x-hub-signature-256": signature(content) if signed is None else signed}
        status, _ = await self.world.call("POST", path, content, headers=headers)
        return status

    async def push(self, version: str) -> str:
        """Push what is desired, have the webhook say so, and wait for what becomes of it."""
        commit = self.server.push({f"{NAME}/web.json": manifest("module-web", version)})
        assert await self.webhook() == 202
        await self.world.clock.sleep(90)
        return commit

    async def findings(self) -> list[Mapping[str, Any]]:
        """Return what was found of Git."""
        _, report = await self.world.call("GET", f"/runtime/drift/{self.environment}")
        return [each for each in report["value"] if each["path"].startswith("git/")]

    async def source(self) -> Mapping[str, Any]:
        path = f"/runtime/git-sources/{self.followed['sourceId']}"
        found: Mapping[str, Any] = (await self.world.call("GET", path))[1]
        return found

    @property
    def looks(self) -> int:
        """Return how often the repository was asked for its newest commit."""
        return sum(path.endswith("/info/refs") for path, _ in self.server.asked)


@asynccontextmanager
async def platform(folder: Path) -> AsyncIterator[Platform]:
    with git_server(folder) as server:
        world = World()
        world.repositories = RealRepositories(plain_loopback=True)
        await world.boot()
        try:
            environment = await provisioned(world)
            deployment = await ended(world, await deploy(world, environment, "1"))
            version = deployment["components"][0]["version"]
            server.push({f"{NAME}/web.json": manifest("module-web", version)})
            key = parse_id(environment, "env").environment
            vault = world.vaults.at(world.vaults.of_environment(key, {}))
            await vault.set("git-webhook", SecretValue(SIGNING_KEY))
            body = {**source(environment), "repository": server.url}
            status, followed = await world.call("POST", "/runtime/git-sources", body)
            assert status == 201, followed
            await world.clock.sleep(600)
            await world.clock.sleep(60)  # until its own turn has passed
            yield Platform(world, server, environment, followed, version)
        finally:
            await world.stop()


def told(story: Callable[[Platform], Coroutine[Any, Any, None]], folder: Path) -> None:
    async def main() -> None:
        async with platform(folder) as on:
            assert await on.findings() == []
            await story(on)

    run_virtual(main())


def test_a_pushed_commit_is_found_and_a_reverted_one_resolves_it(tmp_path: Path) -> None:
    async def story(on: Platform) -> None:
        commit = await on.push("2")

        (finding,) = await on.findings()
        assert (finding["desired"], finding["actual"]) == ("2", on.version)
        assert commit[:12] in finding["cause"]
        assert (finding["status"], finding["moduleId"]) == ("Open", "module-web")

        back = await on.push(on.version)

        (finding,) = await on.findings()
        assert finding["status"] == "Resolved"
        assert (await on.source())["commit"] == back

    told(story, tmp_path)


def test_a_deployment_of_what_git_says_resolves_it(tmp_path: Path) -> None:
    async def story(on: Platform) -> None:
        await on.push("2")
        deployment = await ended(on.world, await deploy(on.world, on.environment, "2"))
        assert deployment["components"][0]["version"] == "2"
        await on.world.clock.sleep(600)

        (finding,) = await on.findings()
        assert finding["status"] == "Resolved"

    told(story, tmp_path)


def test_a_wrong_signature_is_refused_and_twenty_webhooks_are_two_fetches(tmp_path: Path) -> None:
    async def story(on: Platform) -> None:
        before = on.looks
        assert await on.webhook("sha256=" + "0" * 64) == 401
        await on.world.clock.sleep(35)
        assert on.looks == before

        assert {await on.webhook() for _ in range(20)} == {202}
        await on.world.clock.sleep(60)
        assert on.looks - before <= 2

    told(story, tmp_path)


def test_a_fetch_that_breaks_off_changes_nothing_and_the_next_one_is_read(tmp_path: Path) -> None:
    async def story(on: Platform) -> None:
        known = (await on.source())["commit"]

        def break_off() -> None:
            raise ConnectionAbortedError

        on.server.before_pack = break_off
        commit = await on.push("2")
        stale = await on.source()
        assert (stale["commit"], stale["reason"]["code"]) == (known, "Unreachable")
        assert await on.findings() == []

        on.server.before_pack = lambda: None
        await on.world.clock.sleep(900)
        assert (await on.source())["commit"] == commit
        assert len(await on.findings()) == 1

    told(story, tmp_path)
