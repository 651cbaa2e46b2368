"""Gates and samples are kept 30 days; what is known of a service goes 90 after it was removed."""

from datetime import timedelta
from typing import Any

import pytest

from function_apps.health.errors import HealthNotFound
from function_apps.health.model.objective import Objective
from function_apps.health.repository import OBJECTIVES, sample_partition
from function_apps.health.use_cases.count_events import load_samples
from function_apps.health.use_cases.set_objective import set_objective
from shared.contracts.health import SetObjective
from shared.contracts.retention import Retention
from tests.health.watching import Health, health
from tests.kit.service import TENANT
from tests.kit.told import WEB, ended, released, run, service_of
from tests.kit.virtual_time import run_virtual

RESULTS, RETIRED = Retention().results, Retention().retired
DAY = timedelta(days=1)


async def removed() -> Health:
    """Return a health that has probed a service, and heard then that it was removed."""
    on = health()
    await run(on.world)
    await on.hear_all(ended(1, [released()]))
    for _ in range(5):
        await on.sweep()
    await on.hear_all(ended(9, [], removed=[WEB]))
    return on


async def passes(on: Health, time: timedelta) -> None:
    await on.app.service.clock.sleep(time.total_seconds())


async def samples(on: Health) -> int:
    return len(await on.app.samples.scan(sample_partition(TENANT, service_of()), limit=100))


def test_samples_of_a_service_that_was_removed_go_before_what_they_are_found_by() -> None:
    async def main() -> Any:
        on = await removed()
        kept = await samples(on)
        for _ in range(RESULTS.days + 1):
            await passes(on, DAY)
            await on.delete_old_samples()
        return kept > 0, await samples(on), await on.document() is not None

    assert run_virtual(main()) == (True, 0, True)


async def with_objective() -> Health:
    """Return a health that has counted for an objective of a service that was then removed."""
    on = health()
    await run(on.world)
    await on.hear_all(ended(1, [released()]))
    content = {"sli": "probes", "objective": 0.99, "window": "P7D"}
    await set_objective(service_of(), SetObjective.model_validate(content), on.ctx, on.app)
    for _ in range(3):
        await on.sweep()
    assert (await load_samples(TENANT, service_of(), on.app)).measure
    await on.hear_all(ended(9, [], removed=[WEB]))
    return on


async def objective(on: Health) -> Objective | None:
    return await on.app.service.work.find(OBJECTIVES, service_of(), TENANT)


def test_what_an_objective_has_counted_goes_as_samples_do_and_the_objective_with_its_service() -> (
    None
):
    async def main() -> Any:
        on = await with_objective()
        await passes(on, RESULTS - DAY)
        await on.delete_old_samples()
        counted = [(await load_samples(TENANT, service_of(), on.app)).measure]
        await passes(on, 2 * DAY)
        await on.delete_old_samples()
        counted.append((await load_samples(TENANT, service_of(), on.app)).measure)
        kept = await objective(on)
        await passes(on, RETIRED - RESULTS)
        return counted, kept is not None, await objective(on)

    counted, is_kept, after = run_virtual(main())

    assert (bool(counted[0]), bool(counted[1])) == (True, False)
    assert (is_kept, after) == (True, None)


def test_an_objective_of_a_service_that_comes_back_stays() -> None:
    async def main() -> Any:
        on = await with_objective()
        await passes(on, RETIRED - DAY)
        at = on.app.service.clock.now()
        await on.hear_all(ended(10, [released(revision=2)], at=at))
        await passes(on, 2 * RETIRED)
        return await objective(on)

    known = run_virtual(main())

    assert known is not None
    assert not known.is_retired


def test_a_removed_service_is_known_for_90_days() -> None:
    async def main() -> None:
        on = await removed()
        await passes(on, RETIRED - DAY)
        assert (await on.target()).is_retired
        await passes(on, 2 * DAY)

        assert await on.document() is None
        with pytest.raises(HealthNotFound):
            await on.health()

    run_virtual(main())


@pytest.mark.parametrize("apart", [RETIRED - DAY, RETIRED + DAY], ids=["known", "forgotten"])
def test_a_service_that_comes_back_is_watched_and_stays(apart: timedelta) -> None:
    async def main() -> None:
        on = await removed()
        await passes(on, apart)
        at = on.app.service.clock.now()
        await on.hear_all(ended(10, [released(revision=2)], at=at))
        await passes(on, 2 * RETIRED)

        assert (await on.target()).release_revision == 2
        assert not (await on.target()).is_retired

    run_virtual(main())
