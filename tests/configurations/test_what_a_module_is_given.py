"""A module is given the merge of its three layers, by key, the later layer first."""

import asyncio
from typing import Any

import pytest

from function_apps.configurations.errors import ConfigurationGone, ConfigurationInvalid
from shared.kernel.errors import Invalid, NotFound
from tests.configurations.configured import (
    ENVIRONMENT_LAYER,
    MODULE_LAYER,
    TENANT_LAYER,
    Configurations,
    configurations,
    shown,
)
from tests.kit.told import WEB, ended, released
from tests.kit.virtual_time import run_virtual

_INTEGER = {"type": "object", "properties": {"size": {"type": "integer"}}}


async def _three_layers() -> Configurations:
    on = await configurations()
    await on.publish(TENANT_LAYER, {"a": "tenant", "b": "tenant", "c": "tenant"})
    await on.publish(ENVIRONMENT_LAYER, {"b": "environment", "c": "environment"})
    await on.publish(MODULE_LAYER, {"c": "module"})
    return on


def test_the_later_layer_wins_and_is_named() -> None:
    async def main() -> Any:
        return await (await _three_layers()).effective(explain="true")

    found = run_virtual(main())

    assert found["values"] == {"a": "tenant", "b": "environment", "c": "module"}
    assert found["layerOf"] == {"a": "tenant", "b": "environment", "c": "module"}
    versions = [found[f"{layer}Version"] for layer in ("tenant", "environment", "module")]
    assert versions == [1, 1, 1]


def test_a_value_is_taken_whole() -> None:
    async def main() -> Any:
        on = await configurations()
        await on.publish(ENVIRONMENT_LAYER, {"db": {"host": "a", "port": 1}})
        await on.publish(MODULE_LAYER, {"db": {"host": "b"}})
        return (await on.effective())["values"]

    assert run_virtual(main()) == {"db": {"host": "b"}}


def test_equal_merges_have_one_hash_whatever_the_layers() -> None:
    async def main() -> Any:
        on = await configurations()
        await on.publish(ENVIRONMENT_LAYER, {"a": 1, "b": 2})
        before = await on.effective()
        await on.publish(MODULE_LAYER, {"b": 2})
        after = await on.effective()
        await on.publish(MODULE_LAYER, {"b": 2.5}, 1)
        return before["hash"], after["hash"], (await on.effective())["hash"]

    before, after, other = run_virtual(main())

    assert before == after != other


def test_the_merge_of_versions_is_answered_after_they_were_replaced() -> None:
    async def main() -> Any:
        on = await _three_layers()
        first = await on.effective()
        await on.publish(MODULE_LAYER, {"c": "later"}, 1)
        versions = {f"{each}Version": 1 for each in ("tenant", "environment", "module")}
        return first, await on.effective(**versions, hash=first["hash"])

    first, asked = run_virtual(main())

    assert asked == first


def test_versions_are_asked_for_all_or_none() -> None:
    async def main() -> None:
        await (await _three_layers()).effective(moduleVersion=1)

    with pytest.raises(Invalid, match="tenantVersion, environmentVersion, moduleVersion"):
        run_virtual(main())


def test_a_hash_that_a_release_was_given_is_answered() -> None:
    async def main() -> Any:
        on = await _three_layers()
        first = await on.effective()
        pin = {"tenant": 1, "environment": 1, "module": 1, "hash": first["hash"]}
        await on.hear(ended(1, [released(WEB, configuration=pin)]))
        await on.publish(MODULE_LAYER, {"c": "later"}, 1)
        return first, await on.effective(hash=first["hash"])

    first, asked = run_virtual(main())

    assert asked == first


def test_a_hash_that_nobody_was_given_is_not_found() -> None:
    async def main() -> None:
        await (await _three_layers()).effective(hash="sha256:" + "0" * 64)

    with pytest.raises(ConfigurationGone):
        run_virtual(main())


def test_a_module_that_does_not_fit_its_schema_is_not_published() -> None:
    async def main() -> None:
        on = await configurations()
        await on.publish(ENVIRONMENT_LAYER, {"size": "large"})
        await on.publish(MODULE_LAYER, {"a": 1}, schema=_INTEGER)

    with pytest.raises(ConfigurationInvalid) as refused:
        run_virtual(main())
    assert refused.value.target == "/values/size"
    assert (
        "module-web in env-aaaaaaaaaaaa, by the schema of its module layer: /values/size of its"
        in str(refused.value)
    )


