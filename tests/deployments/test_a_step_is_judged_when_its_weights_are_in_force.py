"""A split that is written but not shown in time is set again, not taken for one in force."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from shared.kernel.fence import Fence
from shared.surfaces.errors import TrafficUnavailable
from shared.surfaces.spec import SurfaceComponent
from tests.deployments.driven import driven
from tests.kit.memory_surface import MemorySurface
from tests.kit.virtual_time import run_virtual


class SurfaceWithASlowGateway(MemorySurface):
    """It shows the weights that were written, as a route does, before its gateway has them."""

    late = 0
    shown = 0

    async def set_weights(
        self, component: SurfaceComponent, weights: Mapping[int, int], fence: Fence
    ) -> None:
        await super().set_weights(component, weights, fence)
        if self.late:
            self.late -= 1
            raise TrafficUnavailable("the gateway has not taken in the weights yet")
        self.shown += 1


@pytest.mark.parametrize(("late", "status"), [(2, "Completed"), (5, "RolledBack")])
def test_no_gate_is_asked_before(late: int, status: str) -> None:
    async def main() -> None:
        world = driven()
        (kind,) = world.app.surfaces
        surface = SurfaceWithASlowGateway(world.world, has_vault=True)
        world.app = replace(world.app, surfaces={kind: surface})
        await world.tell()
        await world.release("one")
        surface.shown, surface.late = 0, late
        asked_before = len(world.health.asked)

        done = await world.release("two")

        assert done.status == status
        gates = len(world.health.asked) - asked_before
        steps = len(done.steps) if done.status == "Completed" else 0
        assert gates == steps
        assert surface.shown >= gates

    run_virtual(main())
