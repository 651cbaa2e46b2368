"""A hold is on the whole unit that was rolled back: another one of the same archive is not held."""

from dataclasses import replace
from typing import Any

import pytest

from function_apps.deployments.errors import Held, HoldsFull, NoActiveHold
from function_apps.deployments.model import module_queue, release_unit
from function_apps.deployments.model.deployment_target import DeploymentTarget
from function_apps.deployments.model.holds import (
    HoldRef,
    add_holds,
    hold_of,
    rejected_components,
    release_holds,
    require_not_held,
    unit_key,
)
from function_apps.deployments.model.module_queue import HOLDS_MAX
from shared.contracts.deployments import DeploymentStatus
from shared.contracts.releases import Hold, ReleasedComponent
from shared.contracts.strategies import OnConflict
from shared.contracts.values import ModuleId, Reason
from shared.kernel.fence import Fence
from shared.kernel.ids import DeploymentId
from tests.deployments.driven import SHOP, TEST, WEB, Driven, driven
from tests.deployments.test_facts_for_the_next_unit import published
from tests.deployments.test_one_change_per_module import ROLLBACK, claim
from tests.deployments.test_secrets_are_rolled_out import prepared
from tests.deployments.test_what_a_deployment_waits_for import asked_for
from tests.deployments.told_secrets import bind, rolled_out
from tests.kit import told
from tests.kit.service import TENANT
from tests.kit.virtual_time import EPOCH, run_virtual

OTHERWISE = [
    pytest.param({"version": "1.1"}, id="version"),
    pytest.param({"environ": {"MODE": "safe"}}, id="environ"),
    pytest.param({"resources": {"memoryMib": 512}}, id="memory"),
    pytest.param({"command": ["python", "server.py", "--safe"]}, id="command"),
    pytest.param({"replicas": 2}, id="replicas"),
    pytest.param({"pathPrefix": "/shop"}, id="path-prefix"),
    pytest.param({"probes": {"readiness": {"path": "/ready"}}}, id="probes"),
]


def test_a_roll_out_of_a_secret_and_a_release_of_it_are_one_unit() -> None:
    """Also where the secrets were bound in another order than that of their names."""

    async def main() -> Any:
        world = driven()
        one = await prepared(world)
        world.health.bad.add(one.released_components[0].digest)
        failed = await rolled_out(world, "v2", 1)
        await bind(world, "v2", revision=2)
        with pytest.raises(Held):
            await world.deploy(await world.component("one"), releaseRef="again")
        return failed.status

    assert run_virtual(main()) == "RolledBack"


async def one_in_force(world: Driven) -> None:
    await world.tell()
    await world.release("one")


async def turned_back(world: Driven, content: str, **changes: Any) -> None:
    """Release *content* otherwise than before, and have it turned back."""
    digest = await world.upload(content)
    world.health.bad.add(digest)
    answer = await world.deploy(await world.component(content, **changes))
    await world.settle()
    assert await world.status(answer["deploymentId"]) == "RolledBack"
    world.health.bad.discard(digest)


@pytest.mark.parametrize("changes", OTHERWISE)
def test_the_same_archive_run_otherwise_is_another_unit_and_deployable(
    changes: dict[str, Any],
) -> None:
    async def main() -> None:
        world = driven()
        await one_in_force(world)
        await turned_back(world, "two")

        answer = await world.deploy(await world.component("two", **changes))
        await world.settle()

        assert await world.status(answer["deploymentId"]) == "Completed"

    run_virtual(main())


@pytest.mark.parametrize("changes", OTHERWISE)
def test_a_unit_that_differs_from_what_is_in_force_in_one_thing_is_held_by_itself(
    changes: dict[str, Any],
) -> None:
    async def main() -> None:
        world = driven()
        await one_in_force(world)
        await turned_back(world, "one", **changes)

        with pytest.raises(Held, match="release-hold"):
            await world.deploy(await world.component("one", **changes))

    run_virtual(main())


def test_what_stays_in_force_is_not_held_with_a_unit_of_the_same_archive() -> None:
    async def main() -> None:
        world = driven()
        await one_in_force(world)
        await turned_back(world, "one", environ={"MODE": "bad"})

        again = await world.release("one", restart=True)

        assert again.status == "Completed"

    run_virtual(main())


def test_a_unit_that_was_turned_back_for_its_configuration_is_deployable_with_the_next_one() -> (
    None
):
    async def main() -> None:
        world = driven()
        await one_in_force(world)
        await published(world, version=1, revision=1)
        await turned_back(world, "two")

        with pytest.raises(Held):
            await world.release("two")
        await published(world, version=2, revision=2)
        again = await world.release("two")

        assert again.status == "Completed"

    run_virtual(main())


def test_a_hold_shows_version_and_digest_of_what_is_held() -> None:
    async def main() -> None:
        world = driven()
        await one_in_force(world)
        await turned_back(world, "two", version="2.0")

        (event,) = world.bench.sent.bodies("RuntimeDeploymentRolledBack")

        (hold,) = event["payload"]["holds"]
        assert (hold["moduleId"], hold["version"]) == (SHOP, "2.0")
        assert hold["digest"] == await world.upload("two")

    run_virtual(main())


def test_holds_are_never_dropped_for_newer_ones() -> None:
    async def main() -> None:
        world = driven()
        await one_in_force(world)
        for number in range(5):
            await turned_back(world, f"bad {number}")

        for number in range(5):
            with pytest.raises(Held):
                await world.deploy(await world.component(f"bad {number}"))

    run_virtual(main())


