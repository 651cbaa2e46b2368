"""A rotation brings its version to each consumer by a deployment of kind secret."""

from collections.abc import Mapping
from typing import Any

import pytest

from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.use_cases.retry import retry
from function_apps.deployments.use_cases.roll_back import plan_rollback
from shared.contracts.deployments import DeploymentReason, RollbackDeployment
from shared.contracts.environments import EnvironmentStatus
from shared.contracts.roll_outs import NOTHING_TO_ROLL_OUT
from shared.kernel.errors import Unavailable
from tests.deployments.driven import CART, SHOP, Driven, driven
from tests.deployments.told_secrets import (
    BINDING,
    KEY,
    bind,
    live_secrets,
    live_specs,
    roll_out,
    rolled_out,
    rotate,
    rotation_id,
)
from tests.kit.virtual_time import run_virtual

MAIL = f"sec-{KEY}-mailmailmail"


async def prepared(world: Driven, **more: Any) -> Deployment:
    """Release SHOP with two secrets, both in their first version."""
    await world.tell()
    await bind(world, "v1")
    await bind(world, "m1", secretName="mail", bindingId=MAIL, target="MAIL")
    return await world.release("one", **more)


def ends(world: Driven, kind: str) -> list[Mapping[str, Any]]:
    return [each["payload"] for each in world.bench.sent.bodies(f"RuntimeDeployment{kind}")]


def versions(deployment: Deployment) -> Mapping[str, str]:
    return deployment.released_components[0].secret_versions


def test_one_secret_gets_the_new_version_and_all_else_stays() -> None:
    async def main() -> None:
        world = driven()
        one = await prepared(world, gate={"onInconclusive": "pass"})
        await rotate(world, "m2", 1, secretName="mail", bindingId=MAIL, target="MAIL")

        done = await rolled_out(world, "v2", 1)

        assert (done.status, done.kind) == ("Completed", "secret")
        before, after = one.released_components[0], done.released_components[0]
        assert versions(done) == {"mail": "m1", "password": "v2"}
        assert (done.strategy, done.gate, done.release_ref) == (
            one.strategy,
            one.gate,
            one.release_ref,
        )
        assert after.model_dump(exclude=CHANGED) == before.model_dump(exclude=CHANGED)
        assert [each.share for each in done.steps] == [10, 50, 100]
        assert {each.name: each.version for each in live_secrets(world)} == versions(done)
        completed = ends(world, "Completed")[-1]
        assert completed["secret"]["version"] == "v2"
        assert completed["proof"]["instances"][0]["secretVersions"] == versions(done)

    run_virtual(main())


def test_the_answer_of_a_rollback_says_that_it_takes_back_the_roll_out_of_a_secret() -> None:
    async def main() -> None:
        world = driven()
        one = await prepared(world)
        await rotate(world, "v2", 1)
        done = await rolled_out(world, "v2", 1)

        answer = await world.rollback(done.deployment_id)
        again = await world.rollback(done.deployment_id)

        taken = answer["takenBack"]
        assert answer["releaseRef"] == taken["releaseRef"] == one.release_ref
        assert (taken["deploymentId"], taken["kind"]) == (done.deployment_id, "secret")
        assert (taken["secret"]["secretName"], taken["secret"]["version"]) == ("password", "v2")
        assert again == answer

    run_virtual(main())


def test_the_answer_of_a_rollback_of_one_on_its_way_says_so() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        asked = await world.deploy(await world.component("one"))

        answer = await world.rollback(asked["deploymentId"])

        assert answer["takenBack"]["deploymentId"] == answer["deploymentId"]
        assert answer["takenBack"]["kind"] == "release"

    run_virtual(main())


def test_the_dry_run_of_a_rollback_of_one_on_its_way_names_no_release_that_comes_back() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        asked = await world.deploy(await world.component("one"))
        command = RollbackDeployment.model_validate({"deploymentId": asked["deploymentId"]})

        plan = await plan_rollback(command, world.ctx, world.app)

        assert (plan.release_ref, plan.restores) == (None, ())
        assert plan.taken_back.deployment_id == asked["deploymentId"]
        assert plan.removals == ()  # nothing of it was applied

    run_virtual(main())


