"""A rollback puts back neither scaling policy nor tenant binding, and its proof says so."""

from dataclasses import replace

import pytest

from function_apps.deployments.errors import Held
from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.model.lifecycle import PolicyAndBinding
from function_apps.deployments.model.replicas import of_unit
from shared.contracts.releases import Departure, ReleasedComponent
from shared.contracts.scaling import ScalingStatus
from shared.contracts.values import REPLICAS_MAX
from shared.kernel.fence import Fence
from shared.kernel.observation import Present
from tests.deployments.driven import SHOP, Driven, driven
from tests.deployments.test_facts_for_the_next_unit import bound
from tests.deployments.test_secrets_come_back import undone
from tests.deployments.told_policies import ENDED, IN_FORCE, POLICY, scaled
from tests.kit.memory_cluster import Behaviour
from tests.kit.virtual_time import run_virtual


def departures(done: Deployment) -> tuple[Departure, ...]:
    """Return the departures, which are the same of every instance of the proof."""
    assert done.proof is not None
    assert done.proof.whole
    first, *others = (each.departures for each in done.proof.instances)
    assert all(each == first for each in others)
    return first


def in_short(done: Deployment) -> list[tuple[str, str, str, str]]:
    return [(each.path, each.recorded, each.live, each.reason.code) for each in departures(done)]


async def turned_back(world: Driven, content: str = "bad") -> Deployment:
    """Release what fails its gate, and return the deployment after it went back."""
    world.health.bad.add(await world.upload(content))
    done = await world.release(content)
    assert done.status == "RolledBack"
    return done


def test_a_release_that_goes_back_tells_of_another_policy_and_binding_with_the_way_to_change() -> (
    None
):
    async def main() -> None:
        world = driven()
        await world.tell()
        await scaled(world, 3, minimum=2)
        await bound(world, "Enforced", 2)
        await world.release("one")
        await scaled(world, 4, minimum=1)
        await bound(world, "Enforced", 5)

        back = await turned_back(world)

        assert in_short(back) == [
            ("scalingPolicy", "revision 3", "revision 4", "ScalingPolicyNotRestored"),
            ("tenantBinding", "revision 2", "revision 5", "TenantBindingNotRestored"),
        ]
        policy, binding = departures(back)
        assert "the earlier release had revision 3 with at least 2" in policy.reason.message
        assert f"; change the policy {POLICY}" in policy.reason.message
        assert "leaves the tenant's binding as it is" in binding.reason.message

    run_virtual(main())


def test_a_rollback_says_beforehand_what_of_policy_and_binding_it_does_not_put_back() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await scaled(world, 3, minimum=2)
        await world.release("one")
        two = await world.release("two")
        await scaled(world, 4, minimum=1)

        (said,) = (await world.rollback(two.deployment_id))["warnings"]

        assert said.startswith(f"{SHOP}: a rollback puts no scaling policy back: ")

    run_virtual(main())


def test_the_unit_that_came_back_has_the_binding_that_is_in_force() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await bound(world, "Enforced", 2)
        await world.release("one")
        await bound(world, "Enforced", 5)

        back = await turned_back(world)

        assert back.restored is not None
        assert back.restored.tenant_binding_revision == 5
        assert back.restored.components[0].tenant_binding_revision == 2

    run_virtual(main())


def test_a_rollback_asked_for_records_what_is_in_force_and_tells_what_the_release_had() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await scaled(world, 1, minimum=2)
        await bound(world, "Enforced", 1)
        await world.release("one")
        two = await world.release("two")
        await scaled(world, 2, minimum=3)
        await bound(world, "Enforced", 4)

        done = await undone(world, two.deployment_id)

        assert done.unit is not None
        (component,) = done.unit.components
        assert (component.scaling_policy_revision, component.replicas) == (2, 3)
        assert done.unit.tenant_binding_revision == 4
        assert in_short(done) == [
            ("scalingPolicy", "revision 1", "revision 2", "ScalingPolicyNotRestored"),
            ("tenantBinding", "revision 1", "revision 4", "TenantBindingNotRestored"),
        ]

    run_virtual(main())


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param((1, IN_FORCE), (1, IN_FORCE), [], id="the-same"),
        pytest.param(
            (1, IN_FORCE), (2, IN_FORCE), [("revision 1", "revision 2")], id="changed-since"
        ),
        pytest.param(None, (1, IN_FORCE), [("none", "revision 1")], id="applied-since"),
        pytest.param((1, IN_FORCE), (1, ENDED), [("revision 1", "none")], id="ended-since"),
        pytest.param(None, None, [], id="never-one"),
    ],
)
def test_a_policy_departs_where_it_was_changed_applied_or_ended_since(
    before: tuple[int, ScalingStatus] | None,
    after: tuple[int, ScalingStatus] | None,
    expected: list[tuple[str, str]],
) -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        if before is not None:
            await scaled(world, before[0], status=before[1])
        await world.release("one")
        if after is not None:
            await scaled(world, after[0], status=after[1])

        back = await turned_back(world)

        assert [(each.recorded, each.live) for each in departures(back)] == expected

    run_virtual(main())


