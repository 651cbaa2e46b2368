"""A layer has one version in force; other contents of it were in force before, or are drafts."""

from typing import Any

import pytest

from function_apps.configurations.errors import (
    ConfigurationInvalid,
    EnvironmentNotProvisioned,
    HeadMoved,
    NotADraft,
    NothingToReturnTo,
)
from shared.contracts.configuration_merge import json_text
from shared.contracts.configurations import CONTENT_BYTES_MAX
from shared.kernel.errors import Invalid
from tests.configurations.configured import (
    ENVIRONMENT_LAYER,
    MODULE_LAYER,
    ROOT,
    TENANT_LAYER,
    Configurations,
    configurations,
    shown,
)
from tests.kit.told import ENVIRONMENT, environment
from tests.kit.virtual_time import run_virtual


def test_a_publish_is_the_next_version_and_is_told() -> None:
    async def main() -> tuple[Any, Any]:
        on = await configurations()
        await on.publish(MODULE_LAYER, {"greeting": "hello", "size": 1})
        head = await on.publish(MODULE_LAYER, {"greeting": "hi", "colour": "red"}, 1)
        return head, on.told("ConfigurationPublished")

    head, events = run_virtual(main())

    assert (head["version"], head["draft"]) == (2, None)
    assert [(each["version"], each["previousVersion"]) for each in events] == [(1, 0), (2, 1)]
    assert events[1]["keysChanged"] == ["colour", "greeting", "size"]
    assert [each["values"] for each in events] == [
        {"greeting": "hello", "size": 1},
        {"greeting": "hi", "colour": "red"},
    ]


def test_no_instance_is_behind_where_none_runs() -> None:
    async def main() -> Any:
        on = await configurations()
        await on.publish(ENVIRONMENT_LAYER, {"a": 1})
        await on.judge(0)
        return on.told("ConfigurationSynced")

    (synced,) = run_virtual(main())

    assert (synced["version"], synced["expected"], synced["status"]) == (1, 0, "Synced")


def test_a_repeat_of_a_publish_is_answered_and_publishes_nothing() -> None:
    async def main() -> Any:
        on = await configurations()
        body = {"scope": MODULE_LAYER, "values": {"a": 1}, "expectedVersion": 0}
        answers = [await on.call("POST", ROOT, body) for _ in range(2)]
        return answers, on.told("ConfigurationPublished")

    (first, second), events = run_virtual(main())

    assert shown(first)["version"] == shown(second)["version"] == 1
    assert second.headers["Repeatability-Result"] == "accepted"
    assert len(events) == 1


@pytest.mark.parametrize("expected", [0, 2])
def test_a_publish_against_a_version_that_is_not_in_force_is_refused(expected: int) -> None:
    async def main() -> None:
        on = await configurations()
        await on.publish(MODULE_LAYER, {"a": 1})
        await on.publish(MODULE_LAYER, {"a": 2}, expected)

    with pytest.raises(HeadMoved, match=f"at version 1, not {expected}") as refused:
        run_virtual(main())
    assert refused.value.target == "/expectedVersion"


def test_a_publish_for_an_environment_that_nobody_provisioned_is_refused() -> None:
    async def main() -> None:
        on = await configurations(knows_environment=False)
        await on.publish(ENVIRONMENT_LAYER, {"a": 1})

    with pytest.raises(EnvironmentNotProvisioned, match=ENVIRONMENT):
        run_virtual(main())


def test_a_publish_for_an_environment_that_is_gone_is_refused() -> None:
    async def main() -> None:
        on = await configurations()
        await on.hear(environment(2, gone=True))
        await on.publish(ENVIRONMENT_LAYER, {"a": 1})

    with pytest.raises(EnvironmentNotProvisioned, match="decommissioned"):
        run_virtual(main())


def test_an_older_event_of_an_environment_does_not_open_it_again() -> None:
    async def main() -> None:
        on = await configurations()
        await on.hear(environment(3, gone=True))
        await on.hear(environment(2))
        await on.publish(ENVIRONMENT_LAYER, {"a": 1})

    with pytest.raises(EnvironmentNotProvisioned, match="decommissioned"):
        run_virtual(main())


