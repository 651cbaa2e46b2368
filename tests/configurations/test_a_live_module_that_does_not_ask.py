"""Who runs a live module is known from the inventory, whether its instances ask or not."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import pytest

from shared.contracts.catalog import RuntimeInventoryUpdated
from shared.kernel.errors import Stale
from shared.persistence.store import Store
from tests.configurations.configured import (
    ENVIRONMENT_LAYER,
    MODULE_LAYER,
    ROOT,
    Configurations,
    ask,
    configurations,
    listed,
    proved,
    shown,
)
from tests.kit.told import ended, released
from tests.kit.virtual_time import EPOCH, run_virtual

JUST_PUBLISHED_S = 400
"""Later than the time within which a new release need not be listed."""


async def of_live(*news: RuntimeInventoryUpdated, hashes: Sequence[str | None] = (None,)) -> Any:
    """Return the service with a live module, a version published long after its release."""
    on = await configurations()
    head = await on.publish(MODULE_LAYER, {"a": 1})
    await on.hear(proved(1, hashes, "live", {"module": 1}))
    for each in news:
        await on.hear(each)
    await on.app.service.clock.sleep(JUST_PUBLISHED_S)
    return on, await on.publish(MODULE_LAYER, {"a": 2}, head["version"])


@dataclass
class CountedReads:
    """A store that counts the requests which read."""

    store: Store
    reads: int = 0

    def __getattr__(self, name: str) -> Any:
        if name in {"read", "read_many", "query"}:
            self.reads += 1
        return getattr(self.store, name)


async def adoption(on: Configurations, head: Any) -> Any:
    path = f"{ROOT}/{{configurationId}}/adoption"
    return shown(await on.call("GET", path, configurationId=head["configurationId"]))


async def status(on: Configurations, head: Any) -> str:
    path = f"{ROOT}/{{configurationId}}"
    return str(shown(await on.call("GET", path, configurationId=head["configurationId"]))["status"])


def names(found: Any) -> list[str]:
    return [each["instance"] for each in found["instances"]]


def test_an_instance_that_runs_and_never_asked_is_expected_and_fails_the_version() -> None:
    async def main() -> Any:
        on, head = await of_live(listed(1, "web-0"))
        await on.judge(1)
        early, found = await status(on, head), await adoption(on, head)
        await on.judge(61)
        return early, found, await status(on, head), on.told("ConfigurationSyncFailed")

    early, found, late, (failed,) = run_virtual(main())

    assert (early, late) == ("Published", "SyncFailed")
    assert (found["expected"], found["acknowledged"]) == (1, 0)
    (silent,) = found["instances"]
    assert (silent["instance"], silent["version"], silent["at"]) == ("web-0", 0, None)
    assert failed["reason"]["message"].endswith("do not run version 2: 1 did not ask for it")


def test_a_version_is_synced_only_once_the_last_instance_that_runs_has_asked() -> None:
    async def main() -> Any:
        on, head = await of_live(listed(1, "web-0", "web-1"))
        await ask(on, "web-0")
        await on.judge(1)
        one = await status(on, head)
        await ask(on, "web-1")
        await on.judge(2)
        return one, await status(on, head)

    assert run_virtual(main()) == ("Published", "Synced")


def test_one_that_asks_no_more_runs_what_it_said_until_something_else_is_published() -> None:
    async def main() -> Any:
        on, head = await of_live(listed(1, "web-0"))
        await ask(on)
        found = []
        for after_s in (1, 91, 91, 91):
            await on.judge(after_s)
            found.append(await status(on, head))
        shown_at = (await adoption(on, head))["instances"][0]["at"]
        await on.publish(MODULE_LAYER, {"a": 3}, head["version"])
        for after_s in (1, 61):
            await on.judge(after_s)
            found.append(await status(on, head))
        await on.publish(MODULE_LAYER, {"a": 2}, head["version"] + 1)  # and who knows what it runs
        await on.judge(1)
        return [*found, await status(on, head)], shown_at, await adoption(on, head)

    found, shown_at, again = run_virtual(main())

    assert found == [*["Synced"] * 4, "Published", "SyncFailed", "Published"]
    assert shown_at is not None
    assert (again["acknowledged"], again["instances"][0]["at"]) == (0, None)


def test_one_that_asks_seldom_leaves_the_version_synced() -> None:
    async def main() -> Any:
        on, head = await of_live(listed(1, "web-0", "web-1"))
        told, found = len(on.told("ConfigurationSynced")), set()
        for _ in range(5):
            for instance in ("web-0", "web-1"):  # never both within the time that a word lasts
                await ask(on, instance)
                for _ in range(10):
                    await on.judge(10)
            found.add(await status(on, head))
        return found, len(on.told("ConfigurationSynced")) - told

    assert run_virtual(main()) == ({"Synced"}, 1)


@pytest.mark.parametrize(
    "news",
    [
        pytest.param([listed(2, "web-0", started_s=500)], id="was-started-again"),
        pytest.param([listed(2), listed(3, "web-0")], id="was-gone-in-between"),
    ],
)
def test_the_word_of_an_earlier_process_of_the_same_name_is_past(
    news: Sequence[RuntimeInventoryUpdated],
) -> None:
    async def main() -> Any:
        on, head = await of_live(listed(1, "web-0", started_s=0))
        await ask(on)
        await on.judge(1)
        await on.app.service.clock.sleep(200)
        for each in news:
            await on.hear(each)
        found = []
        for after_s in (0, 91, 61):
            await on.judge(after_s)
            found.append(await status(on, head))
        return found

    assert run_virtual(main()) == ["Synced", "Published", "SyncFailed"]


def test_one_that_goes_on_asking_stays_counted() -> None:
    async def main() -> Any:
        on, head = await of_live(listed(1, "web-0"))
        before, found = len(on.told("ConfigurationSynced")), []
        for _ in range(4):
            await ask(on)
            await on.judge(50)
            found.append(await status(on, head))
        return found, len(on.told("ConfigurationSynced")) - before

    assert run_virtual(main()) == (["Synced"] * 4, 1)


def test_what_its_release_was_given_runs_until_something_else_is_published() -> None:
    async def main() -> Any:
        on = await configurations()
        head = await on.publish(MODULE_LAYER, {"a": 1})
        given = (await on.effective())["hash"]
        await on.hear(proved(1, [given], "live", {"module": 1, "hash": given}))
        await on.hear(listed(1, "web-0"))
        await on.app.service.clock.sleep(JUST_PUBLISHED_S)
        before = await adoption(on, head), await status(on, head)
        await on.publish(MODULE_LAYER, {"a": 2}, 1)
        await on.publish(MODULE_LAYER, {"a": 1}, 2)  # the same values, and who knows what it runs
        return before, await adoption(on, head)

    (found, is_synced), again = run_virtual(main())

    assert ((found["acknowledged"], found["expected"]), is_synced) == ((1, 1), "Synced")
    assert found["instances"][0]["basis"] == "observed"
    assert (again["acknowledged"], again["expected"]) == (0, 1)


@pytest.mark.parametrize(
    ("published", "runs"),
    [
        pytest.param([("tenant", {"a": 2}), ("tenant", {"a": 3})], 1, id="says-nothing-of-it"),
        pytest.param([("tenant", {"b": 2}), ("tenant", {})], 0, id="came-and-went"),
    ],
)
def test_what_is_published_and_changes_nothing_of_a_module_leaves_its_proof(
    published: Sequence[tuple[str, Any]], runs: int
) -> None:
    async def main() -> Any:
        on = await configurations()
        await on.publish(MODULE_LAYER, {"a": 1})
        given = (await on.effective())["hash"]
        await on.hear(proved(1, [given], "live", {"module": 1, "hash": given}))
        await on.hear(listed(1, "web-0"))
        await on.app.service.clock.sleep(JUST_PUBLISHED_S)
        for number, (layer, values) in enumerate(published):
            await on.app.service.clock.sleep(1)
            head = await on.publish({"layer": layer}, values, number)
        return (await adoption(on, head))["acknowledged"]

    assert run_virtual(main()) == runs


def test_an_instance_of_a_release_that_is_not_in_force_is_not_counted_though_it_asks() -> None:
    async def main() -> Any:
        on, head = await of_live(listed(1, "web-0", others=["web-1-0"]))
        await ask(on, "web-0")
        await ask(on, "web-1-0")
        return await adoption(on, head)

    assert names(run_virtual(main())) == ["web-0"]


@pytest.mark.parametrize(
    ("news", "counted"),
    [
        pytest.param(listed(2, "web-0"), ["web-0"], id="that-lists-all"),
        pytest.param(listed(2, "web-0", more=1), ["web-0", "web-9"], id="that-lists-a-part"),
        pytest.param(listed(2, "web-0", release=3), ["web-0", "web-9"], id="of-another-release"),
        pytest.param(listed(2, "web-0", stopped=["web-1"]), ["web-0"], id="with-a-stopped-one"),
        pytest.param(listed(1, "web-0", "web-9"), ["web-0"], id="heard-before"),
    ],
)
def test_the_word_of_an_instance_is_past_once_the_inventory_lists_others(
    news: RuntimeInventoryUpdated, counted: list[str]
) -> None:
    async def main() -> Any:
        on, head = await of_live(listed(1, "web-0"))
        await ask(on, "web-9")
        await ask(on, "web-0")
        await on.app.service.clock.sleep(1)
        await on.hear(listed(2, "web-0") if news.revision == 1 else news)
        await on.hear(news)
        return await adoption(on, head)

    assert names(run_virtual(main())) == counted


def test_one_that_began_since_the_inventory_looked_is_counted_by_its_word() -> None:
    async def main() -> Any:
        on, head = await of_live(listed(1, "web-0"))
        await on.app.service.clock.sleep(1)
        await ask(on, "web-1")
        return await adoption(on, head)

    assert names(run_virtual(main())) == ["web-0", "web-1"]


def test_an_instance_that_is_added_has_time_to_ask_before_it_takes_a_version_back() -> None:
    async def main() -> Any:
        on, head = await of_live(listed(1, "web-0"))
        await ask(on)
        await on.judge(1)
        await on.hear(listed(2, "web-0", "web-1"))
        found, counted = [await status(on, head)], await adoption(on, head)
        for after_s in (60, 31, 61):
            await ask(on)
            await on.judge(after_s)
            found.append(await status(on, head))
        return found, (counted["acknowledged"], counted["expected"])

    found, counted = run_virtual(main())

    assert found == ["Synced", "Synced", "Published", "SyncFailed"]
    assert counted == (1, 2)


def test_a_module_that_scales_out_again_and_again_stays_synced_and_is_told_once() -> None:
    async def main() -> Any:
        on, head = await of_live(listed(1, "web-0"))
        told, found, running = len(on.told("ConfigurationSynced")), set(), ["web-0"]
        await ask(on)
        await on.judge(1)
        for number in range(1, 6):
            running.append(f"web-{number}")
            await on.hear(listed(number + 1, *running))
            found.add(await status(on, head))
            for each in running:
                await ask(on, each)
            await on.judge(5)
            found.add(await status(on, head))
        return found, len(on.told("ConfigurationSynced")) - told

    assert run_virtual(main()) == ({"Synced"}, 1)


def test_the_inventory_of_a_release_that_is_not_heard_of_makes_nothing_synced() -> None:
    async def main() -> Any:
        on, head = await of_live(listed(1, "web-0"))
        await on.judge(1)
        await on.judge(61)
        told = len(on.told("ConfigurationSynced"))
        await on.hear(listed(2, "web-9", release=2))
        await on.judge(31)
        early = await status(on, head), names(await adoption(on, head))
        await on.hear(proved(2, [], "live", {"module": 2}))
        late = names(await adoption(on, head))
        return early, late, len(on.told("ConfigurationSynced")) - told

    assert run_virtual(main()) == (("SyncFailed", ["web-0"]), ["web-9"], 0)


def test_if_match_of_a_read_fits_while_nobody_published() -> None:
    async def main() -> None:
        on, head = await of_live(listed(1, "web-0"))
        one, identity = f"{ROOT}/{{configurationId}}", head["configurationId"]
        body = {"scope": MODULE_LAYER, "values": {"a": 3}, "expectedVersion": head["version"]}
        read = await on.call("GET", one, configurationId=identity)
        await ask(on)
        for after_s in (1, 91):
            await on.judge(after_s)
        later = await on.call("GET", one, configurationId=identity)

        await on.call("POST", ROOT, body, if_match=read.headers["ETag"])

        assert (shown(read)["status"], shown(later)["status"]) == ("Published", "Synced")
        again = {**body, "values": {"a": 4}, "expectedVersion": head["version"] + 1}
        with pytest.raises(Stale):
            await on.call("POST", ROOT, again, if_match=later.headers["ETag"])

    run_virtual(main())


def test_an_inventory_costs_the_same_however_many_live_modules_a_tenant_has() -> None:
    async def main(modules: int) -> int:
        stores: list[CountedReads] = []

        def counted(store: Store) -> Store:
            stores.append(CountedReads(store))
            return cast("Store", stores[-1])  # by `__getattr__`

        on = await configurations(around=counted)
        await on.publish({"layer": "tenant"}, {"a": 1})
        for number in range(modules):
            component = released(
                f"module-m{number}", 1, configurationMode="live", configuration={"tenant": 1}
            )
            await on.hear(ended(number + 1, [component]))
        before = stores[0].reads
        await on.hear(listed(1, "m-0", module="module-m0"))
        return stores[0].reads - before

    assert run_virtual(main(1)) == run_virtual(main(8)) == 5


def test_an_inventory_that_is_heard_of_before_its_release_counts_with_it() -> None:
    async def main() -> Any:
        on = await configurations()
        head = await on.publish(ENVIRONMENT_LAYER, {"a": 1})
        await on.hear(listed(1, "web-0"))
        before = await adoption(on, head)
        await on.hear(proved(1, [], "live", {}))
        return before["expected"], names(await adoption(on, head))

    assert run_virtual(main()) == (0, ["web-0"])


@pytest.mark.parametrize(
    ("cause", "more", "expected"),
    [
        pytest.param("observation", 0, ["web-9"], id="that-a-scan-saw"),
        pytest.param("observation", 1, ["web-0", "web-9"], id="of-a-part"),
        pytest.param("deployment", 0, ["web-0", "web-9"], id="that-the-release-tells"),
    ],
)
def test_one_that_was_replaced_right_after_its_release_is_expected_no_more(
    cause: str, more: int, expected: Sequence[str]
) -> None:
    async def main() -> Any:
        on = await configurations()
        head = await on.publish(MODULE_LAYER, {"a": 1})
        await on.hear(proved(1, [None], "live", {"module": 1}))
        await on.hear(listed(1, "web-9", cause=cause, more=more))
        return names(await adoption(on, head))

    assert run_virtual(main()) == expected


def test_of_a_module_that_was_removed_nobody_is_expected() -> None:
    async def main() -> Any:
        on, head = await of_live(listed(1, "web-0"))
        await on.hear(ended(2, [], removed=["module-web"]))
        await on.hear(listed(2))
        await on.judge(1)
        return (await adoption(on, head))["expected"], await status(on, head)

    assert run_virtual(main()) == (0, "Synced")


def test_one_that_starts_again_and_again_and_never_asks_takes_the_version_back() -> None:
    async def main() -> Any:
        on, head = await of_live(listed(1, "web-0", started_s=0))
        await ask(on)
        await on.judge(1)
        seen = [await status(on, head)]
        for number in range(2, 12):
            await on.app.service.clock.sleep(60)
            started_s = (on.app.service.clock.now() - EPOCH).total_seconds() - 1
            await on.hear(listed(number, "web-0", started_s=started_s))
            await on.judge(1)
            seen.append(await status(on, head))
        return seen

    first, *_, last = run_virtual(main())

    assert (first, last) == ("Synced", "SyncFailed")


def test_lists_that_alternate_between_two_releases_leave_no_instance_starting() -> None:
    async def main() -> Any:
        on, head = await of_live(listed(1, "web-0", started_s=0))
        await ask(on)
        await on.judge(1)
        for number in range(2, 20, 2):
            await on.app.service.clock.sleep(60)
            await on.hear(listed(number, "web-9", release=2))
            await on.hear(listed(number + 1, "web-0", "web-1", started_s=0))
            await on.judge(1)
        return await status(on, head)

    assert run_virtual(main()) == "SyncFailed"
