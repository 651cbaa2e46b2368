"""What a module is given fits the schemas of its layers, or its release is refused by name."""

from collections.abc import Mapping
from typing import Any, Final

import pytest

from function_apps.deployments.errors import CannotBePlanned
from function_apps.deployments.use_cases.configuration_content import CONTENTS
from function_apps.deployments.use_cases.deploy import deploy, plan_deployment
from function_apps.deployments.use_cases.remove_artifacts import remove_unneeded_artifacts
from shared.contracts.configuration_merge import hash_of
from shared.kernel.errors import Violation
from tests.deployments.configured import publish, texts
from tests.deployments.driven import CART, SHOP, Driven, driven
from tests.deployments.test_configuration_roll_outs import given_json, ready, roll_outs
from tests.kit.virtual_time import run_virtual

SCHEMA: Final = {"required": ["dbHost"], "properties": {"size": {"type": "integer"}}}
DAYS_S: Final = 30 * 86400


async def _told() -> Driven:
    """Return a world whose environment demands a host of each module, and gives none."""
    world = driven()
    await world.tell()
    await publish(world, "environment", 2, {"size": 1}, schema=SCHEMA)
    return world


async def _refused(world: Driven, module: str = SHOP, **more: Any) -> list[Violation]:
    """Return why a release is refused; its dry run says the same."""
    command = await world.command(await world.component("one", module), **more)
    with pytest.raises(CannotBePlanned) as refused:
        await deploy(command, world.ctx, world.app)
    planned = await plan_deployment(command, world.ctx, world.app)
    details = [*refused.value.details]
    expected = [(each.code, f"{each.target}: {each.message}") for each in details]
    assert [(each.code, each.message) for each in planned.refusals] == expected
    return details


def test_a_module_that_lacks_what_a_schema_above_it_requires_is_refused_by_name() -> None:
    async def main() -> list[Violation]:
        return await _refused(await _told())

    (found,) = run_virtual(main())

    assert (found.code, found.target) == ("SchemaViolated", "/configuration/environment/values")
    assert (found.expected, found.received) == ('required: ["dbHost"]', "nothing")


def test_a_value_that_does_not_fit_is_named_with_its_layer_and_that_of_the_schema() -> None:
    async def main() -> list[Violation]:
        world = await _told()
        await publish(world, "module", 5, {"dbHost": "db", "size": "large"})
        return await _refused(world)

    (found,) = run_virtual(main())

    assert found.target == "/configuration/module/values/size"
    assert (found.expected, found.received) == ('type: "integer"', '"large"')
    assert f"{SHOP} would be given /size of its module layer (version 5)" in found.message
    assert "the schema of its environment layer (version 2)" in found.message


def test_versions_that_were_never_in_force_together_are_checked_together() -> None:
    async def main() -> Any:
        world = await _told()
        await publish(world, "module", 1, {"dbHost": "db", "size": "large"})
        await publish(world, "module", 2, {"dbHost": "db", "size": 2})
        refused = await _refused(world, configuration={"module": 1})
        await world.deploy(await world.component("one"))
        await world.settle()
        return refused, given_json(world, 1)

    (found,), given = run_virtual(main())

    assert found.target == "/configuration/module/values/size"
    assert given == {"dbHost": "db", "size": 2}


def test_every_module_of_a_release_is_checked() -> None:
    async def main() -> list[Violation]:
        world = await _told()
        await publish(world, "module", 1, {"dbHost": "db"})
        return await _refused(world, CART)

    (found,) = run_virtual(main())

    assert found.message.startswith(f"{CART} would be given")


def test_a_repeat_of_what_is_in_force_is_answered_whatever_was_published_since() -> None:
    async def main() -> Any:
        world = await _told()
        await publish(world, "module", 1, {"dbHost": "db"})
        first = await world.deploy(await world.component("one"))
        await world.settle()
        # Equal values, and a schema which they do not fit: two layers were published at once.
        await publish(world, "tenant", 1, {}, schema={"required": ["owner"]})
        return first["deploymentId"], await world.deploy(await world.component("one"))

    first, again = run_virtual(main())

    assert again["deploymentId"] == first


def test_what_does_not_fit_is_not_rolled_out_and_what_runs_goes_on() -> None:
    async def main() -> Any:
        world, told = await ready()
        await told.publish("environment", 1, {}, schema={"properties": {"a": {"maximum": 5}}})
        await told.publish("module", 2, {"a": 9})
        await told.settle()
        refused = await roll_outs(world)
        await told.publish("module", 3, {"a": 3})
        await told.settle()
        return refused, world.live(), given_json(world, 2)

    refused, live, given = run_virtual(main())

    assert refused == []
    assert (live, given) == (({2: 1}, {2: 100}), {"a": 3})


def test_a_roll_out_whose_values_do_not_fit_when_it_starts_fails_with_the_reason() -> None:
    async def main() -> Any:
        world, told = await ready()
        await told.publish("module", 2, {"a": 9})
        await publish(world, "environment", 1, {}, schema={"properties": {"a": {"maximum": 5}}})
        await world.settle()
        (roll_out,) = await roll_outs(world)
        return roll_out, world.live()

    roll_out, live = run_virtual(main())

    assert (roll_out.status, live) == ("Failed", ({1: 1}, {1: 100}))
    assert roll_out.reason is not None
    assert roll_out.reason.code == "PlanRefused"
    assert "/a of its module layer (version 2)" in roll_out.reason.message


def test_a_rollback_brings_back_what_ran_although_it_would_not_fit_now() -> None:
    async def main() -> Any:
        world = driven()
        await world.tell()
        await publish(world, "module", 1, {"a": 9})
        await world.release("one")
        await publish(world, "module", 2, {"a": 1})
        second = await world.release("two")
        await publish(world, "environment", 1, {}, schema={"properties": {"a": {"maximum": 5}}})
        await world.rollback(second.deployment_id)
        await world.settle()
        return texts(world, 3)

    found = run_virtual(main())

    assert found is not None
    assert found.files["configuration.json"].strip() == '{"a":9}'


def test_a_schema_is_kept_as_long_as_its_version_can_be_named() -> None:
    async def main() -> tuple[Mapping[str, Any], list[str]]:
        world = await _told()
        await world.app.service.clock.sleep(DAYS_S)
        await remove_unneeded_artifacts(world.app)
        kept = await world.app.blobs.list_stored(CONTENTS)
        for version in range(3, 9):
            await publish(world, "environment", version, {"size": version})
        await world.app.service.clock.sleep(DAYS_S)
        await remove_unneeded_artifacts(world.app)
        return kept, await world.app.blobs.list_stored(CONTENTS)

    kept, left = run_virtual(main())

    name = hash_of(SCHEMA).removeprefix("sha256:")
    assert [name in each.name for each in kept].count(True) == 1
    assert not any(name in each.name for each in left)
