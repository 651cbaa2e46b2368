"""A service that was retired is shown for 90 days more; then it goes, with its history."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from function_apps.catalog.use_cases.remove_retired import remove_retired_services
from shared.contracts.retention import MESSAGES_KEPT, Retention
from shared.persistence.store import Replace
from tests.catalog.inventory import Catalog, catalog
from tests.catalog.test_environments_that_end import Dead, MortalStore
from tests.kit.told import WEB, ended, environment, released
from tests.kit.virtual_time import run_virtual

KEPT = Retention().retired
DAY = timedelta(days=1)
API = "module-api"
KINDS = {"service", "tombstone", "history"}


async def passes(on: Catalog, time: timedelta) -> None:
    """Let *time* pass, and the timer run."""
    await on.app.service.clock.sleep(time.total_seconds())
    await remove_retired_services(on.app)


async def stored(on: Catalog, module: str = WEB) -> list[str]:
    """Return the ids of a service and its history, without what is on its way to others."""
    return [each.id for each in await on.documents(module) if each.body["type"] in KINDS]


async def retired(*modules: str) -> Catalog:
    """Return a catalog in which each of *modules* was released and removed."""
    on = catalog()
    await on.hear_all(environment(1))
    await on.hear_all(ended(1, [released(module) for module in modules]))
    await on.hear_all(ended(2, [], removed=modules))
    return on


def test_a_retired_service_stays_with_its_history_until_its_time_is_over() -> None:
    async def main() -> Any:
        on = await retired(WEB)
        await passes(on, KEPT - DAY)
        kept = len(await stored(on))
        await passes(on, 2 * DAY)
        return kept, await stored(on)

    assert run_virtual(main()) == (3, [])


def test_a_long_history_goes_whole() -> None:
    async def main() -> Any:
        on = catalog()
        await on.hear_all(environment(1))
        for number in range(1, 131):
            await on.hear_all(ended(number, [released(revision=number)]))
        await on.hear_all(ended(131, [], removed=[WEB]))
        before = len(await stored(on))
        await passes(on, KEPT + DAY)
        return before, await stored(on)

    assert run_virtual(main()) == (132, [])


@pytest.mark.parametrize("dies_at", [1, 2])
def test_a_run_that_is_killed_is_continued_by_the_next(dies_at: int) -> None:
    async def main() -> Any:
        on = catalog()
        await on.hear_all(environment(1))
        for number in range(1, 131):
            await on.hear_all(ended(number, [released(revision=number)]))
        await on.hear_all(ended(131, [], removed=[WEB]))
        mortal: Any = MortalStore(on.app.service.store, dies_at, before=dies_at == 2)
        dying = replace(on.app, service=replace(on.app.service, store=mortal))
        await on.app.service.clock.sleep((KEPT + DAY).total_seconds())
        with pytest.raises(Dead):
            await remove_retired_services(dying)
        left = await stored(on)
        await passes(on, DAY)
        return "service" in left, await stored(on)

    assert run_virtual(main()) == (True, [])


def test_a_service_that_runs_stays_with_all_of_its_history() -> None:
    async def main() -> Any:
        on = catalog()
        await on.hear_all(environment(1))
        await on.hear_all(ended(1, [released()]), ended(2, [released(revision=2)]))
        await passes(on, 20 * KEPT)
        return len(await stored(on))

    assert run_virtual(main()) == 3


def test_a_service_that_came_back_stays_with_what_it_was_before() -> None:
    async def main() -> Any:
        on = await retired(WEB)
        again = on.app.service.clock.now() + KEPT - DAY
        await passes(on, KEPT - DAY)
        await on.hear_all(ended(3, [released(revision=2)], at=again))
        await passes(on, 2 * KEPT)
        return len(await stored(on))

    assert run_virtual(main()) == 4


def test_a_service_begins_anew_after_it_was_removed() -> None:
    async def main() -> Any:
        on = await retired(WEB)
        await passes(on, KEPT + DAY)
        at = on.app.service.clock.now()
        await on.hear_all(ended(3, [released(revision=2)], at=at))
        return await stored(on)

    rows = run_virtual(main())

    assert len(rows) == 2
    assert "service" in rows


def test_a_damaged_service_stays_and_stops_no_other() -> None:
    async def main() -> Any:
        on = await retired(API, WEB)
        (damaged,) = [each for each in await on.documents(API) if each.id == "service"]
        body = {**damaged.body, "rows": "none"}
        store = on.app.service.store
        await store.batch(damaged.partition, [Replace(damaged.id, body, damaged.etag)])
        await passes(on, KEPT + DAY)
        return len(await stored(on, API)), await stored(on)

    assert run_virtual(main()) == (3, [])


def test_a_removal_that_came_before_its_release_is_remembered_while_the_release_may_come() -> None:
    async def main() -> Any:
        on = catalog()
        await on.hear_all(environment(1))
        await on.hear_all(ended(2, [], removed=[WEB]))
        await passes(on, MESSAGES_KEPT - DAY)
        (tombstone,) = [each for each in await on.documents() if each.id == "service"]
        await passes(on, 2 * DAY)
        return tombstone.body["type"], await stored(on)

    kind, left = run_virtual(main())

    assert kind == "tombstone"
    assert "service" not in left
