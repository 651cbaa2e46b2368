"""A decommissioned environment retires its services, in pages, whatever happens in between."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from function_apps.catalog.model.environment_scan import EnvironmentScan
from function_apps.catalog.repository import SCANS
from shared.kernel.clock import isoformat
from shared.messaging.unit_of_work import UnitOfWork
from shared.persistence.store import BatchOperation, Etag, Partition, Replace
from tests.catalog.inventory import Catalog, catalog
from tests.kit.service import TENANT
from tests.kit.told import KEY, ended, environment, released
from tests.kit.virtual_time import EPOCH, run_virtual

MODULES = [f"module-m{number:02d}" for number in range(60)]


class Dead(BaseException):
    """The process was killed."""


class MortalStore:
    """Dies after (or before) its n-th batch."""

    def __init__(self, inner: Any, dies_at: int, *, before: bool) -> None:
        self._inner, self._left, self._before = inner, dies_at, before

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def batch(
        self, partition: Partition, operations: Sequence[BatchOperation]
    ) -> Sequence[Etag | None]:
        self._left -= 1
        if self._left == 0 and self._before:
            raise Dead
        etags: Sequence[Etag | None] = await self._inner.batch(partition, operations)
        if self._left == 0:
            raise Dead
        return etags


async def populated(modules: Sequence[str]) -> Catalog:
    made = catalog()
    await made.hear_all(environment(1))
    for start in range(0, len(modules), 20):
        page = modules[start : start + 20]
        await made.hear_all(ended(start + 1, [released(module) for module in page], at=EPOCH))
    made.bench.sent.messages.clear()
    return made


async def statuses(made: Catalog, modules: Sequence[str]) -> set[str]:
    heads = [each.body for each in await made.everything() if each.id == "service"]
    return {str(head["status"]) for head in heads if head["module_id"] in modules}


async def scan_of(made: Catalog) -> EnvironmentScan:
    document = await made.app.service.store.read(Partition(TENANT, KEY), SCANS.document)
    assert document is not None
    return SCANS.decode(document.body)


def test_every_service_is_retired_in_pages_of_25() -> None:
    async def main() -> tuple[list[int], set[str], int]:
        made = await populated(MODULES)
        await made.hear(environment(2, gone=True))
        commands = made.commands()
        for each in commands:
            await made.dispatcher.dispatch(each)
        told = made.bench.sent.bodies("RuntimeInventoryUpdated")
        return [len(commands)], await statuses(made, MODULES), len(told)

    assert run_virtual(main()) == ([60], {"Retired"}, 60)


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("dies_at", range(1, 5))
@pytest.mark.parametrize("goes_on_by", ["the-event-again", "the-sweep"])
def test_a_crash_between_pages_retires_every_service_once(
    dies_at: int, side: str, goes_on_by: str
) -> None:
    async def main() -> tuple[set[str], int]:
        made = await populated(MODULES)
        work = made.app.service.work
        mortal = MortalStore(work.store, dies_at, before=side == "before")
        dying: Any = UnitOfWork(work.service, mortal, work.relay)
        object.__setattr__(made.app.service, "work", dying)
        event = environment(2, gone=True)
        try:
            await made.hear(event)
        except Dead:
            object.__setattr__(made.app.service, "work", work)
        await made.app.service.clock.sleep(30)
        await made.app.service.relay.sweep()
        if goes_on_by == "the-sweep" and dies_at > 1:
            await made.sweep()
        else:
            await made.hear(event)
        await made.settle()
        return await statuses(made, MODULES), len(made.bench.sent.bodies("RuntimeInventoryUpdated"))

    assert run_virtual(main()) == ({"Retired"}, 60)


def test_a_watch_that_ended_is_never_due_again() -> None:
    async def main() -> tuple[int, int]:
        made = await populated(MODULES[:2])
        watching = await made.sweep()
        await made.hear_all(environment(2, gone=True))
        return watching, await made.sweep(3600)

    assert run_virtual(main()) == (1, 0)


def test_an_older_event_of_the_environment_changes_nothing_newer() -> None:
    async def main() -> tuple[bool, set[str]]:
        made = await populated(MODULES[:2])
        at = made.app.service.clock.now() + timedelta(minutes=5)
        await made.hear_all(environment(2, gone=True), environment(5, generation=2))
        await made.app.service.clock.sleep(600)
        newer = [released(module, 2) for module in MODULES[:2]]
        await made.hear_all(ended(90, newer, at=at), environment(2), environment(2, gone=True))
        await made.sweep()
        watch = await scan_of(made)
        return watch.ended_at is None, await statuses(made, MODULES[:2])

    assert run_virtual(main()) == (True, {"Running"})


@pytest.mark.parametrize("is_told", [True, False])
def test_services_of_an_earlier_generation_are_retired_though_its_end_is_told_late_or_never(
    is_told: bool,  # noqa: FBT001
) -> None:
    async def main() -> set[str]:
        made = await populated(MODULES[:2])
        await made.hear_all(environment(10, generation=2))
        if is_told:
            await made.hear_all(environment(7, gone=True))
        await made.sweep()
        return await statuses(made, MODULES[:2])

    assert run_virtual(main()) == {"Retired"}


def test_the_end_of_a_generation_that_was_never_heard_of_retires_what_it_released() -> None:
    async def main() -> set[str]:
        made = catalog()
        await made.hear_all(ended(1, [released()], at=EPOCH), environment(10, generation=2))
        await made.hear_all(environment(7, gone=True))
        return await statuses(made, ["module-web"])

    assert run_virtual(main()) == {"Retired"}


def test_a_new_generation_is_scanned_once_the_services_of_the_last_one_are_retired() -> None:
    async def main() -> bool:
        made = await populated(MODULES[:2])
        await made.hear_all(environment(10, generation=2))
        await made.sweep()
        at = isoformat(made.app.service.clock.now())
        await made.sweep()
        return (await scan_of(made)).scanned_at > at

    assert run_virtual(main())


def test_a_scan_that_was_stored_without_a_generation_retires_nothing_by_the_next_event() -> None:
    async def main() -> set[str]:
        made = await populated(MODULES[:2])
        document = await made.app.service.store.read(Partition(TENANT, KEY), SCANS.document)
        assert document is not None
        body = {**document.body, "schema": 2}
        del body["generation"], body["removed_at"]
        await made.app.service.store.batch(
            Partition(TENANT, KEY), [Replace(SCANS.document, body, document.etag)]
        )
        await made.hear_all(environment(10, generation=2))
        await made.sweep()
        return await statuses(made, MODULES[:2])

    assert "Retired" not in run_virtual(main())


def test_a_deployment_whose_end_is_heard_after_its_environment_is_retired_too() -> None:
    async def main() -> set[str]:
        made = await populated([])
        await made.hear_all(environment(2, gone=True))
        await made.hear_all(ended(1, [released()], at=EPOCH))
        await made.sweep(240)
        return await statuses(made, ["module-web"])

    assert run_virtual(main()) == {"Retired"}


def test_an_environment_that_comes_back_keeps_what_was_retired_retired() -> None:
    async def main() -> tuple[set[str], set[str]]:
        made = await populated(["module-web", "module-api"])
        await made.hear_all(environment(2, gone=True), environment(3, generation=2))
        at = made.app.service.clock.now()
        await made.app.service.clock.sleep(60)
        await made.hear_all(ended(9, [released(revision=2)], at=made.app.service.clock.now()))
        assert made.app.service.clock.now() > at
        return await statuses(made, ["module-web"]), await statuses(made, ["module-api"])

    assert run_virtual(main()) == ({"Running"}, {"Retired"})
