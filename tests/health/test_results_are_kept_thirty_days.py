"""Gates and samples are kept 30 days; what is known of a service goes 90 after it was removed."""

from datetime import timedelta
from typing import Any

import pytest

from function_apps.health.errors import HealthNotFound
from function_apps.health.repository import sample_partition
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
