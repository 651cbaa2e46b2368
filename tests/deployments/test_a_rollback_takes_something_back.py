"""A rollback that would start again what runs is refused, and names the release before."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from cli.exit_codes import ExitCode
from cli.remedy_lookup import remedy_for
from function_apps.deployments.errors import NothingToTakeBack
from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.use_cases.retry import retry
from function_apps.deployments.use_cases.roll_back import plan_rollback, roll_back
from shared.contracts.deployments import DeploymentReason, RollbackDeployment
from shared.persistence.blobs import Blobs
from tests.deployments.driven import CART, Driven, driven
from tests.deployments.test_old_versions_of_secrets_are_withdrawn import given, withdraw
from tests.deployments.told_secrets import bind, rolled_out, rotate
from tests.kit.losing_store import losing
from tests.kit.virtual_time import run_virtual

NAME = "password"


@dataclass
class CountedBlobs:
    """Blobs that remember of which the size was asked for."""

    blobs: Blobs
    asked: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.blobs, name)

    async def size(self, name: str) -> int | None:
        self.asked.append(name)
        return await self.blobs.size(name)


async def rotated_twice() -> tuple[Driven, Deployment, Deployment]:
    """Release one and two, and rotate to v2 and v3, of which v1 and v2 are disabled then."""
    world = driven()
    await world.tell()
    await bind(world, "v1")
    one = await world.release("one", releaseRef="shop-1")
    await world.release("two", releaseRef="shop-2")
    await rolled_out(world, "v2", 1)
    await withdraw(world, "v2", 1)
    last = await rolled_out(world, "v3", 2)
    await withdraw(world, "v3", 2)
    return world, one, last


async def plan(world: Driven, deployment: str, **more: Any) -> Any:
    command = RollbackDeployment.model_validate({"deploymentId": deployment, **more})
    return await plan_rollback(command, world.ctx, world.app)


async def refusal(world: Driven, deployment: str, **more: Any) -> NothingToTakeBack:
    """Return how a rollback is refused, in a dry run as in a request."""
    with pytest.raises(NothingToTakeBack) as planned:
        await plan(world, deployment, **more)
    with pytest.raises(NothingToTakeBack) as refused:
        await world.rollback(deployment, **more)
    assert planned.value.message == refused.value.message
    return refused.value


def test_a_roll_out_whose_older_version_is_disabled_is_not_rolled_back() -> None:
    async def main() -> Any:
        world, one, last = await rotated_twice()
        live = world.live()
        refused = await refusal(world, last.deployment_id)
        await world.settle()
        assert world.live() == live
        return refused, one, last

    refused, one, last = run_virtual(main())

    assert refused.code == "NothingToTakeBack"
    assert f"v2 of {NAME}, as it was before {last.deployment_id}, is disabled" in refused.message
    goal = f"to go back to shop-1, say toDeploymentId {one.deployment_id}"
    assert refused.message.endswith(goal)
    line = f"`runtimectl rollback {last.deployment_id} --to {one.deployment_id}`"
    assert line in remedy_for(refused.code, refused.message, ExitCode.CONFLICT)


def test_the_release_that_it_names_comes_back_with_the_version_in_force() -> None:
    async def main() -> Any:
        world, one, last = await rotated_twice()
        named = re.findall(r"dep-[a-z0-9-]+", (await refusal(world, last.deployment_id)).message)
        back = await world.rollback(last.deployment_id, toDeploymentId=named[-1])
        await world.settle()
        done = await world.deployment(back["deploymentId"])
        digests = {each.released_components[0].digest for each in (one, done)}
        return done.status, len(digests), given(world)

    assert run_virtual(main()) == ("Completed", 1, {NAME: "v3"})


def test_a_roll_out_to_the_first_release_names_none() -> None:
    async def main() -> Any:
        world = driven()
        await world.tell()
        await bind(world, "v1")
        await world.release("one")
        last = await rolled_out(world, "v2", 1)
        await rotate(world, "v2", 1, 2, status="Revoked", revoked=["v1"])
        return await refusal(world, last.deployment_id)

    refused = run_virtual(main())

    assert refused.message.endswith("there is nothing to take back")
    assert "runtimectl deploy -f" in remedy_for(refused.code, refused.message, ExitCode.CONFLICT)


def test_going_back_to_a_release_that_runs_is_refused_too() -> None:
    async def main() -> Any:
        world, one, last = await rotated_twice()
        release = last.earlier_releases["module-shop"]
        refused = await refusal(world, last.deployment_id, toDeploymentId=release.deployment_id)
        return one, refused

    one, refused = run_virtual(main())

    assert refused.message.endswith(f"say toDeploymentId {one.deployment_id}")


def test_what_was_started_anew_and_is_the_same_is_not_rolled_back() -> None:
    async def main() -> Any:
        world = driven()
        await world.tell()
        first = await world.release("one", releaseRef="shop-1")
        await world.release("two")
        again = await world.release("two", restart=True)
        return first, await refusal(world, again.deployment_id)

    first, refused = run_virtual(main())

    assert "is what runs: there is nothing to take back" in refused.message
    assert refused.message.endswith(
        f"to go back to shop-1, say toDeploymentId {first.deployment_id}"
    )


def test_a_release_whose_older_version_is_disabled_goes_back_in_all_else() -> None:
    async def main() -> Any:
        world = driven()
        await world.tell()
        await bind(world, "v1")
        one = await world.release("one")
        await rotate(world, "v2", 1)
        two = await world.release("two")
        await withdraw(world, "v2", 1)
        planned = await plan(world, two.deployment_id)
        back = await world.rollback(two.deployment_id)
        await world.settle()
        done = await world.deployment(back["deploymentId"])
        assert done.released_components[0].digest == one.released_components[0].digest
        return done.status, planned.release_ref, departures(done), given(world)

    status, ref, departed, live = run_virtual(main())

    assert (status, ref, live) == ("Completed", "r", {NAME: "v2"})
    assert departed == {f"secrets/{NAME}": "SecretVersionDisabled"}


def departures(done: Deployment) -> Mapping[str, str]:
    assert done.proof is not None
    return {each.path: each.reason.code for each in done.proof.instances[0].departures}


def test_a_rollback_whose_version_is_withdrawn_while_it_waits_starts_nothing() -> None:
    async def main() -> Any:
        world = driven()
        await world.tell()
        await bind(world, "v1")
        await world.release("one")
        last = await rolled_out(world, "v2", 1)
        live = world.live()
        world.halt_at = "start_rollout"
        back = await world.rollback(last.deployment_id)
        await world.until(world.is_halted)
        await rotate(world, "v2", 1, 2, status="Revoked", revoked=["v1"])
        world.go_on()
        await world.settle()
        done = await world.deployment(back["deploymentId"])
        assert world.live() == live
        return done

    done = run_virtual(main())

    assert done.status == "Failed"
    assert done.reason.code == "NothingToTakeBack"


def test_a_retry_of_what_failed_so_is_refused_as_its_request_would_be() -> None:
    async def main() -> Any:
        world = driven()
        await world.tell()
        await bind(world, "v1")
        one = await world.release("one", releaseRef="shop-1")
        await world.release("two")
        last = await rolled_out(world, "v2", 1)
        world.halt_at = "start_rollout"
        back = await world.rollback(last.deployment_id)
        await world.until(world.is_halted)
        await rotate(world, "v2", 1, 2, status="Revoked", revoked=["v1"])
        world.go_on()
        await world.settle()
        with pytest.raises(NothingToTakeBack) as retried:
            await retry(back["deploymentId"], DeploymentReason(), world.ctx, world.app)
        done = await world.deployment(back["deploymentId"])
        asked = await refusal(world, last.deployment_id)
        return retried.value.message, asked.message, one, done

    retried, asked, one, done = run_virtual(main())

    assert retried == asked
    assert retried.endswith(f"to go back to shop-1, say toDeploymentId {one.deployment_id}")
    assert (done.status, done.attempt) == ("Failed", 1)


def test_archives_are_looked_for_once_though_others_write_first() -> None:
    async def main() -> Any:
        world = driven()
        await world.tell()
        await world.release("one")
        two = await world.release("two")
        blobs = CountedBlobs(world.app.blobs)
        app = replace(
            world.app,
            service=losing(world.app.service),
            blobs=cast("Blobs", blobs),  # the rest by `__getattr__`
        )
        command = RollbackDeployment.model_validate({"deploymentId": two.deployment_id})
        outcome = await roll_back(command, world.ctx, app)
        return outcome.value["kind"], len(blobs.asked), len({*blobs.asked})

    kind, asked, different = run_virtual(main())

    assert kind == "rollback"
    assert asked == different > 0


def test_within_the_overlap_the_older_version_comes_back() -> None:
    async def main() -> Any:
        world = driven()
        await world.tell()
        await bind(world, "v1")
        await world.release("one")
        last = await rolled_out(world, "v2", 1)
        await world.rollback(last.deployment_id)
        await world.settle()
        return given(world)

    assert run_virtual(main()) == {NAME: "v1"}


async def numbered(world: Driven, *numbers: int) -> Sequence[str]:
    """Release the same archive once with each number of instances."""
    await world.tell()
    done: list[str] = []
    for number in numbers:
        answer = await world.deploy(await world.component("one", replicas=number))
        await world.settle()
        done.append(answer["deploymentId"])
    return done


def test_more_instances_of_the_same_are_not_taken_back_as_a_rollback_keeps_them() -> None:
    async def main() -> Any:
        world = driven()
        _, five = await numbered(world, 2, 5)
        refused = await refusal(world, five)
        again = await world.deploy(await world.component("one", replicas=5), restart=True)
        await world.settle()
        return refused, await refusal(world, again["deploymentId"])

    for refused in run_virtual(main()):
        assert refused.message.endswith("is what runs: there is nothing to take back")


def test_fewer_instances_of_the_same_are_taken_back() -> None:
    async def main() -> Any:
        world = driven()
        _, two = await numbered(world, 5, 2)
        back = await world.rollback(two)
        await world.settle()
        return await world.status(back["deploymentId"]), world.live()

    assert run_virtual(main()) == ("Completed", ({3: 5}, {3: 100}))


def test_a_release_whose_job_alone_changed_is_not_rolled_back() -> None:
    async def main() -> Any:
        world = driven()
        await world.tell()
        for content in ("m1", "m2"):
            job = {"componentType": "worker", "port": None, "runsOnce": {}}
            migration = await world.component(content, CART, **job)
            answer = await world.deploy(migration, await world.component("one"))
            await world.settle()
            assert await world.status(answer["deploymentId"]) == "Completed"
        return await refusal(world, answer["deploymentId"])

    assert "is what runs: there is nothing to take back" in run_virtual(main()).message


def test_a_secret_whose_binding_was_revoked_is_named() -> None:
    async def main() -> Any:
        world = driven()
        await world.tell()
        await bind(world, "v1")
        await world.release("two")
        await bind(world, "v1", 2, status="Revoked")
        last = await world.release("two")
        return await refusal(world, last.deployment_id)

    assert f"the binding of {NAME} was revoked, so it does not come back" in (
        run_virtual(main()).message
    )
