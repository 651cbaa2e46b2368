"""The steps of a move: what each waits for, what takes it back, and what is never done twice."""

from collections.abc import Mapping
from typing import Any

import pytest

from function_apps.tenants.errors import IsolationNotSupported, MoveUnderWay
from function_apps.tenants.use_cases.advance_move import advance_move
from function_apps.tenants.use_cases.prove_isolation import prove_isolation
from shared.contracts.deployments import RuntimeDeploymentCancelled as Cancelled
from shared.contracts.tenants import AdvanceMove
from shared.kernel.errors import Unavailable
from shared.kernel.fence import Fence
from shared.kernel.transitions import TransitionRefused
from shared.surfaces.boundaries import BoundarySpec
from tests.kit.memory_surface import MemorySurface
from tests.kit.service import TENANT
from tests.kit.told import ENVIRONMENT
from tests.kit.virtual_time import run_virtual
from tests.tenants.bound import BINDING, tenants, told
from tests.tenants.moved import advanced, asked_for, asks, cut_over, isolated, relocated, runs


def _phase(binding: Mapping[str, Any]) -> tuple[str, str | None, str]:
    return binding["status"], binding["phase"], binding["isolationModel"]


def test_a_move_goes_through_its_steps_and_ends_in_the_new_model() -> None:
    async def main() -> None:
        made = await cut_over("module-a", "module-b")
        await made.hear(relocated(made, "module-a"))
        half = await made.binding()
        await made.hear(relocated(made, "module-b", Cancelled, code="NothingToRollOut"))
        verifying = await made.binding()
        cleaning = await advanced(made)
        await isolated(made, 4)
        done = await made.binding()

        assert asked_for(made) == ["module-a", "module-b"]
        assert (half["phase"], half["moved"]) == ("CutOver", ["module-a"])
        assert (verifying["phase"], verifying["moved"]) == ("Verifying", ["module-a", "module-b"])
        assert _phase(cleaning) == ("Moving", "Cleaning", "pool")
        assert _phase(done) == ("Enforced", None, "pool")
        assert done["reason"] is None

    run_virtual(main())


def test_the_timer_takes_a_step_whose_message_was_lost() -> None:
    async def main() -> None:
        made = await cut_over("module-a", is_asked=False)
        await made.app.service.clock.sleep(60)

        await prove_isolation(made.app)

        assert asked_for(made) == ["module-a"]
        assert (await made.binding())["phase"] == "CutOver"

    run_virtual(main())


def test_a_module_that_came_meanwhile_is_cut_over_too() -> None:
    async def main() -> None:
        made = await cut_over("module-a")
        await runs(made, "module-late")
        await made.hear(relocated(made, "module-a"))

        again = await advanced(made)

        assert again["phase"] == "CutOver"
        assert asked_for(made) == ["module-a", "module-late"]

    run_virtual(main())


def test_each_step_may_be_taken_twice() -> None:
    async def main() -> None:
        made = await cut_over("module-a")
        first = await made.binding()
        assert await advanced(made) == first
        await made.hear(relocated(made, "module-a"))
        moved = await made.binding()
        await made.hear(relocated(made, "module-a"))

        assert await made.binding() == moved
        assert asked_for(made) == ["module-a"]

    run_virtual(main())


def test_the_end_of_a_relocation_of_an_earlier_move_changes_nothing() -> None:
    async def main() -> None:
        made = await cut_over("module-a")
        before = await made.binding()

        await made.hear(relocated(made, "module-a", Cancelled, code="CancelledByCaller", back=1))

        assert await made.binding() == before

    run_virtual(main())


def test_a_relocation_that_was_cancelled_takes_the_move_back_and_asks_for_the_old_model() -> None:
    async def main() -> None:
        made = await cut_over("module-a")

        await made.hear(relocated(made, "module-a", Cancelled, code="CancelledByCaller"))
        back = await made.binding()
        await isolated(made, 4)

        assert _phase(back) == ("Enforced", None, "shared")
        assert back["reason"]["code"] == "MoveTakenBack"
        event = made.bench.sent.bodies("RuntimeTenantBound")[-1]["payload"]
        assert event["askedRevision"] == event["revision"] == back["revision"]
        assert await made.binding() == back

    run_virtual(main())