def test_a_policy_that_changes_during_a_roll_out_is_told_and_is_of_the_next_release() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await scaled(world, 1)
        answer = await world.deploy(await world.component("one"))
        world.halt_at = "complete_release"
        await world.until(world.is_halted)
        await scaled(world, 2)
        world.go_on()
        await world.settle()

        done = await world.deployment(answer["deploymentId"])

        (departure,) = departures(done)
        assert (departure.recorded, departure.live) == ("revision 1", "revision 2")
        assert "the next release records it" in departure.reason.message

    run_virtual(main())


async def live_number(world: Driven) -> int:
    state = world.world.component(world.surface_component(SHOP))
    (revision,) = state.revisions.values()
    return len(revision.instances)


async def scale(world: Driven, number: int) -> None:
    """Bring the release in force of SHOP to *number* instances, as scaling does."""
    (surface,) = world.app.surfaces.values()
    workload = world.surface_component(SHOP)
    live = await surface.observe(workload)
    assert isinstance(live, Present)
    revision = min(live.value.revisions, key=lambda each: each.revision)
    fence = Fence(live.value.fence, POLICY, "scale")
    await surface.scale(workload, revision.revision, number, fence)


def test_what_comes_back_has_at_least_its_recorded_minimum_though_a_later_policy_has_less() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await scaled(world, 1, minimum=4)
        await world.release("one")
        await scaled(world, 2, minimum=1)
        two = await world.release("two")
        await scale(world, 1)

        done = await undone(world, two.deployment_id)

        assert done.proof is not None
        assert done.proof.total == 4
        assert await live_number(world) == 4

    run_virtual(main())


def test_a_rollout_that_stops_the_old_version_first_has_as_many_instances_as_that_had() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await scaled(world, 1, minimum=1)
        await world.release("one")
        await scale(world, 3)

        two = await world.release("two", strategy={"kind": "recreate"})
        world.world.behaviours[await world.upload("bad")] = Behaviour(becomes_ready=False)
        back = await world.release("bad", strategy={"kind": "recreate"})

        assert (two.status, back.status) == ("Completed", "RolledBack")
        assert [each.proof.total for each in (two, back) if each.proof] == [3, 3]

    run_virtual(main())


def test_where_no_policy_has_the_number_a_rollback_has_no_fewer_than_are_live() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.release("one")
        answer = await world.deploy(await world.component("two", replicas=3))
        await world.settle()

        done = await undone(world, answer["deploymentId"])

        assert done.unit is not None
        (component,) = done.unit.components
        assert (component.replicas, component.asked_replicas) == (3, 1)
        assert await live_number(world) == 3

    run_virtual(main())


def test_a_rollback_records_no_number_that_a_release_cannot_have() -> None:
    """Somebody scaled the workload in its cluster, beyond what any release may ask for."""

    async def main() -> None:
        world = driven()
        await world.tell()
        await world.release("one")
        two = await world.release("two")
        component = two.released_components[0]
        back = replace(two, recorded={component.module_id: PolicyAndBinding.of(component)})

        (numbered,) = of_unit(
            back, [component], (), {component.module_id: REPLICAS_MAX + 1}, facts={}
        )

        assert ReleasedComponent.model_validate(numbered.model_dump()) == numbered
        assert (numbered.replicas, numbered.asked_replicas) == (REPLICAS_MAX, 1)

    run_virtual(main())


def test_a_rollback_that_had_more_instances_holds_only_what_it_undid() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        one = await world.component("one")
        await world.deploy(one)
        await world.settle()
        answer = await world.deploy(await world.component("two", replicas=3))
        await world.settle()
        done = await undone(world, answer["deploymentId"])

        again = await world.deploy(one, restart=True)
        await world.settle()

        assert [hold.release_ref for hold in done.holds] == ["r"]
        assert (await world.deployment(again["deploymentId"])).status == "Completed"

    run_virtual(main())


def test_another_minimum_of_a_policy_makes_no_other_unit_of_what_is_held() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await scaled(world, 1, minimum=1)
        await world.release("one")
        await turned_back(world)
        await scaled(world, 2, minimum=2)

        with pytest.raises(Held):
            await world.deploy(await world.component("bad"))

    run_virtual(main())
