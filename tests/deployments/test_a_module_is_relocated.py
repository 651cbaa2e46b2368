"""A moved tenant has each of its modules started again, as a deployment of kind relocation."""

from collections.abc import Mapping
from typing import Any

import pytest

from function_apps.deployments.errors import NotRetryable
from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.use_cases.confirm_cut_over import confirm_cut_over
from function_apps.deployments.use_cases.relocate_workload import relocate_workload
from function_apps.deployments.use_cases.retry import retry
from shared.contracts.deployments import DeploymentReason
from shared.contracts.roll_outs import ConfirmCutOver, RelocateWorkload
from shared.kernel.errors import Unavailable
from shared.messaging.unit_of_work import Outcome
from tests.deployments.driven import SHOP, TEST, Driven, driven
from tests.deployments.test_facts_for_the_next_unit import BINDING, bound, proved
from tests.deployments.told_secrets import bind, rotate
from tests.kit.virtual_time import run_virtual

CANCELLED = "RuntimeDeploymentCancelled"
NEW = {"release_revision", "routing", "endpoint", "tenant_binding_revision"}


def command(revision: int, **more: Any) -> RelocateWorkload:
    return RelocateWorkload.model_validate(
        {
            "environmentId": TEST,
            "moduleId": SHOP,
            "tenantBindingId": BINDING,
            "bindingRevision": revision,
            "isolationModel": "pool",
            **more,
        }
    )


async def relocate(world: Driven, revision: int, **more: Any) -> Outcome[Any]:
    return await relocate_workload(command(revision, **more), world.ctx, world.app)


async def moved(world: Driven, end: str, **more: Any) -> Mapping[str, Any]:
    """Have SHOP relocated, and return the event by which that has come to *end*."""
    await relocate(world, 3, **more)
    await world.settle()
    said = [each["payload"] for each in world.bench.sent.bodies(f"RuntimeDeployment{end}")]
    last: Mapping[str, Any] = [each for each in said if each["kind"] == "relocation"][-1]
    return last


async def prepared(world: Driven, **more: Any) -> Deployment:
    """Release SHOP while its tenant's binding is Enforced at revision 2, and move it to 3."""
    await world.tell()
    await bound(world, "Enforced", 2)
    one = await world.release("one", **more)
    await bound(world, "Moving", 3)
    return one


def test_what_is_in_force_is_started_again_with_its_steps_and_proves_the_moved_binding() -> None:
    async def main() -> None:
        world = driven()
        one = await prepared(world)

        ended = await moved(world, "Completed")

        done = await world.deployment(ended["deploymentId"])
        before, after = one.released_components[0], done.released_components[0]
        assert (done.status, done.kind, done.release_ref) == ("Completed", "relocation", "r")
        assert after.model_dump(exclude=NEW) == before.model_dump(exclude=NEW)
        assert (before.tenant_binding_revision, after.tenant_binding_revision) == (2, 3)
        assert [each.share for each in done.steps] == [10, 50, 100]
        assert ended["proof"]["whole"]
        assert ended["relocation"] == {
            "moduleId": SHOP,
            "tenantBindingId": BINDING,
            "bindingRevision": 3,
            "allowDowntime": False,
        }

    run_virtual(main())


def test_it_waits_for_the_event_of_the_moved_binding() -> None:
    async def main() -> None:
        world = driven()
        await prepared(world)

        with pytest.raises(Unavailable, match="revision 4"):
            await relocate(world, 4)

    run_virtual(main())


def test_it_is_of_what_is_in_force_when_it_starts_and_before_what_waits() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await bound(world, "Enforced", 2)
        await world.release("one")
        running = await world.deploy(await world.component("two", version="2.0"))

        async def is_pinned() -> bool:
            return (await world.deployment(running["deploymentId"])).unit is not None

        await world.until(is_pinned)
        waiting = await world.deploy(await world.component("three", version="3.0"))
        await bound(world, "Moving", 3)

        ended = await moved(world, "Completed")

        (relocated,) = ended["releaseUnit"]["components"]
        three = await world.deployment(waiting["deploymentId"])
        assert (relocated["version"], relocated["releaseRevision"]) == ("2.0", 3)
        assert [each.release_revision for each in three.previous] == [3]

    run_virtual(main())


