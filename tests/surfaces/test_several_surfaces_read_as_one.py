"""A component may be on any surface of an installation; what cannot be read is never absent."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from shared.kernel.ids import EnvironmentId, ModuleId
from shared.kernel.observation import Absent, Present, Reading, Unknown
from shared.surfaces.joined_readers import joined
from shared.surfaces.observed_state import Inventory, LiveComponent, Unread
from shared.surfaces.spec import SurfaceComponent
from tests.kit.memory_cluster import MemoryCluster
from tests.kit.memory_surface import MemorySurface
from tests.kit.seeded_entropy import SeededEntropy
from tests.kit.virtual_time import LoopClock, run_virtual
from tests.surfaces.harness import ENVIRONMENT, SHOP, SITE, TEMPLATE, fence

OTHER = replace(SHOP, module=ModuleId("module-other"))


async def two() -> tuple[MemoryCluster, MemoryCluster]:
    """Return two clusters with a site of one environment: SHOP is on one, OTHER on the other."""
    clusters = []
    for seed, component in enumerate((SHOP, OTHER)):
        cluster = MemoryCluster(LoopClock(), SeededEntropy(seed))
        surface = MemorySurface(cluster)
        await surface.ensure_site(SITE, fence(1))
        await surface.apply(replace(TEMPLATE, component=component), fence(1))
        clusters.append(cluster)
    return clusters[0], clusters[1]


def read(broken: Sequence[int] = ()) -> tuple[list[type], Reading[Inventory]]:
    """Return what SHOP, OTHER and a third are, and the inventory, with clusters *broken*."""

    async def main() -> tuple[list[type], Reading[Inventory]]:
        clusters = await two()
        for number in broken:
            clusters[number].unreadable = f"cluster {number} is away"
        reader = joined([MemorySurface(cluster) for cluster in clusters])
        third = replace(SHOP, module=ModuleId("module-third"))
        found = [type(await reader.observe(each)) for each in (SHOP, OTHER, third)]
        return found, await reader.inventory(ENVIRONMENT)

    return run_virtual(main())


def test_what_one_of_them_has_is_there() -> None:
    found, inventory = read()

    assert found == [Present, Present, Absent]
    assert isinstance(inventory, Present)
    assert [each.component for each in inventory.value.components] == [SHOP, OTHER]
    assert inventory.value.is_complete


def test_one_that_is_away_hides_only_what_it_may_have() -> None:
    found, inventory = read(broken=[1])

    assert found == [Present, Unknown, Unknown]
    assert isinstance(inventory, Present)
    assert [each.component for each in inventory.value.components] == [SHOP]
    assert inventory.value.may_have(OTHER.service)
    assert inventory.value.unread_because([]) == "cluster 1 is away"


def test_when_all_are_away_nothing_is_known() -> None:
    found, inventory = read(broken=[0, 1])

    assert found == [Unknown] * 3
    assert isinstance(inventory, Unknown)


@pytest.mark.parametrize("read_of", ["prove", "traffic"])
def test_every_read_of_a_component_goes_to_the_surface_that_has_it(read_of: str) -> None:
    async def main() -> Reading[object]:
        clusters = await two()
        await clusters[1].clock.sleep(5)
        reader = joined([MemorySurface(cluster) for cluster in clusters])
        reading: Reading[object] = await getattr(reader, read_of)(OTHER)
        return reading

    assert isinstance(run_virtual(main()), Present)


def test_what_one_of_them_has_does_not_wait_for_one_that_never_answers() -> None:
    class Silent(MemorySurface):
        async def observe(self, component: SurfaceComponent) -> Reading[LiveComponent]:
            await asyncio.Event().wait()
            raise AssertionError("nobody sets it")

    async def main() -> None:
        first, second = await two()
        reader = joined([Silent(first), MemorySurface(second)])

        assert isinstance(await reader.observe(OTHER), Present)
        assert asyncio.all_tasks() == {asyncio.current_task()}  # nothing is left that waits

    run_virtual(main())


class Defective(MemorySurface):
    """A surface whose reads end in an error that no port promises."""

    async def inventory(self, environment: EnvironmentId) -> Reading[Inventory]:
        raise KeyError(environment)

    async def observe(self, component: SurfaceComponent) -> Reading[LiveComponent]:
        raise KeyError(component)


def test_one_with_a_defect_hides_only_what_it_may_have() -> None:
    async def main() -> tuple[Reading[LiveComponent], Reading[LiveComponent], Reading[Inventory]]:
        cluster, other = await two()
        reader = joined([MemorySurface(cluster), Defective(other)])
        shop, unseen = await reader.observe(SHOP), await reader.observe(OTHER)
        return shop, unseen, await reader.inventory(ENVIRONMENT)

    shop, unseen, inventory = run_virtual(main())

    assert isinstance(shop, Present)
    assert isinstance(unseen, Unknown)
    assert isinstance(inventory, Present)
    assert [each.component for each in inventory.value.components] == [SHOP]
    assert not inventory.value.is_complete


def test_the_reason_of_a_part_is_for_those_whose_it_is() -> None:
    inventory = Inventory((), (Unread("module-shop is torn", SHOP.service),))

    assert inventory.unread_because([SHOP.service]) == "module-shop is torn"
    assert "module-shop" not in inventory.unread_because([OTHER.service])
    assert not inventory.is_complete
