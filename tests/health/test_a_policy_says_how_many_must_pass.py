"""A service that its policy scales in is well: as many must pass as the inventory says."""

from itertools import permutations

import pytest

from shared.contracts.catalog import RuntimeInventoryUpdated
from shared.contracts.health import ServiceHealth
from shared.kernel.clock import isoformat
from tests.health.watching import Health, health
from tests.kit.told import ENVIRONMENT, WEB, ended, released, run, service_of
from tests.kit.virtual_time import EPOCH, run_virtual


def inventory(replicas: int, revision: int, release: int = 1) -> RuntimeInventoryUpdated:
    """Return what catalog tells of a service whose policy wants so many instances."""
    component = released(WEB, release, replicas=replicas)
    return RuntimeInventoryUpdated.model_validate(
        {
            **component, "aggregateId": service_of(WEB), "revision": revision,
            "environmentId": ENVIRONMENT, "stage": "test", "status": "Running",
            "cause": {"kind": "scaling", "id": "policy"}, "validFrom": isoformat(EPOCH),
        }
    )  # fmt: skip


async def released_with(replicas: int, instances: int, *news: RuntimeInventoryUpdated) -> Health:
    """Return health after a release of *replicas*, the *news*, and *instances* of it."""
    made = health()
    await made.hear_all(ended(1, [released(WEB, replicas=replicas)], at=EPOCH), *news)
    await run(made.world, WEB, replicas=instances)
    await made.app.service.clock.sleep(30)
    return made


async def probed(made: Health, sweeps: int = 4) -> ServiceHealth:
    for _ in range(sweeps):
        await made.sweep()
    return await made.health()


@pytest.mark.parametrize(
    ("instances", "news", "status"),
    [
        pytest.param(1, [], "Degraded", id="nobody-scales-it"),
        pytest.param(1, [inventory(1, 2)], "Healthy", id="scaled-in"),
        pytest.param(2, [inventory(4, 2)], "Healthy", id="growth-may-never-fit"),
        pytest.param(1, [inventory(4, 2)], "Degraded", id="fewer-than-released"),
        pytest.param(1, [inventory(1, 2), inventory(2, 3)], "Degraded", id="scaled-out-again"),
        pytest.param(1, [inventory(1, 2, release=9)], "Degraded", id="of-another-release"),
        pytest.param(0, [inventory(0, 2)], "Healthy", id="scaled-to-none"),
        pytest.param(0, [inventory(1, 2)], "Unhealthy", id="none-where-one-is-wanted"),
    ],
)
def test_as_many_must_pass_as_its_policy_wants_of_those_released(
    instances: int, news: list[RuntimeInventoryUpdated], status: str
) -> None:
    async def main() -> str:
        return (await probed(await released_with(2, instances, *news))).status

    assert run_virtual(main()) == status


@pytest.mark.parametrize("order", list(permutations([inventory(2, 2), inventory(1, 3)])))
def test_the_newest_number_counts_in_whatever_order_it_is_told(
    order: tuple[RuntimeInventoryUpdated, ...],
) -> None:
    async def main() -> int:
        return (await (await released_with(2, 1, *order)).target()).replicas

    assert run_virtual(main()) == 1


def test_the_next_release_counts_with_its_own_number_until_the_inventory_tells_of_it() -> None:
    async def main() -> list[int]:
        made = await released_with(2, 1, inventory(1, 2))
        seen = [(await made.target()).replicas]
        await made.hear_all(ended(2, [released(WEB, 2, replicas=3)], at=EPOCH))
        seen.append((await made.target()).replicas)
        await made.hear(inventory(1, 4, release=2))
        return [*seen, (await made.target()).replicas]

    assert run_virtual(main()) == [1, 3, 1]


def test_what_is_scaled_in_raises_no_alert() -> None:
    async def main() -> list[str]:
        made = await released_with(2, 1, inventory(1, 2))
        await probed(made)
        return [each["payload"]["name"] for each in made.bench.sent.bodies("AlertRaised")]

    assert run_virtual(main()) == []