async def _beginning() -> tuple[Driven, str]:
    """Have the first release of SHOP begin by revision 2 of the binding, and move that to 3."""
    world = driven()
    await world.tell()
    await bound(world, "Enforced", 2)
    identity = (await world.deploy(await world.component("one")))["deploymentId"]

    async def is_pinned() -> bool:
        return (await world.deployment(identity)).unit is not None

    await world.until(is_pinned)
    await bound(world, "Moving", 3)
    return world, identity


def test_a_first_release_that_began_before_the_move_is_started_again_once_it_is_in_force() -> None:
    async def main() -> Any:
        world, _ = await _beginning()
        return await moved(world, "Completed")

    (relocated,) = run_virtual(main())["releaseUnit"]["components"]

    assert (relocated["releaseRevision"], relocated["tenantBindingRevision"]) == (2, 3)


def test_of_a_first_release_that_is_cancelled_there_is_nothing_to_start_again() -> None:
    async def main() -> Any:
        world, first = await _beginning()
        await relocate(world, 3)
        await world.cancel(first)
        return await moved(world, "Cancelled")

    assert run_virtual(main())["reason"]["code"] == "NothingToRollOut"


def test_a_repeat_is_answered_by_the_one_on_its_way() -> None:
    async def main() -> None:
        world = driven()
        await prepared(world)

        first, again = await relocate(world, 3), await relocate(world, 3)

        assert not first.is_repeat
        assert again.is_repeat
        assert len((await world.target()).queue) == 1

    run_virtual(main())


def test_one_that_fails_its_gate_is_taken_back_and_leaves_no_hold_on_the_release() -> None:
    async def main() -> None:
        world = driven()
        one = await prepared(world)
        world.health.bad.add(one.released_components[0].digest)

        ended = await moved(world, "RolledBack")

        assert ended["relocation"]["bindingRevision"] == 3
        assert (await world.target()).holds == {}

    run_virtual(main())


def test_where_nothing_is_in_force_or_all_is_done_it_ends_at_once() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await bound(world, "Moving", 3)

        nothing = await moved(world, "Cancelled")
        await world.release("one")
        done = await moved(world, "Cancelled")

        for ended in (nothing, done):
            assert ended["reason"]["code"] == "NothingToRollOut"
            assert ended["modules"] == [SHOP]
        assert "no instance" in nothing["reason"]["message"]
        assert "revision 3 or a later one" in done["reason"]["message"]

    run_virtual(main())


def test_what_stops_before_it_starts_again_needs_the_word_of_the_caller() -> None:
    async def main() -> None:
        world = driven()
        await prepared(world, strategy={"kind": "recreate"})

        refused = await moved(world, "Failed")
        allowed = await moved(world, "Completed", allowDowntime=True)

        assert refused["reason"]["code"] == "DowntimeNotAllowed"
        assert allowed["proof"]["whole"]

    run_virtual(main())


def test_what_refuses_it_is_told_by_its_end() -> None:
    """Its sender is a service: a refusal of its message would be parked, and the move stand."""

    async def main() -> None:
        world = driven()
        await prepared(world)
        await proved(world, "Breach", 1)

        ended = await moved(world, "Failed")

        assert ended["reason"]["code"] == "IsolationBreached"

    run_virtual(main())


OVER = pytest.mark.parametrize("status", ["Enforced", "Suspended", "Unbinding"])


@OVER
@pytest.mark.parametrize(
    ("activity", "end"),
    [
        pytest.param("start_rollout", "Cancelled", id="one-that-waits"),
        pytest.param("shift_traffic", "RolledBack", id="one-on-its-way"),
    ],
)
def test_a_relocation_of_a_move_that_is_over_stops(activity: str, end: str, status: str) -> None:
    async def main() -> None:
        world = driven()
        one = await prepared(world)
        world.halt_at = activity
        await relocate(world, 3)
        await world.until(world.is_halted)
        await bound(world, status, 5)
        await bound(world, status, 5)
        world.go_on()
        await world.settle()

        (done,) = [each["payload"] for each in world.bench.sent.bodies(f"RuntimeDeployment{end}")]
        assert done["reason"]["code"] == "Cancelled"
        assert f"the move of {BINDING} is over" in done["reason"]["message"]
        target = await world.target()
        assert (target.module(SHOP).by, target.holds) == (one.deployment_id, {})

    run_virtual(main())


