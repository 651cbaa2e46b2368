"""Data goes only when a request names it for that; what a deletion kept stays until then."""

from dataclasses import replace
from typing import Any

import pytest

from function_apps.environments.errors import DataResourceUnknown, DataWouldBeDeleted
from function_apps.environments.model.environment import evolve
from function_apps.environments.model.lifecycle import RequestRepeated
from function_apps.environments.resources import environment_resource
from function_apps.environments.use_cases.plan_environment import plan_change, plan_environment
from shared.contracts.environments import UpdateEnvironment
from shared.kernel.errors import Refused
from tests.environments.driven import CONTENT, Environments, environments
from tests.kit.virtual_time import run_virtual

Names = list[str]


def data(*names: str) -> dict[str, Any]:
    return {"dataResources": [{"kind": "LocalFolder", "name": name} for name in names]}


def folders(world: Environments) -> Names:
    """Return the data folders that exist."""
    names = (urn.rpartition("::")[2] for urn in world.world.resources)
    return sorted(name.removeprefix("data-") for name in names if name.startswith("data-"))


async def provisioned(**content: Any) -> tuple[Environments, str]:
    world = environments()
    identity = await world.request(**content)
    await world.run_started()
    return world, identity


async def retained() -> tuple[Environments, str]:
    """Return an environment that is gone, but for the data `notes`."""
    world, identity = await provisioned(**data("files", "notes"))
    await world.decommission(identity, retain=["notes"])
    await world.run_started()
    return world, identity


def test_an_update_that_leaves_data_out_is_refused_and_names_it_and_the_way() -> None:
    async def main() -> None:
        world, identity = await provisioned(**data("files", "mail"))
        with pytest.raises(DataWouldBeDeleted) as refused:
            await world.update(identity, **data("photos", "mail"))

        assert "delete files with all content" in refused.value.message
        assert "deleteData" in refused.value.message
        (lost,) = refused.value.details
        assert (lost.target, lost.received) == ("/dataResources", "files")
        assert (await world.environment(identity)).status == "Provisioned"
        assert folders(world) == ["files", "mail"]

    run_virtual(main())


def test_data_that_an_update_names_for_it_is_deleted_and_its_step_is_shown() -> None:
    async def main() -> None:
        world, identity = await provisioned(**data("files", "mail"))
        begun = await world.update(identity, **data("photos", "mail"), deleteData=["files"])
        await world.run_started()
        operation = await world.operation(str(begun.value["operationId"]))

        assert folders(world) == ["mail", "photos"]
        steps = [step.name.split(" (")[0] for step in operation.steps]
        assert steps[-3:] == ["create data-photos", "update site", "delete data-files"]
        assert {step.state for step in operation.steps} == {"Succeeded"}

    run_virtual(main())


def test_naming_data_that_is_not_there_is_refused_before_anything_changes() -> None:
    async def main() -> None:
        world, identity = await provisioned(**data("files"))
        with pytest.raises(DataResourceUnknown) as refused:
            await world.update(identity, **data("files"), deleteData=["flies"])

        assert refused.value.details[0].target == "/deleteData"
        assert (await world.environment(identity)).status == "Provisioned"

    run_virtual(main())


def test_a_dry_run_shows_the_deletion_as_what_is_refused() -> None:
    async def main() -> None:
        world, identity = await provisioned(**data("files"))
        content = {**CONTENT, **data(), "environmentId": identity}
        plan = await plan_change(UpdateEnvironment.model_validate(content), world.ctx, world.app)
        named = {**content, "deleteData": ["files"]}
        accepted = await plan_change(UpdateEnvironment.model_validate(named), world.ctx, world.app)

        assert [refusal.code for refusal in plan.refusals] == ["DataWouldBeDeleted"]
        assert "files would be deleted" in plan.refusals[0].message
        assert accepted.refusals == ()
        assert "delete" in {resource.action for resource in accepted.resources}

    run_virtual(main())


def test_what_an_update_that_failed_has_made_is_not_deleted_unasked() -> None:
    async def main() -> None:
        world, identity = await provisioned(**data("files"))
        world.world.refusing["site"] = Refused("port taken", code="PortTaken")
        await world.update(identity, **data("files", "photos"))
        await world.run_started()
        world.world.refusing.clear()
        assert folders(world) == ["files", "photos"]
        with pytest.raises(DataWouldBeDeleted, match="photos"):
            await world.update(identity, **data("files"), tags={"team": "web"})

    run_virtual(main())


