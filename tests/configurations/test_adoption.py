"""A version is synced once every instance that is to run it does; each is known by its basis."""

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from function_apps.configurations.errors import TooManyModules
from function_apps.configurations.resources import INSTANCES_MAX
from function_apps.configurations.use_cases import put_in_force
from shared.kernel.errors import Invalid
from shared.kernel.ids import module_key, parse_id, service_id
from tests.configurations.configured import (
    ENVIRONMENT_LAYER,
    MODULE_LAYER,
    ROOT,
    TENANT_LAYER,
    Configurations,
    configurations,
    proved,
    shown,
)
from tests.kit.service import TENANT
from tests.kit.told import ENVIRONMENT, WEB, ended
from tests.kit.virtual_time import run_virtual

OTHER = "sha256:" + "9" * 64


async def _released(
    on: Configurations, number: int, hashes: list[str | None], mode: str = "pinned", **pin: Any
) -> None:
    """Have a deployment end whose instances prove *hashes*."""
    await on.hear(proved(number, hashes, mode, pin))


async def _adoption(on: Configurations, head: Any) -> Any:
    identity = head["configurationId"]
    answer = await on.call("GET", f"{ROOT}/{{configurationId}}/adoption", configurationId=identity)
    return shown(answer)


async def _status(on: Configurations, head: Any) -> Any:
    identity = head["configurationId"]
    return shown(await on.call("GET", f"{ROOT}/{{configurationId}}", configurationId=identity))


def test_a_version_is_synced_when_every_instance_of_its_release_proved_it() -> None:
    async def main() -> Any:
        on = await configurations()
        head = await on.publish(MODULE_LAYER, {"a": 1})
        given = (await on.effective())["hash"]
        await _released(on, 1, [given, given], module=1, hash=given)
        return await _status(on, head), await _adoption(on, head), on.told("ConfigurationSynced")

    head, adoption, events = run_virtual(main())

    assert head["status"] == "Synced"
    assert (adoption["expected"], adoption["acknowledged"]) == (2, 2)
    assert {each["basis"] for each in adoption["instances"]} == {"observed"}
    assert [(each["expected"], each["basis"]) for each in events] == [(2, "observed")]


def test_a_version_is_not_synced_while_an_instance_runs_another() -> None:
    async def main() -> Any:
        on = await configurations()
        head = await on.publish(MODULE_LAYER, {"a": 1})
        given = (await on.effective())["hash"]
        await _released(on, 1, [given, OTHER], module=1, hash=given)
        early = await _status(on, head)
        await on.judge(61)
        return early, await _status(on, head), on.told("ConfigurationSyncFailed")

    early, late, (failed,) = run_virtual(main())

    assert (early["status"], late["status"]) == ("Published", "SyncFailed")
    assert (failed["acknowledged"], failed["missing"]) == (1, ["web-1"])


def test_a_version_that_failed_is_synced_when_its_last_instance_follows() -> None:
    async def main() -> Any:
        on = await configurations()
        head = await on.publish(MODULE_LAYER, {"a": 1})
        given = (await on.effective())["hash"]
        await _released(on, 1, [given, OTHER], module=1, hash=given)
        await on.judge(61)
        await _released(on, 2, [given, given], module=1, hash=given)
        return await _status(on, head)

    assert run_virtual(main())["status"] == "Synced"


def test_instances_that_are_pinned_to_another_version_are_not_expected() -> None:
    async def main() -> Any:
        on = await configurations()
        await on.publish(MODULE_LAYER, {"a": 1})
        given = (await on.effective())["hash"]
        await _released(on, 1, [given], module=1, hash=given)
        head = await on.publish(MODULE_LAYER, {"a": 2}, 1)
        await on.judge(0)
        return await _status(on, head), await _adoption(on, head)

    head, adoption = run_virtual(main())

    assert (head["version"], head["status"], adoption["expected"]) == (2, "Synced", 0)