def test_without_modules_nothing_is_started_again() -> None:
    async def main() -> None:
        made = await cut_over()

        assert asked_for(made) == []
        assert _phase(await made.binding()) == ("Moving", "Cleaning", "pool")

    run_virtual(main())


def test_a_boundary_that_somebody_opened_keeps_the_move_from_its_last_step() -> None:
    async def main() -> None:
        made = await cut_over("module-a")
        await made.hear(relocated(made, "module-a"))
        surface = MemorySurface(made.cluster)
        await surface.delete_boundary(ENVIRONMENT, TENANT, Fence(2, "op", "x"))

        stands = await advanced(made)
        again = await advanced(made)
        await surface.ensure_boundary(BoundarySpec(ENVIRONMENT, TENANT), Fence(3, "op", "x"))

        assert _phase(stands) == ("Moving", "Verifying", "pool")
        assert stands["reason"]["code"] == "NotKeptApart"
        assert again == stands
        assert (await advanced(made))["phase"] == "Cleaning"

    run_virtual(main())


def test_its_last_step_waits_until_nothing_is_on_its_way_by_the_binding_of_before() -> None:
    async def main() -> None:
        made = await cut_over("module-a")
        await made.hear(relocated(made, "module-a"))

        first = await advanced(made, is_confirmed=False)
        await advanced(made, is_confirmed=False)
        of_before = AdvanceMove(binding_id=BINDING, confirmed_revision=1)
        await made.hear(of_before)

        assert _phase(first) == ("Moving", "Verifying", "pool")
        assert await made.binding() == first
        assert (await advanced(made))["phase"] == "Cleaning"

    run_virtual(main())


def test_a_surface_that_does_not_answer_moves_nothing() -> None:
    async def main() -> None:
        made = await tenants()
        await made.enforced()
        await asks(made, "pool")
        await isolated(made, 3)
        before = await made.binding()

        with pytest.raises(Unavailable, match="no LocalProcess is configured"):
            await advance_move(AdvanceMove(binding_id=BINDING), made.bench.ctx(), made.app)

        assert await made.binding() == before

    run_virtual(main())


def test_isolation_that_cannot_be_made_takes_the_move_back_and_its_removal_is_tried_again() -> None:
    async def main() -> None:
        why = {"code": "SiloNotAlone", "message": "it has others"}
        refused = await tenants(reads_boundaries=True)
        await refused.enforced()
        await asks(refused, "pool")
        await isolated(refused, 3, "Failed", reason=why)
        last = await cut_over()
        await isolated(last, 4, "Failed", reason=why)
        failed = await last.binding()
        again = await advanced(last)

        assert _phase(await refused.binding()) == ("Enforced", None, "shared")
        assert (failed["phase"], failed["reason"]["code"]) == ("Cleaning", "SiloNotAlone")
        assert (again["phase"], again["reason"]) == ("Cleaning", None)
        events = last.bench.sent.bodies("RuntimeTenantBound")
        assert events[-1]["payload"]["askedRevision"] == again["revision"]

    run_virtual(main())


def test_its_caller_takes_a_move_back_until_the_last_step() -> None:
    async def main() -> None:
        made = await cut_over("module-a")
        with pytest.raises(MoveUnderWay, match="from shared to pool, and is CutOver"):
            await asks(made, "silo")
        back = await asks(made, "shared", reason="not today")
        last = await cut_over()

        assert _phase(back) == ("Enforced", None, "shared")
        assert "not today" in back["reason"]["message"]
        with pytest.raises(MoveUnderWay, match="Cleaning"):
            await asks(last, "shared")
        assert _phase(await asks(last, "pool"))[1] == "Cleaning"

    run_virtual(main())


def test_a_message_of_a_move_that_was_taken_back_begins_none() -> None:
    async def main() -> None:
        made = await cut_over("module-a")
        back = await asks(made, "shared")

        await made.hear(AdvanceMove(binding_id=BINDING))
        await made.hear(relocated(made, "module-a"))

        assert await made.binding() == back

    run_virtual(main())


