"""Where an environment has two surfaces: a module stays on its own, and one may be away."""

from dataclasses import replace
from typing import Any

import pytest

from function_apps.deployments.errors import CannotBePlanned
from function_apps.deployments.use_cases.retry import retry
from shared.contracts.deployments import DeploymentReason
from shared.contracts.values import ComputeTargetKind
from shared.kernel.errors import Unavailable
from shared.kernel.fence import Fence
from shared.kernel.ids import EnvironmentId
from shared.kernel.observation import Reading, Unknown
from shared.surfaces.capabilities import Capabilities, Feature
from shared.surfaces.observed_state import Inventory
from shared.surfaces.spec import SiteSpec
from tests.deployments.driven import CART, SHOP, TEST, Driven, driven
from tests.kit.memory_cluster import MemoryCluster
from tests.kit.memory_surface import MemorySurface
from tests.kit.service import TENANT
from tests.kit.virtual_time import run_virtual

LOCAL, AKS = ComputeTargetKind.LOCAL_PROCESS, ComputeTargetKind.AKS


class AwayAtTimes(MemorySurface):
    """A cluster that nobody has read yet, or whose API server does not answer."""

    is_away = False
    was_read = False

    def capabilities(self) -> Capabilities:
        if not self.was_read:
            raise Unavailable("it has not answered yet")
        return super().capabilities()

    async def inventory(self, environment: EnvironmentId) -> Reading[Inventory]:
        if self.is_away:
            return Unknown("it does not answer")
        self.was_read = True
        return await super().inventory(environment)

    async def observe(self, component: Any) -> Any:
        return Unknown("it does not answer") if self.is_away else await super().observe(component)


async def two_surfaces(*offered: ComputeTargetKind) -> tuple[Driven, AwayAtTimes]:
    """Return a world of two surfaces, whose environment has those *offered*."""
    world = driven()
    cluster = AwayAtTimes(MemoryCluster(world.app.service.clock, world.app.service.entropy))
    (machine,) = world.app.surfaces.values()
    world.app = replace(world.app, surfaces={LOCAL: machine, AKS: cluster})
    await cluster.ensure_site(SiteSpec(TEST, TENANT, "test", "test"), Fence(1, "op", "site"))
    await world.tell(targets=offered or (LOCAL, AKS))
    return world, cluster


async def ended(world: Driven, *components: Any, **more: Any) -> Any:
    answer = await world.deploy(*components, **more)
    await world.settle()
    return await world.deployment(answer["deploymentId"])


class Uncounted(MemorySurface):
    """A cluster whose gateway's counters nobody named."""

    def capabilities(self) -> Capabilities:
        offered = super().capabilities()
        lacks = {**offered.lacks, Feature.REQUEST_COUNTERS: "nobody said where they are"}
        return replace(offered, lacks=lacks)


MEASURED = {"metrics": {"source": "prometheus", "requests": "r[{{window}}]",
                        "errors": "e[{{window}}]"}}  # fmt: skip


async def uncounted_from_now_on(world: Driven) -> None:
    world.app = replace(world.app, surfaces={LOCAL: Uncounted(world.world)})


def test_a_release_that_nobody_could_judge_is_refused() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await uncounted_from_now_on(world)
        component = await world.component("one")

        with pytest.raises(CannotBePlanned) as refused:
            await world.deploy(component)
        assert [(each.code, each.target) for each in refused.value.details] == [
            ("NotSupported", "/gate/metrics"),
        ]

        assert (await ended(world, component, gate=MEASURED)).status == "Completed"

    run_virtual(main())


def test_the_way_back_is_judged_by_nobody_and_so_needs_no_counters() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.release("one")
        two = await world.release("two")
        await world.deploy(await world.component("three"))
        failed = await world.rollback(two.deployment_id)
        await world.settle()
        assert (await world.deployment(failed["deploymentId"])).status == "Failed"
        await uncounted_from_now_on(world)

        # Not refused by its plan, but by what is in force.
        with pytest.raises(Exception, match="not in force any more"):
            await retry(failed["deploymentId"], DeploymentReason(), world.ctx, world.app)

    run_virtual(main())


def test_a_module_is_moved_to_another_surface_only_by_its_removal() -> None:
    async def main() -> None:
        world, _ = await two_surfaces()
        await ended(world, await world.component("one", computeTarget=LOCAL))
        moved = await world.component("two", computeTarget=AKS)

        with pytest.raises(CannotBePlanned) as refused:
            await world.deploy(moved)
        assert [(each.code, each.target) for each in refused.value.details] == [
            ("ComputeTargetFixed", "/components/0/computeTarget"),
        ]

        removal = await ended(world, remove=[SHOP])
        assert removal.status == "Completed", removal.reason
        assert (await ended(world, moved)).status == "Completed"
        assert world.live() == ({}, {})

    run_virtual(main())


def test_a_surface_that_nobody_has_read_yet_is_read_for_the_plan() -> None:
    async def main() -> None:
        world, _ = await two_surfaces()

        done = await ended(world, await world.component("one", computeTarget=AKS))

        assert done.status == "Completed"

    run_virtual(main())


def test_what_needs_a_surface_that_is_away_is_to_be_repeated() -> None:
    async def main() -> None:
        world, cluster = await two_surfaces()
        cluster.is_away = True
        component = await world.component("one", computeTarget=AKS)

        with pytest.raises(Unavailable, match="AKS is away"):
            await world.deploy(component)

        cluster.is_away = False
        assert (await ended(world, component)).status == "Completed"

    run_virtual(main())


def test_a_surface_that_is_away_stops_nothing_where_it_is_not_offered() -> None:
    async def main() -> None:
        world, cluster = await two_surfaces(LOCAL)
        cluster.is_away = True
        world.health.bad.add(await world.upload("bad"))

        good = await ended(world, await world.component("one"))
        bad = await ended(world, await world.component("bad"))

        assert (good.status, bad.status) == ("Completed", "RolledBack")
        assert world.live() == ({1: 1}, {1: 100})

    run_virtual(main())


def test_a_gate_that_fails_on_one_surface_turns_back_the_other() -> None:
    async def main() -> None:
        world, cluster = await two_surfaces()
        first = [
            await world.component("one", computeTarget=LOCAL),
            await world.component("cart one", CART, computeTarget=AKS, dependsOn=[SHOP]),
        ]
        await ended(world, *first)
        world.health.bad.add(await world.upload("cart two"))

        second = await ended(
            world,
            await world.component("two", computeTarget=LOCAL),
            await world.component("cart two", CART, computeTarget=AKS, dependsOn=[SHOP]),
        )

        assert second.status == "RolledBack"
        assert world.live() == ({1: 1}, {1: 100})
        record = cluster._cluster.component(world.surface_component(CART))
        assert dict(record.weights) == {1: 100}
        assert set(record.revisions) == {1}

    run_virtual(main())
