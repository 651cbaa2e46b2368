"""Layers and releases end with their environment: one of the same name begins without them."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from function_apps.configurations.errors import ConfigurationNotFound
from function_apps.configurations.model.configuration import Layer
from function_apps.configurations.repository import adoptions_below
from function_apps.configurations.use_cases.remove_ended import remove_ended_layers
from function_apps.configurations.use_cases.remove_versions import remove_past_versions
from shared.contracts.configurations import ConfigurationLayer
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
from tests.kit.stores import all_changes
from tests.kit.told import environment
from tests.kit.virtual_time import run_virtual

YEAR = Retention().ended
DAY = timedelta(days=1)
HOUR_S = 3600.0
HASH = f"sha256:{1:064d}"
OVER = environment(2, gone=True)
AGAIN = environment(3, generation=2)


async def passes(on: Configurations, time: timedelta) -> None:
    """Let *time* pass, and the timers run."""
    await on.app.service.clock.sleep(time.total_seconds())
    await remove_past_versions(on.app)
    await remove_ended_layers(on.app)


async def stored(on: Configurations) -> Sequence[str]:
    """Return the kinds of documents that are stored, without what is on its way to others."""
    documents = await all_changes(on.app.service.store)
    return sorted(str(each.body["type"]) for each in documents if each.body["type"] != "outbox")


async def filled() -> Configurations:
    """Return the service with all three layers, a draft, and a release of its environment."""
    on = await configurations()
    await on.publish(TENANT_LAYER, {"currency": "EUR"})
    await on.publish(ENVIRONMENT_LAYER, {"level": "debug"})
    await on.publish(MODULE_LAYER, {"greeting": "hello"})
    await on.publish(MODULE_LAYER, {"greeting": "draft"}, 1, draft=True)
    await on.hear(proved(1, [HASH], "floating", {"module": 1, "hash": HASH}))
    await on.app.service.clock.sleep(HOUR_S)
    return on


async def head(on: Configurations, layer: str) -> Any:
    listed = shown(await on.call("GET", ROOT, query={"layer": layer}))["value"]
    return listed[0] if listed else None


def test_an_environment_of_the_same_name_begins_without_layers_drafts_and_releases() -> None:
    async def main() -> Any:
        on = await filled()
        await on.hear(OVER)
        await on.hear(AGAIN)
        module = await head(on, "module")
        await on.judge(1)
        return module, await on.effective(), (await head(on, "module"))["status"]

    module, effective, status = run_virtual(main())

    assert effective["values"] == {"currency": "EUR"}
    assert (module["version"], module["draft"]) == (3, None)
    assert status == "Synced"  # nobody is left that was to run the version before


def test_who_consumes_a_layer_hears_that_it_says_nothing() -> None:
    async def main() -> Any:
        on = await filled()
        await on.hear(OVER)
        return on.told("ConfigurationPublished")[-2:]

    told = run_virtual(main())

    assert {each["layer"]: (each["version"], each["values"]) for each in told} == {
        "environment": (2, {}), "module": (3, {}),
    }  # fmt: skip
    assert all(each["revision"] > 1 for each in told)


def test_what_was_published_can_be_returned_to_for_a_year() -> None:
    async def main() -> Any:
        on = await filled()
        await on.hear(OVER)
        await passes(on, YEAR - DAY)
        await on.hear(AGAIN)
        identity = (await head(on, "module"))["configurationId"]
        body = {"toVersion": 1, "expectedVersion": 3}
        path = f"{ROOT}/{{configurationId}}/rollback"
        await on.call("POST", path, body, configurationId=identity)
        return await on.effective()

    assert run_virtual(main())["values"]["greeting"] == "hello"


def test_a_year_after_its_end_nothing_is_left_but_what_is_of_no_environment() -> None:
    async def main() -> Any:
        on = await filled()
        await on.hear(OVER)
        await passes(on, YEAR - DAY)
        before = await stored(on)
        await passes(on, 2 * DAY)
        return before, await stored(on)

    before, later = run_virtual(main())

    assert before.count("configuration") == 3
    assert later == ["configuration", "environment", "version"]


def test_the_layers_of_an_environment_that_is_there_again_stay() -> None:
    async def main() -> Any:
        on = await filled()
        await on.hear(OVER)
        await on.hear(AGAIN)
        await on.publish(MODULE_LAYER, {"greeting": "again"}, 3)
        await passes(on, 3 * YEAR)
        return await on.effective()

    assert run_virtual(main())["values"] == {"currency": "EUR", "greeting": "again"}


def test_a_layer_that_was_removed_begins_with_version_1() -> None:
    async def main() -> Any:
        on = await filled()
        await on.hear(OVER)
        await passes(on, YEAR + DAY)
        await on.hear(AGAIN)
        begun = await on.publish(MODULE_LAYER, {"greeting": "anew"})
        with pytest.raises(ConfigurationNotFound):
            await on.call(
                "GET", f"{ROOT}/{{configurationId}}/versions/{{version}}",
                configurationId=begun["configurationId"], version=3,
            )  # fmt: skip
        return begun["version"], await on.effective()

    version, effective = run_virtual(main())

    assert version == 1
    assert effective["values"] == {"currency": "EUR", "greeting": "anew"}


def test_an_end_that_is_heard_again_changes_nothing() -> None:
    async def main() -> Any:
        on = await filled()
        await on.hear(OVER)
        first = on.told("ConfigurationPublished")
        await on.hear(OVER)
        await passes(on, DAY)
        return len(on.told("ConfigurationPublished")) - len(first)

    assert run_virtual(main()) == 0


def test_an_end_that_is_heard_late_takes_nothing_of_the_next_environment() -> None:
    async def main() -> Any:
        on = await filled()
        await on.hear(AGAIN)
        await on.hear(OVER)
        return await on.effective()

    assert run_virtual(main())["values"]["greeting"] == "hello"


def test_what_an_environment_had_that_ended_before_this_release_is_closed_by_the_timer() -> None:
    async def main() -> Any:
        on = await filled()
        await closed_without_its_layers(on)
        await passes(on, DAY)
        await on.hear(AGAIN)
        return await on.effective()

    assert run_virtual(main())["values"] == {"currency": "EUR"}


def test_the_timer_takes_no_release_of_the_next_environment_that_is_heard_of_later() -> None:
    async def main() -> Any:
        on = await filled()
        await on.hear(OVER)
        await on.hear(proved(100, [HASH], "floating", {"module": 3, "hash": HASH}))
        await passes(on, DAY)
        await on.hear(AGAIN)
        layer = Layer(ConfigurationLayer.ENVIRONMENT, OVER.environment_id)
        return [each.release_revision for each in await adoptions_below(layer, on.ctx, on.app)]

    assert run_virtual(main()) == [100]


def test_a_release_that_is_told_late_does_not_come_back_with_the_next_environment() -> None:
    async def main() -> Any:
        on = await filled()
        await on.hear(OVER)
        await on.hear(proved(2, [HASH], "floating", {"module": 1, "hash": HASH}))
        await on.hear(AGAIN)
        layer = Layer(ConfigurationLayer.ENVIRONMENT, OVER.environment_id)
        return await adoptions_below(layer, on.ctx, on.app)

    assert run_virtual(main()) == []


async def closed_without_its_layers(on: Configurations) -> None:
    """Close the environment as the release before did."""
    at = partition_of(TENANT, OVER.environment_id)
    known = await on.app.service.store.read(at, f"environment/{OVER.environment_id}")
    assert known is not None
    closed = {**known.body, "is_open": False, "revision": OVER.revision}
    await on.app.service.store.batch(at, [Replace(known.id, closed, known.etag)])


def test_a_layer_that_cannot_be_read_stays_and_stops_no_other() -> None:
    async def main() -> Any:
        on = await filled()
        identity = (await head(on, "environment"))["configurationId"]
        at = partition_of(TENANT, identity)
        damaged = await on.app.service.store.read(at, f"configuration/{identity}")
        assert damaged is not None
        await on.app.service.store.batch(
            at, [Replace(damaged.id, {**damaged.body, "layer": 1}, damaged.etag)]
        )
        await on.hear(OVER)
        await passes(on, YEAR + DAY)
        return (await stored(on)).count("configuration"), await head(on, "module")

    assert run_virtual(main()) == (2, None)
