"""Equal requests at one instant make one thing; different ones stand in line and all end."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from tests.kit.releases import ENVIRONMENT, a_component, ended, provisioned, uploaded
from tests.kit.virtual_time import run_virtual
from tests.kit.world import World

MANY = 50
LINE = 5
KEYS = [
    pytest.param(lambda _: {}, id="without-a-key"),
    pytest.param(lambda _: {"idempotency-key": "k"}, id="one-key"),
    pytest.param(lambda number: {"idempotency-key": f"k{number}"}, id="a-key-each"),
]


async def at_once(world: World, path: str, bodies: list[Any], headers: Any) -> list[Any]:
    """Send all *bodies* in one instant; send again what met too many others; return the answers."""

    async def one(number: int, body: Any) -> Any:
        while True:
            status, answer = await world.call("POST", path, body, headers=headers(number))
            if status != 503:
                assert status == 202, answer
                return answer
            await world.clock.sleep(1)

    return list(await asyncio.gather(*(one(*each) for each in enumerate(bodies))))


@pytest.mark.long
@pytest.mark.parametrize("headers", KEYS)
def test_equal_requests_make_one_environment_and_one_deployment(headers: Any) -> None:
    async def main() -> None:
        world = World(requests_per_s=30)
        await world.boot()
        made = await at_once(world, "/v1/runtime/environments", [ENVIRONMENT] * MANY, headers)
        environment = await provisioned(world)
        body = a_release(environment, await uploaded(world, "1"), "1")
        asked = await at_once(world, "/v1/runtime/deployments", [body] * MANY, headers)
        done = await ended(world, asked[0]["deploymentId"])
        _, all_of_them = await world.call("GET", "/v1/runtime/deployments")

        assert {each["environmentId"] for each in made} == {environment}
        assert {each["deploymentId"] for each in asked} == {done["deploymentId"]}
        assert len(all_of_them["value"]) == 1
        assert done["status"] == "Completed"
        await world.stop()

    run_virtual(main())


@pytest.mark.long
def test_different_releases_of_a_module_go_out_one_after_the_other() -> None:
    async def main() -> None:
        world = World(requests_per_s=30)
        await world.boot()
        environment = await provisioned(world)
        bodies = [
            a_release(environment, await uploaded(world, str(number)), str(number))
            for number in range(LINE)
        ]
        asked = await at_once(world, "/v1/runtime/deployments", bodies, lambda _: {})
        done = [await ended(world, each["deploymentId"], within_s=24 * 3600) for each in asked]

        assert {each["status"] for each in done} == {"Completed"}
        spans = sorted((began(each), each["endedAt"]) for each in done)
        assert all(earlier[1] <= later[0] for earlier, later in pairwise(spans))
        await world.stop()

    run_virtual(main())


def began(deployment: Any) -> str:
    """Return when its first step began."""
    at: str = deployment["steps"][0]["startedAt"]
    return at


def a_release(environment: str, digest: str, version: str) -> Any:
    return {
        "environmentId": environment,
        "releaseRef": f"v{version}",
        "components": [a_component(digest, version)],
    }
