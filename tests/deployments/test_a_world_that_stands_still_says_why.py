"""The worlds of these tests fail after a bound, with what they wait for."""

from dataclasses import replace

import pytest

from shared.kernel.observation import Reading, Unknown
from shared.surfaces.observed_state import LiveComponent
from shared.surfaces.spec import SurfaceComponent
from tests.deployments.crossings import Crossing
from tests.deployments.driven import driven
from tests.deployments.places import MemoryPlace
from tests.kit.memory_surface import MemorySurface
from tests.kit.virtual_time import run_virtual


class SurfaceThatKnowsNobody(MemorySurface):
    async def observe(self, component: SurfaceComponent) -> Reading[LiveComponent]:
        return Unknown(f"it does not take our token, nor shows {component.module}")


async def _around() -> str:
    return "two pods are ready"


def test_an_orchestration_that_never_ends_is_shown_where_it_waits() -> None:
    async def main() -> None:
        world = driven()
        world.patience_s, world.halt_at, world.surroundings = 180, "apply_candidate", _around
        await world.tell()
        began_at_s = world.app.service.clock.monotonic_s()

        with pytest.raises(AssertionError) as failed:
            await world.release("one")

        said = str(failed.value)
        assert world.app.service.clock.monotonic_s() - began_at_s < 200
        assert "'begin_rollout', 'apply_candidate']" in said
        assert "Driven.before\n" in said
        assert '"kind": "Deploy", "status": "Running"' in said
        assert said.endswith("two pods are ready")
        await world.drop_running()

    run_virtual(main())


def test_an_operation_that_is_started_again_and_again_is_shown_with_what_is_away() -> None:
    async def main() -> None:
        world = driven()
        (kind,) = world.app.surfaces
        surface = SurfaceThatKnowsNobody(world.world, has_vault=True)
        world.app = replace(world.app, surfaces={kind: surface})
        world.patience_s = 180
        await world.tell()
        began_at_s = world.app.service.clock.monotonic_s()

        with pytest.raises(AssertionError, match='"outage": "module-shop cannot be observed: it'):
            await Crossing(MemoryPlace(world)).begin()

        assert world.app.service.clock.monotonic_s() - began_at_s < 600

    run_virtual(main())