def test_the_layer_of_a_tenant_needs_no_environment() -> None:
    async def main() -> Any:
        on = await configurations(knows_environment=False)
        return await on.publish(TENANT_LAYER, {"a": 1})

    assert run_virtual(main())["version"] == 1


async def _two_versions() -> tuple[Configurations, str]:
    on = await configurations()
    head = await on.publish(MODULE_LAYER, {"a": 1})
    await on.publish(MODULE_LAYER, {"a": 2}, 1)
    return on, head["configurationId"]


async def _statuses(on: Configurations, identity: str, *numbers: int) -> list[str]:
    return [
        shown(
            await on.call(
                "GET",
                f"{ROOT}/{{configurationId}}/versions/{{version}}",
                configurationId=identity,
                version=number,
            )
        )["status"]
        for number in numbers
    ]


def test_returning_to_earlier_content_is_a_new_version() -> None:
    async def main() -> Any:
        on, identity = await _two_versions()
        body = {"toVersion": 1, "expectedVersion": 2}
        answers = [
            await on.call(
                "POST", f"{ROOT}/{{configurationId}}/rollback", body, configurationId=identity
            )
            for _ in range(2)
        ]
        return (
            [shown(each)["version"] for each in answers],
            await _statuses(on, identity, 1, 2, 3),
            (await on.effective())["values"],
        )

    versions, statuses, values = run_virtual(main())

    assert versions == [3, 3]
    assert statuses == ["Superseded", "RolledBack", "Published"]
    assert values == {"a": 1}


def test_nobody_returns_to_what_is_in_force() -> None:
    async def main() -> None:
        on, identity = await _two_versions()
        body = {"toVersion": 2, "expectedVersion": 2}
        await on.call(
            "POST", f"{ROOT}/{{configurationId}}/rollback", body, configurationId=identity
        )

    with pytest.raises(NothingToReturnTo, match="in force already"):
        run_virtual(main())


def test_a_draft_changes_nothing_until_it_is_published() -> None:
    async def main() -> Any:
        on, identity = await _two_versions()
        head = await on.publish(MODULE_LAYER, {"a": 3}, 2, draft=True)
        before = (await on.effective())["values"]
        after = await on.call(
            "POST",
            f"{ROOT}/{{configurationId}}/versions/{{version}}/publish",
            {"expectedVersion": 2},
            configurationId=identity,
            version=3,
        )
        return head, before, shown(after), (await on.effective())["values"]

    head, before, published, after = run_virtual(main())

    assert (head["version"], head["draft"], before) == (2, 3, {"a": 2})
    assert (published["version"], published["draft"], after) == (3, None, {"a": 3})


def test_a_draft_that_was_overtaken_is_not_published() -> None:
    async def main() -> Any:
        on, identity = await _two_versions()
        await on.publish(MODULE_LAYER, {"a": 3}, 2, draft=True)
        await on.publish(MODULE_LAYER, {"a": 4}, 2)
        statuses = await _statuses(on, identity, 3, 4)
        with pytest.raises(NotADraft, match="against version 2, which is in force no more"):
            await on.call(
                "POST",
                f"{ROOT}/{{configurationId}}/versions/{{version}}/publish",
                {"expectedVersion": 4},
                configurationId=identity,
                version=3,
            )
        return statuses

    assert run_virtual(main()) == ["Superseded", "Published"]


def test_two_versions_are_compared_key_by_key() -> None:
    async def main() -> Any:
        on = await configurations()
        head = await on.publish(MODULE_LAYER, {"same": 1, "gone": 1, "typed": 1})
        await on.publish(MODULE_LAYER, {"same": 1, "new": None, "typed": True}, 1)
        answer = await on.call(
            "GET", f"{ROOT}/{{configurationId}}/diff", configurationId=head["configurationId"]
        )
        return [(each["key"], each["kind"]) for each in shown(answer)["changes"]]

    assert run_virtual(main()) == [("gone", "removed"), ("new", "added"), ("typed", "changed")]


def test_a_dry_run_shows_the_difference_and_publishes_nothing() -> None:
    async def main() -> Any:
        on, identity = await _two_versions()
        diff = await on.publish(MODULE_LAYER, {"a": 3}, 2, dryRun=True)
        head = await on.call("GET", f"{ROOT}/{{configurationId}}", configurationId=identity)
        return diff, shown(head)["version"]

    diff, version = run_virtual(main())

    assert (diff["fromVersion"], diff["toVersion"], len(diff["changes"])) == (2, 3, 1)
    assert version == 2


