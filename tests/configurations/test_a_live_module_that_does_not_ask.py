"""Who runs a live module is known from the inventory, whether its instances ask or not."""

from collections.abc import Sequence
from typing import Any

import pytest

from shared.contracts.catalog import RuntimeInventoryUpdated
from tests.configurations.configured import (
    ENVIRONMENT_LAYER,
    MODULE_LAYER,
    ROOT,
    Configurations,
    configurations,
    listed,
    proved,
    shown,
)
from tests.kit.told import ended
from tests.kit.virtual_time import run_virtual

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


async def ask(on: Configurations, instance: str = "web-0") -> None:
    """Have *instance* say that it has the version in force."""
    etag = (await on.answered()).headers["ETag"]
    await on.answered(if_none_match=etag, instance=instance)


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


def test_one_that_asks_no_more_is_behind_until_it_asks_again() -> None:
    async def main() -> Any:
        on, head = await of_live(listed(1, "web-0"))
        await ask(on)
        found = []
        for after_s in (1, 91, 61):
            await on.judge(after_s)
            found.append(await status(on, head))
        await ask(on)
        await on.judge(2)
        return [*found, await status(on, head)]

    assert run_virtual(main()) == ["Synced", "Published", "SyncFailed", "Synced"]


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


def test_an_instance_that_is_added_is_waited_for_at_once() -> None:
    async def main() -> Any:
        on, head = await of_live(listed(1, "web-0"))
        await ask(on, "web-0")
        await on.judge(1)
        before = await status(on, head)
        await on.hear(listed(2, "web-0", "web-1"))
        return before, await status(on, head)

    assert run_virtual(main()) == ("Synced", "Published")


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