CHANGED = {"release_revision", "routing", "secrets", "secret_versions", "endpoint"}


def test_a_version_that_fails_its_gate_is_taken_back_to_the_one_before() -> None:
    async def main() -> None:
        world = driven()
        one = await prepared(world)
        world.health.bad.add(one.released_components[0].digest)

        failed = await rolled_out(world, "v2", 1)
        (back,) = ends(world, "RolledBack")

        assert failed.status == "RolledBack"
        assert back["kind"] == "secret"
        assert back["secret"]["version"] == "v2"
        assert back["releaseUnit"]["components"][0]["secretVersions"]["password"] == "v1"
        assert back["rejected"]["components"][0]["secretVersions"]["password"] == "v2"
        assert {each.name: each.version for each in live_secrets(world)}["password"] == "v1"
        assert (await world.target()).facts[f"secret/{SHOP}/password"].version == "v1"
        world.health.bad.clear()
        assert versions(await world.release("two"))["password"] == "v1"

    run_virtual(main())


def test_the_next_release_has_the_version_that_was_rolled_out() -> None:
    async def main() -> None:
        world = driven()
        await prepared(world)
        await rolled_out(world, "v2", 1)

        assert versions(await world.release("two"))["password"] == "v2"

    run_virtual(main())


def test_a_roll_out_is_of_the_release_that_is_in_force_when_it_starts() -> None:
    """Not of the one when it was asked for: that would take a release back."""

    async def main() -> None:
        world = driven()
        await prepared(world)
        answer = await world.deploy(await world.component("two", version="2.0"))
        asked = await roll_out(world, "v2", 1)
        assert asked.value["waitingFor"] == "queue"

        await world.settle()

        two = await world.deployment(answer["deploymentId"])
        done = await world.deployment(asked.value["deploymentId"])
        assert versions(two)["password"] == "v1"
        assert versions(done)["password"] == "v2"
        assert done.released_components[0].digest == two.released_components[0].digest
        assert done.components[0].version == "2.0"
        assert {spec.version for spec in live_specs(world).values()} == {"2.0"}

    run_virtual(main())


def test_two_secrets_that_are_rolled_out_at_once_are_both_there_in_the_end() -> None:
    async def main() -> None:
        world = driven()
        await prepared(world)

        await roll_out(world, "v2", 1)
        mail = {"secretName": "mail", "bindingId": MAIL}
        asked = await roll_out(world, "m2", 1, **mail)
        await world.settle()

        done = await world.deployment(asked.value["deploymentId"])
        assert versions(done) == {"mail": "m2", "password": "v2"}

    run_virtual(main())


def test_a_repeat_is_answered_by_the_one_on_its_way_and_then_by_what_is_in_force() -> None:
    async def main() -> None:
        world = driven()
        await prepared(world)

        await roll_out(world, "v2", 1)
        queued = await roll_out(world, "v2", 1)
        assert len((await world.target()).queue) == 1
        await world.settle()
        before = await world.target()
        in_force = await roll_out(world, "v2", 1)

        assert (queued.is_repeat, in_force.is_repeat) == (True, True)
        assert (await world.target()).queue == before.queue
        assert len(await world.rows("deployment")) == 2

    run_virtual(main())


def test_an_earlier_rotation_than_one_that_was_asked_for_is_nothing() -> None:
    async def main() -> None:
        world = driven()
        await prepared(world)

        await roll_out(world, "v3", 2)
        while_queued = await roll_out(world, "v2", 1)
        await world.settle()
        after = await roll_out(world, "v2", 1)
        await world.settle()

        assert (while_queued.value, after.value) == ({}, {})
        assert {each.name: each.version for each in live_secrets(world)}["password"] == "v3"

    run_virtual(main())