def test_a_unit_is_not_held_for_what_the_surface_refused_in_the_last_moment() -> None:
    async def main() -> None:
        world = driven()
        await one_in_force(world)
        other = release_unit.to_revision_spec(
            release_unit.planned(
                (
                    await world.command(await world.component("web", WEB, pathPrefix="/a"))
                ).components,
                TENANT,
                await world.target(),
                {},
                {},
            )[0],
            TEST,
            TENANT,
            world.app.rules.rollout,
        )
        (surface,) = world.app.surfaces.values()
        await surface.apply(other, Fence(1, "op", "unknown to the target"))

        answer = await world.deploy(await world.component("two", pathPrefix="/a"))
        await world.settle()

        done = await world.deployment(answer["deploymentId"])
        assert done.reason is not None
        assert (done.status, done.reason.code) == ("RolledBack", "RouteTaken")
        assert done.holds == ()

    run_virtual(main())


def test_an_environment_full_of_holds_takes_a_rollback_but_no_new_deployment() -> None:
    refs = tuple(HoldRef(f"{n:016x}", DeploymentId("dep")) for n in range(HOLDS_MAX))
    target = replace(DeploymentTarget(TEST), holds={ModuleId(SHOP): refs})

    with pytest.raises(HoldsFull):
        module_queue.enqueue(target, claim("a", SHOP), OnConflict.QUEUE)

    assert module_queue.enqueue(target, claim("r", SHOP, kind=ROLLBACK), OnConflict.QUEUE)


A, B = (DeploymentId(told.deployment_of(number)) for number in (1, 2))


def unit(module: str = SHOP, revision: int = 1, **changes: Any) -> ReleasedComponent:
    return ReleasedComponent.model_validate(
        {**told.released(module, revision), "version": "1.0", **changes}
    )


@pytest.mark.parametrize(
    "given_anew",
    [
        {"releaseRevision": 2},
        {"serviceId": told.service_of("module-other")},
        {"endpoint": "http://other.test/"},
        {"routing": {"weights": {"1": 100}}},
        {"owner": "team-other"},
        {"scalingPolicyRevision": 3},
        {"tenantBindingRevision": 3},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_is_given_anew_with_each_release_is_no_part_of_the_unit(
    given_anew: dict[str, Any],
) -> None:
    assert unit_key(unit(**given_anew)) == unit_key(unit())


def test_of_the_instances_those_that_were_asked_for_are_of_the_unit() -> None:
    scaled = unit(replicas=7, askedReplicas=2)

    assert unit_key(scaled) == unit_key(unit(replicas=5, askedReplicas=2))
    assert unit_key(scaled) == unit_key(unit(replicas=2))
    assert unit_key(scaled) != unit_key(unit(replicas=7))


def test_the_key_of_a_stored_unit_stays_in_every_version() -> None:
    # Holds are compared by it for as long as nobody releases them.
    assert unit_key(unit()) == "4785975d2036915d"


def test_a_refusal_says_what_is_held_and_by_whom() -> None:
    holds = add_holds({}, [unit()], A)

    with pytest.raises(Held) as refused:
        require_not_held(holds, [unit(WEB), unit()])

    assert (refused.value.module, refused.value.holder) == (SHOP, A)
    assert f"{SHOP} (1.0, {told.DIGEST[:19]}…)" in refused.value.message
    require_not_held(holds, [unit(WEB), unit(version="1.1")])


def test_one_unit_has_one_hold_and_that_is_of_the_newest() -> None:
    first, second = unit(), unit(version="2.0")

    holds = add_holds(add_holds({}, [first, second, unit(WEB)], A), [first], B)

    assert holds == {
        SHOP: (HoldRef(unit_key(second), A), HoldRef(unit_key(first), B)),
        WEB: (HoldRef(unit_key(unit(WEB)), A),),
    }


def test_released_are_the_holds_of_one_deployment_and_once() -> None:
    mine, other = unit(), unit(version="2.0")
    reason = Reason(code="GateFailed", message="errors")
    ended = asked_for(DeploymentStatus.ROLLED_BACK, deployment_id=A)
    hold = hold_of(mine, ended, reason, EPOCH)
    holds = add_holds(add_holds({}, [mine, unit(WEB)], A), [other], B)

    released, left = release_holds(replace(ended, holds=(hold,)), holds, EPOCH)

    assert left == {SHOP: (HoldRef(unit_key(other), B),)}
    assert (released.holds, released.updated_at) == ((), EPOCH)
    with pytest.raises(NoActiveHold, match=f"{A} holds nothing in {TEST}"):
        release_holds(released, left, EPOCH)


def test_a_hold_shows_what_is_held_where_and_since_when() -> None:
    reason = Reason(code="GateFailed", message="errors")
    ended = asked_for(DeploymentStatus.ROLLED_BACK, deployment_id=A)

    assert hold_of(unit(), ended, reason, EPOCH) == Hold(
        environment_id=TEST,
        module_id=ModuleId(SHOP),
        digest=told.DIGEST,
        version="1.0",
        release_ref="one",
        deployment_id=A,
        reason=reason,
        held_at=EPOCH,
    )


def test_rejected_is_what_differs_from_what_stays_of_its_module() -> None:
    same, changed, new = unit(), unit(WEB, version="2.0"), unit("module-cart")
    stays = [unit(revision=7), unit(WEB)]

    assert rejected_components([same, changed, new], stays) == (changed, new)
    assert rejected_components([same], []) == (same,)
