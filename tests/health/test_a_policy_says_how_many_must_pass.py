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


async def wanted(made: Health) -> int:
    """Return how many must pass once all that were added had time to start."""
    late = made.app.service.clock.now() + made.app.rules.probing.resumed_within
    return (await made.target()).instances_due(late, made.app.rules.probing)


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
        pytest.param(1, [inventory(1, 2), inventory(2, 3)], "Healthy", id="scaled-out-just-now"),
        pytest.param(1, [inventory(1, 2, release=9)], "Degraded", id="of-another-release"),
        pytest.param(0, [inventory(0, 2)], "Unknown", id="none-and-never-asked"),
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
        return await wanted(await released_with(2, 1, *order))

    assert run_virtual(main()) == 1


def test_the_next_release_counts_with_its_own_number_until_the_inventory_tells_of_it() -> None:
    async def main() -> list[int]:
        made = await released_with(2, 1, inventory(1, 2))
        seen = [await wanted(made)]
        await made.hear_all(ended(2, [released(WEB, 2, replicas=3)], at=EPOCH))
        seen.append(await wanted(made))
        await made.hear(inventory(1, 4, release=2))
        return [*seen, await wanted(made)]

    assert run_virtual(main()) == [1, 3, 1]


@pytest.mark.parametrize(
    ("news", "raised"),
    [
        pytest.param([], ["ServiceDegraded"], id="lost"),
        pytest.param([inventory(1, 2)], [], id="scaled-in"),
    ],
)
def test_what_is_scaled_in_raises_no_alert(
    news: list[RuntimeInventoryUpdated], raised: list[str]
) -> None:
    async def main() -> list[str]:
        made = await released_with(2, 1, *news)
        await probed(made)
        return [each["payload"]["alert"] for each in made.bench.sent.bodies("RuntimeAlertRaised")]

    assert run_virtual(main()) == raised


def test_what_failed_is_not_well_because_none_is_wanted() -> None:
    async def main() -> list[str]:
        made = await released_with(2, 0)
        before = await probed(made)
        await made.hear(inventory(1, 2))
        await made.hear(inventory(0, 3))
        return [before.status, (await probed(made)).status]

    assert run_virtual(main()) == ["Unhealthy", "Unknown"]


def test_a_worker_that_wakes_from_none_has_time_to_start() -> None:
    async def main() -> list[str]:
        made = await released_with(2, 2)
        seen = [(await probed(made, 1)).status]
        await made.hear(inventory(0, 2))
        made.world.sites[ENVIRONMENT].components.clear()
        await run(made.world, WEB, revision=2, replicas=0)
        seen.append((await probed(made)).status)
        await made.hear(inventory(1, 3))
        seen.append((await probed(made)).status)
        await made.app.service.clock.sleep(made.app.rules.probing.resumed_within.total_seconds())
        return [*seen, (await probed(made)).status]

    assert run_virtual(main()) == ["Healthy", "Healthy", "Healthy", "Unhealthy"]


def test_what_the_inventory_says_before_the_release_is_heard_of_counts() -> None:
    async def main() -> list[object]:
        made = health()
        await made.hear(inventory(1, 2))
        seen: list[object] = [await made.sweep()]
        await made.hear_all(ended(1, [released(WEB)], at=EPOCH))
        await run(made.world, WEB, replicas=1)
        return [*seen, (await probed(made)).status]

    assert run_virtual(main()) == [0, "Healthy"]
