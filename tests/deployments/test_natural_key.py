"""A repeat answers the first result while that is on its way or in force; else it is a new try."""

from typing import Any

import pytest

from function_apps.deployments.errors import NaturalKeyActive
from function_apps.deployments.model.facts import SecretFact
from tests.deployments.driven import driven
from tests.deployments.told_secrets import bind, roll_out
from tests.kit.virtual_time import run_virtual


def test_a_repeat_answers_the_deployment_that_is_on_its_way() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        component = await world.component("one")

        first = await world.deploy(component)
        second = await world.deploy(component)

        assert second["deploymentId"] == first["deploymentId"]
        assert len((await world.target()).queue) == 1

    run_virtual(main())


def test_a_repeat_answers_what_is_in_force() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        one = await world.release("one")

        repeated = await world.deploy(await world.component("one"))

        assert (repeated["deploymentId"], repeated["status"]) == (one.deployment_id, "Completed")

    run_virtual(main())


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"replicas": 2}, id="replicas"),
        pytest.param({"environ": {"A": "b"}}, id="environ"),
    ],
)
def test_the_same_versions_run_otherwise_are_a_new_release(changes: dict[str, Any]) -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        one = await world.release("one")

        other = await world.deploy(await world.component("one", **changes))

        assert other["deploymentId"] != one.deployment_id

    run_virtual(main())


def test_a_restart_is_a_new_release_of_the_same() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.release("one")

        again = await world.release("one", restart=True)

        assert again.status == "Completed"
        assert world.live() == ({2: 1}, {2: 100})

    run_virtual(main())


def test_what_is_no_longer_in_force_is_deployed_again() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        one = await world.release("one")
        await world.release("two")

        again = await world.release("one")

        assert again.deployment_id != one.deployment_id
        assert again.status == "Completed"

    run_virtual(main())


def test_the_same_versions_asked_for_otherwise_are_a_conflict_while_they_are_on_their_way() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        component = await world.component("one")
        first = await world.deploy(component)

        with pytest.raises(NaturalKeyActive) as refused:
            await world.deploy(component, strategy={"kind": "recreate"})

        assert refused.value.deployment == first["deploymentId"]

    run_virtual(main())


def test_a_repeat_answers_the_one_on_its_way_whatever_version_of_a_secret_it_began_with() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await bind(world, "v1")
        await world.release("one")
        await roll_out(world, "v2", 1)
        first = await world.deploy(await world.component("two"))

        async def is_rolled_out() -> bool:
            return (await world.status(first["deploymentId"])) != "Requested"

        await world.until(is_rolled_out)
        facts = (await world.target()).facts.values()
        assert {each.version for each in facts if isinstance(each, SecretFact)} == {"v2"}

        again = await world.deploy(await world.component("two"))

        assert again["deploymentId"] == first["deploymentId"]

    run_virtual(main())