def test_all_three_layers_are_judged_by_a_release() -> None:
    async def main() -> Any:
        on = await configurations()
        heads = [
            await on.publish(layer, {"a": 1})
            for layer in (TENANT_LAYER, ENVIRONMENT_LAYER, MODULE_LAYER)
        ]
        given = (await on.effective())["hash"]
        await _released(on, 1, [given], tenant=1, environment=1, module=1, hash=given)
        return [(await _adoption(on, head))["expected"] for head in heads]

    assert run_virtual(main()) == [1, 1, 1]


def test_an_instance_that_follows_live_is_counted_by_its_own_word() -> None:
    async def main() -> Any:
        on = await configurations()
        head = await on.publish(MODULE_LAYER, {"a": 1})
        first = await on.answered()
        await _released(on, 1, [None], mode="live")
        await on.answered(if_none_match=first.headers["ETag"], instance="web-0")
        await on.publish(MODULE_LAYER, {"a": 2}, 1)
        behind = await _adoption(on, head)
        await on.answered(if_none_match=(await on.answered()).headers["ETag"], instance="web-0")
        await on.judge(2)
        return behind, await _adoption(on, head), await _status(on, head)

    behind, adoption, head = run_virtual(main())

    assert (behind["expected"], behind["acknowledged"]) == (1, 0)
    assert (adoption["acknowledged"], adoption["instances"][0]["version"]) == (1, 2)
    assert (adoption["instances"][0]["basis"], head["status"]) == ("reported", "Synced")


def test_an_instance_that_no_longer_asks_and_is_in_no_inventory_is_not_expected() -> None:
    async def main() -> Any:
        on = await configurations()
        head = await on.publish(MODULE_LAYER, {"a": 1})
        await _released(on, 1, [None], mode="live")
        etag = (await on.answered()).headers["ETag"]
        await on.answered(if_none_match=etag, instance="web-0")
        await on.app.service.clock.sleep(300)
        return (await _adoption(on, head))["expected"]

    assert run_virtual(main()) == 0


def test_an_instance_of_a_new_release_is_expected_before_it_has_asked() -> None:
    async def main() -> Any:
        on = await configurations()
        head = await on.publish(MODULE_LAYER, {"a": 1})
        await _released(on, 1, [None, None], mode="live")
        etag = (await on.answered()).headers["ETag"]
        await on.answered(if_none_match=etag, instance="web-0")
        return await _adoption(on, head)

    found = run_virtual(main())
    assert (found["expected"], found["acknowledged"]) == (2, 1)


def test_a_floating_module_has_not_adopted_what_is_not_rolled_out() -> None:
    async def main() -> Any:
        on = await configurations()
        await on.publish(MODULE_LAYER, {"a": 1})
        given = (await on.effective())["hash"]
        await _released(on, 1, [given], mode="floating", module=1, hash=given)
        head = await on.publish(MODULE_LAYER, {"a": 2}, 1)
        await on.judge(3)
        early = (await _status(on, head))["status"]
        await on.judge(61)
        return early, (await _status(on, head))["status"]

    assert run_virtual(main()) == ("Published", "SyncFailed")


@pytest.mark.parametrize("instance", ["", "x" * 129, "a/b", "a b"])
def test_a_name_that_no_instance_has_is_refused(instance: str) -> None:
    async def main() -> None:
        on = await configurations()
        await on.answered(if_none_match=f'"{OTHER}"', instance=instance)

    with pytest.raises(Invalid) as refused:
        run_virtual(main())
    assert refused.value.target == "instance"


def test_what_is_no_hash_is_no_report() -> None:
    async def main() -> Any:
        on = await configurations()
        head = await on.publish(MODULE_LAYER, {"a": 1})
        await _released(on, 1, [], mode="live")
        await on.answered(if_none_match='"nonsense"', instance="ghost")
        return (await _adoption(on, head))["expected"]

    assert run_virtual(main()) == 0