def test_what_an_update_that_failed_has_not_made_is_no_obstacle() -> None:
    async def main() -> None:
        world, identity = await provisioned(**data("files"))
        typing_error = {"kind": "PostgreSql", "name": "photos"}
        await world.update(identity, dataResources=[*data("files")["dataResources"], typing_error])
        assert await world.run_started() == ["Failed"]
        await world.update(identity, **data("files"), tags={"team": "web"})

        assert await world.run_started() == ["Applied"]

    run_virtual(main())


def test_a_deletion_that_failed_can_be_asked_for_again_and_not_otherwise() -> None:
    async def main() -> None:
        world, identity = await provisioned(**data("files"))
        world.world.refusing["data-files"] = Refused("in use", code="InUse")
        await world.update(identity, **data(), deleteData=["files"])
        await world.run_started()
        world.world.refusing.clear()
        assert (await plan_environment(identity, world.ctx, world.app)).refusals == ()
        with pytest.raises(DataWouldBeDeleted):
            await world.update(identity, **data())
        await world.update(identity, **data(), deleteData=["files"])
        await world.run_started()

        assert folders(world) == []

    run_virtual(main())


def test_a_retry_of_a_failed_request_deletes_no_data_unasked() -> None:
    async def main() -> None:
        world = environments()
        world.world.refusing["site"] = Refused("port taken", code="PortTaken")
        await world.request(**data("files"))
        await world.run_started()
        world.world.refusing.clear()
        with pytest.raises(DataWouldBeDeleted, match="files"):
            await world.request(**data("other"))
        await world.request(**data("other"), deleteData=["files"])
        await world.run_started()

        assert folders(world) == ["other"]

    run_virtual(main())


def test_a_new_generation_that_does_not_name_what_was_retained_keeps_it() -> None:
    async def main() -> None:
        world, identity = await retained()
        gone = environment_resource(await world.environment(identity))
        await world.request(**data("other"))
        await world.run_started()
        again = environment_resource(await world.environment(identity))

        assert folders(world) == ["notes", "other"]
        for shown in (gone, again):
            assert [each.name for each in shown.retained] == ["notes"]
        assert [each.name for each in again.data_resources] == ["other"]

    run_virtual(main())


@pytest.mark.parametrize("change", ["decommission", "update"])
def test_what_was_retained_outlives_what_does_not_name_it(change: str) -> None:
    async def main() -> None:
        world, identity = await retained()
        await world.request(**data("other"))
        await world.run_started()
        if change == "update":
            await world.update(identity, **data("other"), tags={"team": "web"})
        else:
            await world.decommission(identity)
        await world.run_started()

        assert "notes" in folders(world)
        assert [each.name for each in (await world.environment(identity)).retained] == ["notes"]

    run_virtual(main())


def test_who_names_what_was_retained_takes_it_over() -> None:
    async def main() -> None:
        world, identity = await retained()
        written = len(world.world.writes)
        await world.request(**data("notes"))
        await world.run_started()
        environment = await world.environment(identity)

        assert [each.name for each in environment.spec.data_resources] == ["notes"]
        assert environment.retained == ()
        assert folders(world) == ["notes"]
        words = {write.split()[0] for write in world.world.writes[written:] if "notes" in write}
        assert words <= {"update"}

    run_virtual(main())


@pytest.mark.parametrize("by", ["request", "update"])
def test_what_was_retained_is_deleted_by_who_names_it_for_that(by: str) -> None:
    async def main() -> None:
        world, identity = await retained()
        await world.request(**data("other"), deleteData=["notes"] if by == "request" else [])
        await world.run_started()
        if by == "update":
            await world.update(identity, **data("other"), deleteData=["notes"])
            await world.run_started()

        assert folders(world) == ["other"]
        assert (await world.environment(identity)).retained == ()

    run_virtual(main())


def test_an_environment_of_an_earlier_version_keeps_what_it_retained() -> None:
    async def main() -> None:
        world, identity = await retained()
        earlier = replace(await world.environment(identity), retained=())
        again = RequestRepeated("op-2", earlier.spec, stage="test", region="local")

        kept = evolve(earlier, again, world.ctx.now()).retained
        assert [each.name for each in kept] == ["notes"]

    run_virtual(main())
