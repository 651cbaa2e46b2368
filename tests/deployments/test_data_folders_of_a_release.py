"""A release gets the data folders that its environment has when it is deployed, and no others."""

import json
from typing import Any

import pytest

from function_apps.deployments.errors import PlanRefused
from function_apps.deployments.model.holds import unit_key
from shared.contracts.environments import DataResourceKind, DataResourceSpec, EnvironmentStatus
from shared.contracts.releases import ReleasedComponent
from shared.kernel.ids import TenantId
from tests.deployments.driven import SHOP, Driven, driven
from tests.deployments.test_facts_for_the_next_unit import bound
from tests.kit.virtual_time import run_virtual

UPLOADS = DataResourceSpec(kind=DataResourceKind.LOCAL_FOLDER, name="uploads")
MAIL = DataResourceSpec(kind=DataResourceKind.LOCAL_FOLDER, name="mail-box")
ORDERS = DataResourceSpec(kind=DataResourceKind.POSTGRESQL, name="orders")


def given(world: Driven) -> tuple[str, ...]:
    """Return the data of the newest revision that runs."""
    (site,) = world.world.sites.values()
    (component,) = site.components.values()
    return component.revisions[max(component.revisions)].spec.data


def test_a_folder_that_is_added_reaches_a_module_with_its_next_release() -> None:
    async def main() -> None:
        world = driven()
        await world.tell(data=[UPLOADS, ORDERS])
        await world.release("one")
        assert given(world) == ("uploads",)

        await world.tell(EnvironmentStatus.UPDATING)
        await world.tell(data=[UPLOADS, MAIL])
        assert given(world) == ("uploads",)
        second = await world.release("two")
        assert given(world) == ("uploads", "mail-box")

        await world.rollback(second.deployment_id)
        await world.settle()
        assert given(world) == ("uploads", "mail-box")

    run_virtual(main())


def test_what_comes_back_by_itself_has_what_it_had() -> None:
    async def main() -> None:
        world = driven()
        await world.tell(data=[UPLOADS])
        await world.release("one")
        await world.tell(data=[UPLOADS, MAIL])
        world.health.bad.add(await world.upload("two"))

        failed = await world.release("two")

        assert failed.status == "RolledBack"
        assert given(world) == ("uploads",)

    run_virtual(main())


def test_a_rollback_to_a_release_whose_data_was_deleted_is_refused_and_says_what_is_missing() -> (
    None
):
    async def main() -> None:
        world = driven()
        await world.tell(data=[UPLOADS, MAIL])
        named = {"command": ["serve", "$RUNTIME_DATA_UPLOADS"]}
        await world.deploy(await world.component("one", **named))
        await world.settle()
        second = await world.release("two")
        await world.tell(EnvironmentStatus.UPDATING)
        await world.tell(data=[MAIL])

        with pytest.raises(PlanRefused) as refused:
            await world.rollback(second.deployment_id)

        (finding,) = refused.value.details
        assert (finding.code, finding.received) == ("DataMissing", "RUNTIME_DATA_UPLOADS")
        assert (await world.target()).queue == ()
        await world.tell(EnvironmentStatus.UPDATING)
        await world.tell(data=[UPLOADS, MAIL])
        await world.rollback(second.deployment_id)
        await world.settle()
        assert given(world) == ("uploads", "mail-box")

    run_virtual(main())


def test_the_next_generation_has_none_of_the_data_of_the_last() -> None:
    async def main() -> None:
        world = driven()
        await world.tell(data=[UPLOADS])
        await world.tell(EnvironmentStatus.DECOMMISSIONED)
        await world.tell(generation=2)

        await world.release("one")

        assert given(world) == ()

    run_virtual(main())


def test_a_tenant_that_was_admitted_gets_no_data_of_the_owner() -> None:
    async def main() -> None:
        world = driven()
        await bound(world, "Enforced")
        await world.tell(data=[UPLOADS], owner=TenantId("globex"))

        await world.release("one")

        assert given(world) == ()

    run_virtual(main())


@pytest.mark.parametrize(
    ("changes", "target"),
    [
        ({"command": ["serve", "$PORT", "$RUNTIME_DATA_MAIL"]}, "/components/0/command/2"),
        ({"environ": {"AT": "${RUNTIME_DATA_UPLOADS_2}/a"}}, "/components/0/environ/AT"),
    ],
)
def test_a_release_that_names_a_folder_of_nobody_is_refused_by_the_plan(
    changes: dict[str, Any], target: str
) -> None:
    async def main() -> None:
        world = driven()
        await world.tell(data=[UPLOADS])

        with pytest.raises(PlanRefused) as refused:
            await world.deploy(await world.component("one", **changes))

        (finding,) = refused.value.details
        assert (finding.code, finding.target) == ("DataMissing", target)
        assert finding.expected == "one of RUNTIME_DATA_UPLOADS"
        fine = {"command": ["serve", "$RUNTIME_DATA_UPLOADS/a", "${RUNTIME_DATA_MAIL:-/tmp}"]}
        await world.deploy(await world.component("one", **fine))

    run_virtual(main())


def test_a_hold_of_before_there_was_data_still_holds() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        one = await world.release("one")
        component = one.candidate(SHOP)
        assert component is not None
        stored = json.loads(component.model_dump_json())
        del stored["data"]
        before = ReleasedComponent.model_validate(stored)

        assert unit_key(before) == unit_key(component)
        assert unit_key(component.model_copy(update={"data": ("uploads",)})) != unit_key(before)

    run_virtual(main())