def test_a_layer_that_would_break_a_module_below_it_is_not_published() -> None:
    async def main() -> Any:
        on = await configurations()
        await on.publish(MODULE_LAYER, {"a": 1}, schema=_INTEGER)
        await on.publish(ENVIRONMENT_LAYER, {"size": 1})
        with pytest.raises(ConfigurationInvalid, match=WEB):
            await on.publish(TENANT_LAYER, {"a": 1}, schema={"required": ["absent"]})
        with pytest.raises(ConfigurationInvalid, match=WEB):
            await on.publish(ENVIRONMENT_LAYER, {"size": "large"}, 1)
        return (await on.effective())["values"]

    assert run_virtual(main()) == {"a": 1, "size": 1}


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "strin"}, "anyOf"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, "2020-12"),
        ({"$ref": "http://127.0.0.1:1/schema"}, "its own"),
        ({"properties": {"a": {"pattern": "(?=a)b"}}}, "regex"),
    ],
)
def test_what_is_no_schema_that_stands_by_itself_is_refused(schema: Any, said: str) -> None:
    async def main() -> None:
        on = await configurations()
        await on.publish(MODULE_LAYER, {}, schema=schema)

    with pytest.raises(ConfigurationInvalid, match=said) as refused:
        run_virtual(main())
    assert (refused.value.target or "").startswith("/schema")


def test_a_pattern_takes_no_more_time_than_its_text_is_long() -> None:
    async def main() -> None:
        on = await configurations()
        schema = {"properties": {"a": {"pattern": "^(a+)+$"}}}
        await on.publish(MODULE_LAYER, {"a": "a" * 5000 + "!"}, schema=schema)

    with pytest.raises(ConfigurationInvalid, match="/values/a"):
        run_virtual(main())


def test_who_has_the_content_is_told_that_it_is_the_same() -> None:
    async def main() -> Any:
        on = await _three_layers()
        etag = (await on.answered()).headers["ETag"]
        return await on.answered(if_none_match=etag)

    answer = run_virtual(main())

    assert (answer.status, answer.content) == (304, b"")


def test_a_wait_ends_with_the_publish_for_all_who_wait() -> None:
    async def main() -> Any:
        on = await _three_layers()
        etag = (await on.answered()).headers["ETag"]
        began_s = on.app.service.clock.monotonic_s()
        waiting = [
            asyncio.ensure_future(on.answered(if_none_match=etag, wait=60)) for _ in range(100)
        ]
        await on.app.service.clock.sleep(10)
        await on.publish(MODULE_LAYER, {"c": "later"}, 1)
        answers = await asyncio.gather(*waiting)
        return answers, on.app.service.clock.monotonic_s() - began_s

    answers, waited_s = run_virtual(main())

    assert {shown(each)["values"]["c"] for each in answers} == {"later"}
    assert waited_s < 11


def test_a_wait_ends_after_its_time_with_nothing_new() -> None:
    async def main() -> Any:
        on = await _three_layers()
        etag = (await on.answered()).headers["ETag"]
        return (await on.answered(if_none_match=etag, wait=30)).status

    assert run_virtual(main()) == 304


def test_three_layers_may_have_more_than_one_of_them() -> None:
    async def main() -> Any:
        on = await configurations()
        for layer, letter in ((TENANT_LAYER, "t"), (ENVIRONMENT_LAYER, "e"), (MODULE_LAYER, "m")):
            await on.publish(layer, {f"{letter}{n}": "x" * 100 for n in range(1000)})
        return await on.effective(explain="true")

    found = run_virtual(main())
    assert (len(found["values"]), len(found["layerOf"])) == (3000, 3000)


def test_what_names_no_module_is_refused() -> None:
    async def main() -> None:
        await (await configurations()).answered(moduleId="Foo")

    with pytest.raises(NotFound, match="no module 'Foo'"):
        run_virtual(main())


@pytest.mark.parametrize("header", ["*", '"a", "b"'])
def test_a_wait_is_for_a_change_of_one_hash(header: str) -> None:
    async def main() -> None:
        await (await configurations()).answered(if_none_match=header, wait=2)

    with pytest.raises(Invalid, match="one etag"):
        run_virtual(main())