def test_relocations_of_the_move_that_is_under_way_go_on() -> None:
    async def main() -> None:
        world = driven()
        await prepared(world)
        await relocate(world, 3)
        await bound(world, "Moving", 4, asked=3)

        assert (await moved(world, "Completed"))["relocation"]["bindingRevision"] == 3

    run_virtual(main())


@pytest.mark.parametrize("has_begun", [False, True], ids=["in-force", "first-release-on-its-way"])
def test_for_a_move_that_is_over_nothing_is_started_again(*, has_begun: bool) -> None:
    """Commands and events come in any order, and a relocation may have waited for days."""

    async def main() -> None:
        world, _ = await _beginning() if has_begun else (driven(), "")
        if not has_begun:
            await prepared(world)
        await bound(world, "Enforced", 4)

        ended = await moved(world, "Cancelled")

        assert ended["reason"]["code"] == "NothingToRollOut"
        assert "is over" in ended["reason"]["message"]

    run_virtual(main())


def test_it_keeps_the_versions_of_secrets_that_the_release_has() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await bound(world, "Enforced", 2)
        await bind(world, "v1")
        await world.release("one")
        await rotate(world, "v2", 1)
        await bound(world, "Moving", 3)

        ended = await moved(world, "Completed")

        (component,) = ended["releaseUnit"]["components"]
        assert component["secretVersions"] == {"password": "v1"}

    run_virtual(main())


def test_one_that_was_refused_before_it_had_a_release_is_not_retried() -> None:
    async def main() -> None:
        world = driven()
        await prepared(world, strategy={"kind": "recreate"})
        refused = await moved(world, "Failed")

        with pytest.raises(NotRetryable, match="before it had a release"):
            await retry(refused["deploymentId"], DeploymentReason(), world.ctx, world.app)

    run_virtual(main())


async def confirmed(world: Driven, revision: int = 3) -> list[int]:
    """Ask whether nothing is on its way by an earlier binding; return what was confirmed so far."""
    asked = ConfirmCutOver.model_validate(
        {"environmentId": TEST, "tenantBindingId": BINDING, "bindingRevision": revision}
    )
    await confirm_cut_over(asked, world.ctx, world.app)
    return [each["payload"]["confirmedRevision"] for each in world.bench.sent.bodies("AdvanceMove")]


def test_what_began_by_the_binding_of_before_keeps_the_move_from_its_last_step() -> None:
    async def main() -> Any:
        world, _ = await _beginning()
        meanwhile = await confirmed(world)
        await world.settle()
        return meanwhile, await confirmed(world)

    assert run_virtual(main()) == ([], [3])


def test_what_began_by_the_moved_binding_does_not() -> None:
    async def main() -> Any:
        world = driven()
        await prepared(world)
        await relocate(world, 3)
        world.begin()
        await world.app.service.clock.sleep(1)
        return await confirmed(world)

    assert run_virtual(main()) == [3]


def test_before_the_event_of_the_moved_binding_nothing_is_confirmed() -> None:
    async def main() -> None:
        world = driven()
        await prepared(world)

        with pytest.raises(Unavailable, match="revision 4"):
            await confirmed(world, 4)

    run_virtual(main())


def test_what_is_in_force_by_the_moved_binding_waits_for_no_release_that_began_after_it() -> None:
    async def main() -> Any:
        world = driven()
        await prepared(world)
        await moved(world, "Completed")
        await world.deploy(await world.component("two", version="2.0"))
        world.begin()
        await world.app.service.clock.sleep(1)
        await relocate(world, 3)
        return [each["payload"]["kind"] for each in world.bench.sent.bodies(CANCELLED)]

    assert run_virtual(main()) == ["relocation"]
