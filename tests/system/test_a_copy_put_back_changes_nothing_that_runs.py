"""An older copy of the stores is put back while workloads run: nothing is removed or re-created.

What runs is newer than the records then. Timers, recovery and the next deployment leave it alone;
the deployment that is asked for after it was told takes it over.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Self

import pytest

from tests.kit.copied_stores import copied, put_back
from tests.kit.mortal import Fate
from tests.kit.quiet_hours import quiet_hours
from tests.kit.releases import deploy, ended, provisioned, until_status
from tests.kit.virtual_time import run_virtual
from tests.kit.world import World

HOURS_S = 2 * 3600.0
Live = Mapping[str, Any]


@pytest.fixture(autouse=True)
def _quiet_hours() -> Iterator[None]:
    with quiet_hours():
        yield


def live(world: World) -> Live:
    """Return what runs in each environment: instances with their starts, and weights."""
    return {
        environment: {
            component.module: (
                [
                    (one.id, one.started_at)
                    for rev in each.revisions.values()
                    for one in rev.instances
                ],
                dict(each.weights),
            )
            for component, each in site.components.items()
        }
        for environment, site in world.surface.sites.items()
        if site.spec is not None
    }


class Restored:
    """A world whose stores were put back: what ran then, and what its host has written since."""

    def __init__(self, *, is_mid: bool, later: int, is_removed: bool = False) -> None:
        self.is_mid, self.later, self.is_removed = is_mid, later, is_removed
        self.world = World(requests_per_s=30)

    async def __aenter__(self) -> Self:
        world = self.world
        await world.boot()
        self.environment = await provisioned(world)
        await ended(world, await deploy(world, self.environment, "1"))
        self.underway = ""
        if self.is_mid:
            self.underway = await deploy(world, self.environment, "2")
            path = f"/runtime/deployments/{self.underway}"
            await until_status(world, path, {"HealthGating"})
        copies = copied(world.storage, world.services)
        if self.underway:
            await ended(world, self.underway)
        for number in range(self.later):
            await ended(world, await deploy(world, self.environment, f"later-{number}"))
        if self.is_removed:
            body = {"environmentId": self.environment, "releaseRef": "gone", "components": []}
            _, gone = await world.call(
                "POST", "/runtime/deployments", {**body, "remove": ["module-web"]}
            )
            await ended(world, gone["deploymentId"])
        other = await provisioned(world, name="unknown")
        await ended(world, await deploy(world, other, "9"))
        world.surface.requests_per_s = 0
        self.before = live(world)
        self.built = list(world.infrastructure.writes)
        await world.kill()
        await put_back(copies, world.storage)
        await world.boot(Fate())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.world.stop()

    @property
    def written(self) -> list[str]:
        """What was made or deleted of infrastructure since the copy is there."""
        return self.world.infrastructure.writes[len(self.built) :]


@pytest.mark.long
@pytest.mark.parametrize("later", [1, 2])
def test_what_runs_stays_as_it_is_and_the_next_deployment_says_so(later: int) -> None:
    async def main() -> None:
        async with Restored(is_mid=False, later=later) as restored:
            world = restored.world
            await world.clock.sleep(HOURS_S)
            _, health = await world.call("GET", "/v1/platform/deployments/health")
            first = await ended(world, await deploy(world, restored.environment, "next"))
            after_first = live(world)
            world.surface.requests_per_s = 30
            second = await ended(world, await deploy(world, restored.environment, "next"))

            assert after_first == restored.before
            assert restored.written == []
            assert health["entries"]["report_unknown_releases"]["status"] == "Degraded"
            assert (first["status"], first["reason"]["code"]) == ("Failed", "UnknownRelease")
            assert "module-web runs revision" in first["reason"]["message"]
            assert second["status"] == "Completed"

    run_virtual(main())


@pytest.mark.long
@pytest.mark.parametrize("later", [1, 2])
def test_a_release_that_was_under_way_ends_and_touches_nothing_newer(later: int) -> None:
    async def main() -> None:
        async with Restored(is_mid=True, later=later) as restored:
            world = restored.world
            await world.clock.sleep(HOURS_S)
            after = live(world)
            path = f"/runtime/deployments/{restored.underway}"
            _, ended_one = await world.call("GET", path)
            world.surface.requests_per_s = 30
            following = await ended(world, await deploy(world, restored.environment, "next"))

            assert after == restored.before
            assert restored.written == []
            assert ended_one["status"] == "Failed"
            assert "module-web runs revision" in ended_one["remaining"][0]
            assert following["status"] == "Completed"

    run_virtual(main())


@pytest.mark.long
def test_a_release_that_was_under_way_and_has_ended_since_is_proved_and_not_started_anew() -> None:
    async def main() -> None:
        async with Restored(is_mid=True, later=0) as restored:
            world = restored.world
            world.surface.requests_per_s = 30
            await world.clock.sleep(HOURS_S)

            assert live(world) == restored.before
            _, services = await world.call("GET", "/runtime/services")
            assert [each["version"] for each in services["value"]] == ["2"]

    run_virtual(main())


@pytest.mark.long
def test_a_module_that_was_removed_since_is_not_brought_back() -> None:
    async def main() -> None:
        async with Restored(is_mid=True, later=0, is_removed=True) as restored:
            await restored.world.clock.sleep(HOURS_S)

            assert live(restored.world) == restored.before

    run_virtual(main())


@pytest.mark.long
def test_an_environment_that_was_on_its_way_out_and_is_there_again_is_not_destroyed() -> None:
    async def main() -> None:
        world = World(requests_per_s=30)
        await world.boot()
        environment = await provisioned(world)
        await ended(world, await deploy(world, environment, "1"))
        path = f"/runtime/environments/{environment}"
        await world.call("DELETE", f"{path}?confirm=shop")
        await until_status(world, path, {"Decommissioning"})
        copies = copied(world.storage, world.services)
        await until_status(world, path, {"Decommissioned"})
        await provisioned(world)
        await ended(world, await deploy(world, environment, "1"))
        before, built = live(world), len(world.infrastructure.writes)
        await world.kill()
        await put_back(copies, world.storage)
        await world.boot(Fate())
        await world.clock.sleep(HOURS_S)
        _, shown = await world.call("GET", path)

        assert live(world) == before
        assert world.infrastructure.writes[built:] == []
        assert shown["status"] != "Decommissioned"
        await world.stop()

    run_virtual(main())