def test_what_cannot_be_isolated_so_is_refused_before_anything_is_begun() -> None:
    async def main() -> None:
        made = await tenants()
        asked = await made.bind()
        entry = {"revision": asked["revision"], "state": "Applied"}
        await made.hear(told(2, isolation=entry, able=()))
        before = await made.binding()

        with pytest.raises(IsolationNotSupported, match="by compute, which pool needs"):
            await asks(made, "pool")

        assert await made.binding() == before

    run_virtual(main())


def test_only_an_enforced_binding_is_moved() -> None:
    async def main() -> None:
        made = await tenants()
        await made.enforced()
        await made.change("suspend")
        with pytest.raises(TransitionRefused):
            await asks(made, "pool")
        await made.change("resume")
        same = await asks(made, "shared")

        assert same["status"] == "Enforced"

    run_virtual(main())


def test_who_suspends_a_tenant_that_is_moved_takes_the_move_back() -> None:
    async def main() -> None:
        made = await cut_over("module-a")
        await made.change("suspend")
        suspended = await made.binding()
        await made.hear(relocated(made, "module-a"))
        (*_, moving, told_last) = made.bench.sent.bodies("RuntimeTenantBound")
        (asked,) = made.bench.sent.bodies("RelocateWorkload")

        assert _phase(suspended) == ("Suspended", None, "shared")
        assert await made.binding() == suspended
        assert told_last["payload"]["askedRevision"] > asked["payload"]["bindingRevision"]
        assert moving["payload"]["askedRevision"] < asked["payload"]["bindingRevision"]

    run_virtual(main())


DROPPED = "its move to pool is dropped"


def test_a_suspension_that_drops_a_move_says_so_and_so_does_the_binding_once_resumed() -> None:
    async def main() -> None:
        made = await cut_over("module-a")
        await made.change("suspend")
        suspended = await made.binding()
        await made.change("resume")
        resumed = await made.binding()
        await made.change("suspend")
        await made.change("resume")

        assert suspended["reason"]["message"] == f"because; {DROPPED}"
        assert resumed["reason"]["code"] == "MoveTakenBack"
        assert resumed["reason"]["message"] == f"{DROPPED}: it was suspended: because"
        assert (await made.binding())["reason"] == resumed["reason"]
        suspends = [each for each in await made.trail(TENANT) if each.action == "SuspendTenant"]
        assert [each.reason for each in suspends] == [f"because; {DROPPED}", "because"]

    run_virtual(main())


def test_who_takes_a_move_back_has_that_in_the_audit_trail() -> None:
    async def main() -> None:
        made = await cut_over("module-a")
        await asks(made, "shared", reason="not now")
        (*_, begun, back) = [each.reason for each in await made.trail(TENANT)]

        assert (begun, back) == ("", f"not now; {DROPPED}")

    run_virtual(main())


def test_a_relocation_that_takes_a_move_back_says_why_in_the_audit_trail() -> None:
    async def main() -> None:
        made = await cut_over("module-a")
        await made.hear(relocated(made, "module-a", Cancelled, code="Broken"))
        records = await made.records(TENANT)

        (reason,) = [each.reason for each in records if each.action == "RecordRelocation"]
        assert "module-a, Broken" in reason

    run_virtual(main())


def test_a_suspension_in_the_last_step_keeps_the_model_that_has_no_way_back() -> None:
    async def main() -> None:
        made = await cut_over()
        assert (await made.binding())["phase"] == "Cleaning"

        await made.change("suspend")
        suspended = await made.binding()
        await isolated(made, 4)
        await made.change("resume")

        assert _phase(suspended) == ("Suspended", None, "pool")
        assert _phase(await made.binding()) == ("Enforced", None, "pool")

    run_virtual(main())


def test_a_tenant_that_is_moved_is_unbound_when_that_is_asked() -> None:
    async def main() -> None:
        made = await cut_over("module-a")
        await made.unbind()

        unbinding = await made.binding()
        assert _phase(unbinding) == ("Unbinding", None, "shared")
        assert unbinding["reason"]["message"] == f"left; {DROPPED}"

    run_virtual(main())