def test_reports_are_removed_once_nobody_counts_them() -> None:
    async def main() -> Any:
        on = await configurations()
        head = await on.publish(MODULE_LAYER, {"a": 1})
        await _released(on, 1, [], mode="live")
        etag = (await on.answered()).headers["ETag"]
        await on.answered(if_none_match=etag, instance="web-0")
        left = []
        for _ in range(3):
            await on.app.service.clock.sleep(90)
            await _adoption(on, head)
            left.append(len(await reports(on)))
        return left

    async def reports(on: Configurations) -> list[Any]:
        service = service_id(parse_id(ENVIRONMENT, "env").environment, module_key(TENANT, WEB))
        found: list[Any] = []
        for third in range(3):
            found += await on.app.reports.scan(f"{TENANT}|{service}|{third}")
        return found

    assert run_virtual(main()) == [1, 0, 0]


def test_the_end_of_an_older_release_says_nothing() -> None:
    async def main() -> Any:
        on = await configurations()
        head = await on.publish(MODULE_LAYER, {"a": 1})
        given = (await on.effective())["hash"]
        await _released(on, 2, [given], module=1, hash=given)
        await _released(on, 1, [OTHER], hash=OTHER)
        return await _adoption(on, head)

    assert run_virtual(main())["acknowledged"] == 1


def test_a_removal_that_overtakes_its_release_leaves_no_instance_to_wait_for() -> None:
    async def main() -> Any:
        on = await configurations()
        head = await on.publish(MODULE_LAYER, {"a": 1})
        await on.hear(ended(2, [], removed=[WEB]))
        await _released(on, 1, [OTHER], module=1, hash=(await on.effective())["hash"])
        return await _adoption(on, head), await _status(on, head)

    adoption, head = run_virtual(main())

    assert (adoption["expected"], adoption["instances"]) == (0, [])
    assert head["status"] == "Synced"


def test_adoption_is_shown_page_by_page_with_every_instance_once() -> None:
    async def main() -> Any:
        on = await configurations()
        head = await on.publish(MODULE_LAYER, {"a": 1})
        given = (await on.effective())["hash"]
        await on.hear(proved(1, [given], "live", {"module": 1, "hash": given}))
        for number in range(INSTANCES_MAX):
            await on.answered(if_none_match=f'"{given}"', instance=f"live-{number:04d}")
        return await _adoption_pages(on, head["configurationId"])

    first, second = run_virtual(main())

    assert (first["expected"], second["expected"]) == (INSTANCES_MAX + 1, INSTANCES_MAX + 1)
    assert (len(first["instances"]), len(second["instances"])) == (INSTANCES_MAX, 1)
    names = [each["instance"] for page in (first, second) for each in page["instances"]]
    assert len({*names}) == INSTANCES_MAX + 1


async def _adoption_pages(on: Configurations, identity: str) -> list[Any]:
    pages, query = [], dict[str, str]()
    while True:
        path = f"{ROOT}/{{configurationId}}/adoption"
        page = shown(await on.call("GET", path, query=query, configurationId=identity))
        pages.append(page)
        if page["nextLink"] is None:
            return pages
        query = dict(parse_qsl(urlsplit(page["nextLink"]).query))


def test_a_publish_that_reaches_more_modules_than_it_can_check_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(put_in_force, "MERGES_MAX", 3)

    async def main() -> Any:
        on = await configurations()
        for number in range(3):
            await on.publish({**MODULE_LAYER, "moduleId": f"module-m{number}"}, {"a": 1})
        await on.publish(ENVIRONMENT_LAYER, {"b": 1})
        await on.publish({**MODULE_LAYER, "moduleId": "module-m3"}, {"a": 1})
        with pytest.raises(TooManyModules, match=r"reaches 4 modules .* for 3 at most"):
            await on.publish(ENVIRONMENT_LAYER, {"b": 2}, 1)
        return (await on.effective(moduleId="module-m3"))["values"]

    assert run_virtual(main()) == {"a": 1, "b": 1}