def test_what_is_retried_after_a_later_rotation_rolls_nothing_out() -> None:
    async def main() -> None:
        world = driven()
        await prepared(world)
        await world.tell(EnvironmentStatus.UPDATING)
        first = await roll_out(world, "v2", 1)
        await world.tell(EnvironmentStatus.FAILED)
        await world.settle()
        assert await world.status(first.value["deploymentId"]) == "Failed"
        await world.tell()
        await rolled_out(world, "v3", 2)

        await retry(first.value["deploymentId"], DeploymentReason(), world.ctx, world.app)
        await world.settle()

        again = await world.deployment(first.value["deploymentId"])
        assert again.status == "Cancelled"
        assert again.reason is not None
        assert again.reason.code == NOTHING_TO_ROLL_OUT
        assert {each.name: each.version for each in live_secrets(world)}["password"] == "v3"

    run_virtual(main())


@pytest.mark.parametrize("in_force", ["nothing", "a-job-that-ended"])
def test_where_there_is_nothing_to_roll_out_the_sender_is_told_and_the_next_release_has_it(
    in_force: str,
) -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await bind(world, "v1")
        if in_force != "nothing":
            job = {"port": None, "runsOnce": {}}
            await world.deploy(await world.component("job", **job))
            await world.settle()

        asked = await roll_out(world, "v2", 1)
        await world.settle()

        (told,) = ends(world, "Cancelled")
        assert told["modules"] == [SHOP]
        assert told["reason"]["code"] == "NothingToRollOut"
        assert told["secret"] == {
            "moduleId": SHOP,
            "bindingId": BINDING,
            "secretName": "password",
            "version": "v2",
            "rotationId": rotation_id("password", 1),
            "canary": False,
        }
        shown = await world.shown(told["deploymentId"])
        assert (shown.status, shown.kind) == ("Cancelled", "secret")
        assert (await world.operation(told["deploymentId"])).is_terminal
        assert asked.value == {}
        assert versions(await world.release("two")) == {"password": "v2"}

    run_virtual(main())


def test_a_binding_that_was_revoked_is_rolled_out_no_more() -> None:
    async def main() -> None:
        world = driven()
        await prepared(world)
        await bind(world, "v1", 9, status="Revoked")

        await roll_out(world, "v2", 1)

        (told,) = ends(world, "Cancelled")
        assert "revoked" in told["reason"]["message"]
        assert versions(await world.release("two")) == {"mail": "m1"}

    run_virtual(main())


def test_a_roll_out_that_overtakes_its_binding_is_tried_again() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.release("one")

        with pytest.raises(Unavailable, match=BINDING):
            await roll_out(world, "v2", 1)
        await bind(world, "v1")
        done = await rolled_out(world, "v2", 1)

        assert versions(done) == {"password": "v2"}

    run_virtual(main())


def test_a_module_that_goes_before_its_roll_out_starts_leaves_nothing_to_roll_out() -> None:
    async def main() -> None:
        world = driven()
        await prepared(world)
        await world.deploy(await world.component("cart", CART), remove=[SHOP])
        asked = await roll_out(world, "v2", 1)

        await world.settle()

        (told,) = ends(world, "Cancelled")
        assert told["deploymentId"] == asked.value["deploymentId"]
        assert told["reason"]["code"] == "NothingToRollOut"
        assert told["secret"]["version"] == "v2"

    run_virtual(main())


def test_what_a_surface_refuses_is_told_by_the_end_of_the_roll_out() -> None:
    async def main() -> None:
        world = driven(has_vault=False)
        await world.tell()
        await world.release("one")
        await bind(world, "v1")

        done = await rolled_out(world, "v2", 1)

        assert done.status == "Failed"
        assert done.reason is not None
        assert done.reason.code == "PlanRefused"
        assert "secretReferences" in done.reason.message

    run_virtual(main())


def test_a_deploy_with_other_versions_of_secrets_is_no_repeat() -> None:
    async def main() -> None:
        world = driven()
        one = await prepared(world)
        again = await world.deploy(await world.component("one"))
        await rotate(world, "v2", 1)
        two = await world.deploy(await world.component("one"))
        await world.settle()

        assert again["deploymentId"] == one.deployment_id
        assert two["deploymentId"] != one.deployment_id
        assert versions(await world.deployment(two["deploymentId"]))["password"] == "v2"

    run_virtual(main())