@pytest.mark.parametrize(
    ("values", "target"),
    [
        ({"db.password": "hunter2"}, "/values/db.password"),
        ({"db": {"apiKey": "x"}}, "/values/db/apiKey"),
        ({"a": {"secret": "two words"}}, "/values/a/secret"),
        ({"a": {"secret": "name", "version": 1}}, "/values/a/version"),
        ({"f": {"flag": {"type": "boolean", "default": 1}}}, "/values/f/flag"),
    ],
)
def test_what_may_not_be_a_value_is_refused_by_its_place(values: Any, target: str) -> None:
    async def main() -> None:
        on = await configurations()
        await on.publish(MODULE_LAYER, values)

    with pytest.raises(ConfigurationInvalid) as refused:
        run_virtual(main())
    assert refused.value.target == target
    assert "hunter2" not in str(refused.value)


def test_all_keys_of_a_layer_may_differ() -> None:
    async def main() -> Any:
        on = await configurations()
        await on.publish(MODULE_LAYER, {f"a{n}": n for n in range(1000)})
        head = await on.publish(MODULE_LAYER, {f"b{n}": n for n in range(1000)}, 1)
        identity = head["configurationId"]
        diff = f"{ROOT}/{{configurationId}}/diff"
        return shown(await on.call("GET", diff, configurationId=identity))

    assert len(run_virtual(main())["changes"]) == 2000


def test_a_publish_is_repeated_whatever_was_drafted_meanwhile() -> None:
    async def main() -> Any:
        on = await configurations()
        first = await on.publish(MODULE_LAYER, {"a": 1})
        await on.publish(MODULE_LAYER, {"a": 2}, 1, draft=True)
        return first["version"], (await on.publish(MODULE_LAYER, {"a": 1}))["version"]

    assert run_virtual(main()) == (1, 1)


def test_nobody_returns_to_a_draft_that_was_overtaken() -> None:
    async def main() -> None:
        on, identity = await _two_versions()
        await on.publish(MODULE_LAYER, {"a": 3}, 2, draft=True)
        await on.publish(MODULE_LAYER, {"a": 4}, 2)
        await on.call(
            "POST",
            f"{ROOT}/{{configurationId}}/rollback",
            {"toVersion": 3, "expectedVersion": 4},
            configurationId=identity,
        )

    with pytest.raises(NothingToReturnTo, match="never in force"):
        run_virtual(main())


def test_a_draft_that_cannot_be_published_is_not_shown_as_one() -> None:
    async def main() -> Any:
        on, identity = await _two_versions()
        await on.publish(MODULE_LAYER, {"a": 3}, 2, draft=True)
        await on.publish(MODULE_LAYER, {"a": 4}, 2, draft=True)
        publish = f"{ROOT}/{{configurationId}}/versions/{{version}}/publish"
        body = {"expectedVersion": 2}
        head = shown(await on.call("POST", publish, body, configurationId=identity, version=3))
        return head["draft"], await _statuses(on, identity, 4)

    assert run_virtual(main()) == (None, ["Superseded"])


def test_a_schema_is_told_with_its_version_so_that_releases_are_held_to_it() -> None:
    async def main() -> Any:
        on = await configurations()
        await on.publish(MODULE_LAYER, {"a": 1}, schema={"required": ["a"]})
        await on.publish(MODULE_LAYER, {}, 1)
        return [each["schema"] for each in on.told("ConfigurationPublished")]

    assert run_virtual(main()) == [{"required": ["a"]}, None]


def test_values_and_schema_fit_into_one_event_or_are_refused() -> None:
    values = {f"k{number}": "x" * 1000 for number in range(100)}
    room = CONTENT_BYTES_MAX - len(json_text(values).encode()) - len(json_text({"title": ""}))

    async def main(length: int) -> Any:
        on = await configurations()
        return await on.publish(MODULE_LAYER, values, schema={"title": "x" * length})

    assert run_virtual(main(room))["version"] == 1
    with pytest.raises(Invalid, match="values and schema together take at most 147456 bytes"):
        run_virtual(main(room + 1))
