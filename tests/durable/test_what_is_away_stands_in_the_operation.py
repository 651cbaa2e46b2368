"""An operation whose step finds something away says what, for as long as it is tried again."""

from dataclasses import replace

from shared.durable.activity import REASON_MAX
from shared.durable.recovery import Recovery
from shared.kernel.errors import Unavailable
from shared.kernel.fence import Fence
from shared.kernel.observation import Reading, Unknown
from shared.surfaces.observed_state import LiveComponent
from shared.surfaces.spec import RevisionSpec, SurfaceComponent
from shared.web.operation_routes import render
from tests.deployments.driven import Driven, driven
from tests.kit.memory_surface import MemorySurface
from tests.kit.virtual_time import run_virtual


class SurfaceThatMayBeAway(MemorySurface):
    """It cannot be observed while it has a reason."""

    reason = ""

    async def observe(self, component: SurfaceComponent) -> Reading[LiveComponent]:
        return Unknown(self.reason) if self.reason else await super().observe(component)


class SurfaceThatTakesNothing(MemorySurface):
    """It is away for whoever applies a release."""

    async def apply(self, spec: RevisionSpec, fence: Fence) -> None:
        raise Unavailable("the token has ended")


async def _deployed_while_away(reason: str) -> tuple[Driven, SurfaceThatMayBeAway, str]:
    world = driven()
    (kind,) = world.app.surfaces
    surface = SurfaceThatMayBeAway(world.world, has_vault=True)
    surface.reason = reason
    world.app = replace(world.app, surfaces={kind: surface})
    await world.tell()
    answer = await world.deploy(await world.component("one"))
    await world.settle()
    return world, surface, answer["deploymentId"]


async def _recover(world: Driven) -> None:
    service = world.app.service
    await service.clock.sleep(130)
    await Recovery(service.store, world.bench.starts, service.clock).sweep()
    await world.settle()


def test_it_says_so_until_what_was_away_is_there_again() -> None:
    async def main() -> None:
        world, surface, deployment = await _deployed_while_away("the token has ended")

        for _ in range(3):
            operation = await world.operation(deployment)
            assert operation.outage == "module-shop cannot be observed: the token has ended"
            assert (await world.shown(deployment)).operation.outage == operation.outage
            assert render(operation)["outage"] == operation.outage
            await _recover(world)

        surface.reason = ""
        await _recover(world)
        assert (await world.operation(deployment)).outage is None
        assert await world.status(deployment) == "Completed"

    run_virtual(main())


def test_a_rollout_that_cannot_go_on_goes_back_and_its_release_is_not_held() -> None:
    async def main() -> None:
        world = driven()
        (kind,) = world.app.surfaces
        surface = SurfaceThatTakesNothing(world.world, has_vault=True)
        world.app = replace(world.app, surfaces={kind: surface})
        await world.tell()
        answer = await world.deploy(await world.component("one"))
        await world.settle()

        shown = await world.shown(answer["deploymentId"])
        assert shown.status == "RolledBack"
        assert shown.reason is not None
        assert shown.reason.code == "Unavailable"
        assert not (await world.target()).holds

    run_virtual(main())


def test_it_says_no_more_than_a_sentence() -> None:
    async def main() -> None:
        world, _, deployment = await _deployed_while_away("away " * 1_000)

        outage = (await world.operation(deployment)).outage
        assert outage is not None
        assert len(outage) == REASON_MAX

    run_virtual(main())
