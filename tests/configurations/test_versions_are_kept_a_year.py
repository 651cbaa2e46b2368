"""A version that was replaced a year ago goes, unless a release has it or it can be returned to."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from function_apps.configurations.errors import ConfigurationNotFound
from function_apps.configurations.use_cases.remove_versions import remove_past_versions
from shared.contracts.retention import Retention
from shared.persistence.store import Replace, partition_of
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
from tests.kit.told import WEB, ended, environment
from tests.kit.virtual_time import run_virtual

YEAR = Retention().ended
DAY = timedelta(days=1)


async def passes(on: Configurations, time: timedelta) -> None:
    """Let *time* pass, and the timer run."""
    await on.app.service.clock.sleep(time.total_seconds())
    await remove_past_versions(on.app)


async def published(on: Configurations, scope: Any, count: int, after: int = 0) -> Any:
    """Publish *count* versions of *scope*, each against the one before; return the head."""
    head: Any = None
    for number in range(after, after + count):
        head = await on.publish(scope, {"n": number + 1}, number)
    return head


async def versions(on: Configurations, head: Any, count: int) -> Sequence[int]:
    """Return which of the first *count* versions are there."""
    there = []
    for number in range(1, count + 1):
        try:
            await on.call(
                "GET",
                f"{ROOT}/{{configurationId}}/versions/{{version}}",
                configurationId=head["configurationId"],
                version=number,
            )
            there.append(number)
        except ConfigurationNotFound:
            pass
    return there


@pytest.mark.parametrize("scope", [TENANT_LAYER, ENVIRONMENT_LAYER, MODULE_LAYER])
def test_what_was_replaced_a_year_ago_goes_but_for_what_was_in_force_last(scope: Any) -> None:
    async def main() -> Any:
        on = await configurations()
        head = await published(on, scope, 5)
        await passes(on, YEAR - DAY)
        before = await versions(on, head, 5)
        await passes(on, 2 * DAY)
        return before, await versions(on, head, 5)

    before, later = run_virtual(main())

    assert before == [1, 2, 3, 4, 5]
    assert later == [4, 5]


def test_a_version_is_kept_a_year_from_when_it_was_replaced_not_published() -> None:
    async def main() -> Any:
        on = await configurations()
        await published(on, MODULE_LAYER, 1)
        await passes(on, 3 * YEAR)
        head = await published(on, MODULE_LAYER, 2, after=1)
        await passes(on, YEAR - DAY)
        before = await versions(on, head, 3)
        await passes(on, 2 * DAY)
        return before, await versions(on, head, 3)

    assert run_virtual(main()) == ([1, 2, 3], [2, 3])


def test_what_a_release_was_given_stays_while_it_is_one_of_the_last_ten() -> None:
    async def main() -> Any:
        on = await configurations()
        head = await published(on, MODULE_LAYER, 4)
        hashes = [f"sha256:{number:064d}" for number in range(1, 20)]
        await on.hear(proved(1, [hashes[0]], "pinned", {"module": 1, "hash": hashes[0]}))
        await passes(on, 2 * YEAR)
        before = await versions(on, head, 4)
        for number in range(2, 12):
            pin = {"module": 4, "hash": hashes[number]}
            await on.hear(proved(number, [hashes[number]], "pinned", pin))
        await passes(on, DAY)
        return before, await versions(on, head, 4)

    assert run_virtual(main()) == ([1, 3, 4], [3, 4])


@pytest.mark.parametrize(
    ("end", "left"),
    # The end of an environment puts an empty version in force, the fifth.
    [("module", [3, 4]), ("environment", [4])],
)
def test_what_a_release_was_given_goes_when_that_is_gone(end: str, left: list[int]) -> None:
    async def main() -> Any:
        on = await configurations()
        head = await published(on, MODULE_LAYER, 4)
        given_hash = f"sha256:{1:064d}"
        await on.hear(proved(1, [given_hash], "pinned", {"module": 1, "hash": given_hash}))
        await on.hear(ended(2, [], removed=[WEB]) if end == "module" else environment(2, gone=True))
        await passes(on, YEAR + DAY)
        return await versions(on, head, 4)

    assert run_virtual(main()) == left


def test_a_draft_goes_a_year_after_it_was_overtaken_and_an_open_one_stays() -> None:
    async def main() -> Any:
        on = await configurations()
        await published(on, MODULE_LAYER, 1)
        await on.publish(MODULE_LAYER, {"n": 20}, 1, draft=True)
        await passes(on, 2 * YEAR)
        head = await on.publish(MODULE_LAYER, {"n": 3}, 1)
        await on.publish(MODULE_LAYER, {"n": 40}, 3, draft=True)
        await passes(on, YEAR - DAY)
        before = await versions(on, head, 4)
        await passes(on, 2 * DAY)
        there = await versions(on, head, 4)
        await passes(on, 5 * YEAR)
        path = f"{ROOT}/{{configurationId}}/versions/{{version}}/publish"
        opened = shown(
            await on.call(
                "POST", path, {"expectedVersion": 3},
                configurationId=head["configurationId"], version=4,
            )
        )  # fmt: skip
        return before, there, opened["version"]

    assert run_virtual(main()) == ([1, 2, 3, 4], [1, 3, 4], 4)


def test_what_is_left_can_be_compared_and_returned_to() -> None:
    async def main() -> Any:
        on = await configurations()
        head = await published(on, MODULE_LAYER, 5)
        await passes(on, YEAR + DAY)
        identity = head["configurationId"]
        diff = await on.call("GET", f"{ROOT}/{{configurationId}}/diff", configurationId=identity)
        body = {"toVersion": 4, "expectedVersion": 5}
        path = f"{ROOT}/{{configurationId}}/rollback"
        back = await on.call("POST", path, body, configurationId=identity)
        gone = {"toVersion": 2, "expectedVersion": 6}
        with pytest.raises(ConfigurationNotFound):
            await on.call("POST", path, gone, configurationId=identity)
        return shown(diff), shown(back), await on.effective()

    diff, back, effective = run_virtual(main())

    assert [each["key"] for each in diff["changes"]] == ["n"]
    assert back["version"] == 6
    assert effective["values"] == {"n": 4}


def test_a_layer_that_cannot_be_read_stays_whole_and_stops_no_other() -> None:
    async def main() -> Any:
        on = await configurations()
        damaged = await published(on, ENVIRONMENT_LAYER, 3)
        whole = await published(on, MODULE_LAYER, 3)
        store, identity = on.app.service.store, damaged["configurationId"]
        at = partition_of(TENANT, identity)
        head = await store.read(at, f"configuration/{identity}")
        assert head is not None
        await store.batch(at, [Replace(head.id, {**head.body, "layer": 1}, head.etag)])
        await passes(on, YEAR + DAY)
        rows = [f"version/{identity}/{number:09d}" for number in range(1, 4)]
        return await versions(on, whole, 3), sorted(await store.read_many(at, rows)) == rows

    assert run_virtual(main()) == ([2, 3], True)


@given(st.lists(st.sampled_from(["publish", "draft", "open", "return", "wait"]), max_size=25))
@settings(max_examples=30)
def test_in_any_history_nothing_goes_that_was_in_force_within_a_year(steps: list[str]) -> None:
    async def main() -> None:
        on = await configurations()
        clock = on.app.service.clock
        in_force: list[tuple[int, Any]] = []
        head: Any = {"version": 0, "draft": None}
        for number, step in enumerate(steps):
            expected, draft = head["version"], head["draft"]
            match step:
                case "publish":
                    head = await on.publish(MODULE_LAYER, {"n": number}, expected)
                case "draft":
                    draft_only = {"n": number}
                    head = await on.publish(MODULE_LAYER, draft_only, expected, draft=True)
                case "open" if draft:
                    path = f"{ROOT}/{{configurationId}}/versions/{{version}}/publish"
                    identity = head["configurationId"]
                    body = {"expectedVersion": expected}
                    head = shown(
                        await on.call("POST", path, body, configurationId=identity, version=draft)
                    )
                case "wait":
                    await passes(on, YEAR / 3)
                case _:
                    continue
            if head["version"] and (not in_force or in_force[-1][0] != head["version"]):
                in_force.append((head["version"], clock.now()))
        if not in_force:
            return
        await passes(on, timedelta(hours=1))
        ends = [at for _, at in in_force[1:]]
        lately = [
            version
            for (version, _), end in zip(in_force, [*ends, None], strict=True)
            if end is None or clock.now() - end < YEAR
        ]
        there = await versions(on, head, len(steps) + 1)
        assert {*lately, *([in_force[-2][0]] if len(in_force) > 1 else [])} <= {*there}
        gone = [version for version, _ in in_force if version not in there]
        assert [*gone] == [version for version, _ in in_force[: len(gone)]]
        if head["draft"]:
            assert head["draft"] in there

    run_virtual(main())
