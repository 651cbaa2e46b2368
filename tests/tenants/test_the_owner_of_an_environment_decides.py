"""Who owns an environment suspends and unbinds its guests; a suspended tenant stays suspended."""

from typing import Any

import pytest

from function_apps.environments.errors import TenantsBound
from shared.kernel.errors import Denied, NotFound, Refused
from shared.kernel.ids import tenant_binding_id
from tests.kit.service import TENANT
from tests.kit.told import KEY
from tests.kit.virtual_time import run_virtual
from tests.secret_bindings.bound import shown
from tests.tenants.bound import GLOBEX, ONE, Tenants, tenants, told

GUEST = tenant_binding_id(KEY, GLOBEX)
AS_GUEST = {"binding": GUEST, "tenant": GLOBEX}
BY_OWNER = {"binding": GUEST, "tenantId": GLOBEX}
WRITER = frozenset({"runtime.tenants.write"})


async def with_guest() -> Tenants:
    """Return the service with a tenant whose isolation in an environment of `acme` is in force."""
    on = await tenants(admits=[GLOBEX])
    await on.bind(tenantId=GLOBEX)
    entry = {"bindingId": GUEST, "revision": 1, "state": "Applied"}
    await on.hear(told(2, isolation=entry), tenant=GLOBEX)
    return on


async def refusal(work: Any) -> Refused:
    with pytest.raises(Refused) as refused:
        await work
    return refused.value


async def moved(on: Tenants, **asked: Any) -> Any:
    """Ask for another model of the guest."""
    as_who = {name: asked.pop(name) for name in ("tenant", "permissions") if name in asked}
    path = {"tenantBindingId": asked.pop("binding")}
    body = {"isolationModel": "pool", "reason": "grown", **asked}
    return shown(await on.call("POST", f"{ONE}/move", body, **as_who, **path))


async def changed(on: Tenants, what: str, **asked: Any) -> Any:
    """Suspend, resume, move or unbind the guest."""
    if what == "unbind":
        return await on.unbind(GLOBEX, **asked)
    return await (moved(on, **asked) if what == "move" else on.change(what, **asked))


def test_the_owner_suspends_resumes_and_unbinds_a_guest() -> None:
    async def main() -> Any:
        on = await with_guest()
        suspended = await on.change("suspend", **BY_OWNER)
        resumed = await on.change("resume", **BY_OWNER)
        return suspended, resumed, await on.unbind(GLOBEX, **BY_OWNER)

    suspended, resumed, leaving = run_virtual(main())

    assert (suspended["status"], suspended["tenantId"]) == ("Suspended", GLOBEX)
    assert resumed["status"] == "Enforced"
    assert leaving["status"] == "Unbinding"


def test_the_owner_moves_a_guest_and_the_guest_takes_that_back_or_the_owner_does() -> None:
    async def main() -> Any:
        on = await with_guest()
        moving = await moved(on, **BY_OWNER)
        repeated = await moved(on, **BY_OWNER)
        by_guest = await moved(on, isolationModel="shared", **AS_GUEST)
        await moved(on, **AS_GUEST)
        by_owner = await moved(on, isolationModel="shared", **BY_OWNER)
        return moving, repeated, by_guest, by_owner, await on.trail(TENANT)

    moving, repeated, by_guest, by_owner, trail = run_virtual(main())

    assert moving == repeated
    assert (moving["status"], moving["isolationModel"]) == ("Moving", "pool")
    assert (moving["tenantId"], moving["reason"]["message"]) == (GLOBEX, "grown")
    for back in (by_guest, by_owner):
        assert (back["status"], back["reason"]["code"]) == ("Enforced", "MoveTakenBackByCaller")
    assert [each.action for each in trail] == ["BindTenant", "MoveTenant", "MoveTenant"]


@pytest.mark.parametrize("who", [BY_OWNER, AS_GUEST], ids=["by-the-owner", "by-itself"])
def test_a_guest_that_is_admitted_no_longer_is_moved_still(who: dict[str, Any]) -> None:
    async def main() -> Any:
        on = await with_guest()
        await on.hear(told(3, admits=[]))
        return await moved(on, **who)

    assert run_virtual(main())["status"] == "Moving"


def test_the_step_of_a_move_that_the_owner_began_is_the_guests() -> None:
    async def main() -> Any:
        on = await with_guest()
        moving = await moved(on, **BY_OWNER)
        entry = {"bindingId": GUEST, "revision": moving["revision"], "state": "Applied"}
        await on.hear(told(3, isolation=entry), tenant=GLOBEX)
        return on.bench.sent.bodies("AdvanceMove")

    (sent,) = run_virtual(main())

    assert sent["tenantId"] == GLOBEX


def test_an_owner_moves_no_guest_to_a_silo() -> None:
    async def main() -> Refused:
        on = await with_guest()
        return await refusal(moved(on, isolationModel="silo", **BY_OWNER))

    assert run_virtual(main()).code == "IsolationNotSupported"


@pytest.mark.parametrize("what", ["suspend", "resume", "move", "unbind"])
def test_without_admin_the_owner_changes_no_guest(what: str) -> None:
    async def main() -> Refused:
        on = await with_guest()
        asked = {**BY_OWNER, "permissions": WRITER}
        return await refusal(changed(on, what, **asked))

    assert isinstance(run_virtual(main()), Denied)


@pytest.mark.parametrize("what", ["suspend", "resume", "move", "unbind"])
def test_a_third_tenants_administrator_finds_no_guest(what: str) -> None:
    async def main() -> Refused:
        on = await with_guest()
        asked = {**BY_OWNER, "tenant": "initech"}
        return await refusal(changed(on, what, **asked))

    refused = run_virtual(main())

    assert isinstance(refused, NotFound)
    assert TENANT not in refused.message


@pytest.mark.parametrize("named", [{}, {"ownerTenantId": GLOBEX}], ids=["nobody", "itself"])
@pytest.mark.parametrize("bound", [TENANT, "initech"], ids=["the-owner", "a-third-tenant"])
def test_a_guests_administrator_binds_nobody_else_and_learns_nothing(
    named: dict[str, str], bound: str
) -> None:
    async def main() -> Any:
        on = await with_guest()
        await on.bind(quota={"instances": 7})
        before = await on.binding(), on.told()
        asked = {"tenantId": bound, "quota": {"instances": 1}, **named}
        refused = await refusal(on.bind(tenant=GLOBEX, **asked))
        return refused, before, (await on.binding(), on.told())

    refused, before, after = run_virtual(main())

    assert isinstance(refused, NotFound)
    assert refused.code == "EnvironmentNotAdmitting"
    assert "7" not in refused.message
    assert before == after


def test_a_guest_that_its_owner_suspended_does_not_resume_itself() -> None:
    async def main() -> Any:
        on = await with_guest()
        await on.change("suspend", **BY_OWNER)
        refused = await refusal(on.change("resume", **AS_GUEST))
        return refused, await on.change("resume", **BY_OWNER)

    refused, resumed = run_virtual(main())

    assert isinstance(refused, Denied)
    assert refused.code == "SuspendedByAnother"
    assert resumed["status"] == "Enforced"


async def left_while_suspended() -> Tenants:
    """Return the service with a guest that its owner suspended, and that was unbound then."""
    on = await with_guest()
    await on.change("suspend", **BY_OWNER)
    await on.unbind(GLOBEX, **AS_GUEST)
    # Once nothing of it is left, the environment is told to be gone to the guest.
    await on.hear(told(3, gone=True), tenant=GLOBEX)
    return on


def test_nor_does_it_by_leaving_and_coming_back() -> None:
    async def main() -> Any:
        on = await left_while_suspended()
        refused = await refusal(on.bind(tenant=GLOBEX, ownerTenantId=TENANT))
        return refused, await on.bind(tenantId=GLOBEX)

    refused, again = run_virtual(main())

    assert refused.code == "SuspendedByAnother"
    assert again["status"] == "Bound"


@pytest.mark.parametrize(("generation", "is_bound"), [(1, False), (2, True)])
def test_a_suspension_ends_with_its_environment_also_of_a_guest_that_has_left(
    generation: int, *, is_bound: bool
) -> None:
    async def main() -> Any:
        on = await left_while_suspended()
        if generation > 1:
            await on.hear(told(4, gone=True))
        await on.hear(told(5, admits=[GLOBEX], generation=generation))
        asked = on.bind(tenant=GLOBEX, ownerTenantId=TENANT)
        if not is_bound:
            return (await refusal(asked)).code, None
        bound = await asked
        return bound["status"], bound["suspendedBy"]

    expected = ("Bound", None) if is_bound else ("SuspendedByAnother", None)
    assert run_virtual(main()) == expected


def test_who_suspended_it_is_shown_and_told_until_it_is_resumed() -> None:
    async def main() -> Any:
        on = await with_guest()
        answers = [
            await on.change("suspend", **BY_OWNER),
            await on.change("resume", **BY_OWNER),
            await on.change("suspend", **AS_GUEST),
            await on.unbind(GLOBEX, **AS_GUEST),
        ]
        events = on.bench.sent.bodies("RuntimeTenantBound")[-len(answers) :]
        shown_by = [each["suspendedBy"] for each in answers]
        return shown_by, [each["payload"]["suspendedBy"] for each in events]

    shown_by, told_by = run_virtual(main())

    by_owner, itself = ({"tenantId": each, "actor": "user:ann"} for each in (TENANT, GLOBEX))
    assert shown_by == told_by == [by_owner, None, itself, itself]


def test_nor_does_it_by_suspending_itself_first() -> None:
    async def main() -> Any:
        on = await with_guest()
        await on.change("suspend", reason="of its own", **AS_GUEST)
        suspended = await on.change("suspend", reason="the owner's", **BY_OWNER)
        refused = await refusal(on.change("resume", **AS_GUEST))
        repeated = await on.change("suspend", reason="again", **BY_OWNER)
        by_guest = await on.change("suspend", reason="of its own again", **AS_GUEST)
        return suspended, refused, repeated, by_guest

    suspended, refused, repeated, by_guest = run_virtual(main())

    assert suspended["status"] == "Suspended"
    assert suspended["reason"]["message"] == "the owner's"
    assert refused.code == "SuspendedByAnother"
    assert repeated == by_guest == suspended


def test_what_the_owner_does_to_a_guest_is_in_both_audit_trails() -> None:
    async def main() -> Any:
        on = await with_guest()
        await on.change("suspend", **BY_OWNER)
        await on.change("resume", **BY_OWNER)
        await on.unbind(GLOBEX, **BY_OWNER)
        return await on.trail(TENANT), await on.trail(GLOBEX)

    owners, guests = run_virtual(main())

    actions = ["BindTenant", "SuspendTenant", "ResumeTenant", "UnbindTenant"]
    assert [each.action for each in owners] == [each.action for each in guests] == actions
    assert {(each.actor, each.actor_tenant, each.target_tenant) for each in guests} == {
        ("user:ann", TENANT, "")
    }
    assert {(each.actor, each.actor_tenant, each.target_tenant) for each in owners} == {
        ("user:ann", "", GLOBEX)
    }
    assert {each.target for each in owners} == {each.target for each in guests} == {GUEST}
    assert [each.reason for each in owners] == [each.reason for each in guests]
    assert all(each.events for each in guests)
    assert not any(each.events for each in owners), "the guest's events are told to the guest"


def test_what_a_tenant_does_itself_is_in_its_own_trail_only() -> None:
    async def main() -> Any:
        on = await with_guest()
        before = await on.trail(TENANT)
        await on.change("suspend", **AS_GUEST)
        return before, await on.trail(TENANT), (await on.trail(GLOBEX))[-1]

    before, after, own = run_virtual(main())

    assert before == after
    assert (own.action, own.actor_tenant, own.target_tenant) == ("SuspendTenant", "", "")


def test_a_key_of_one_tenant_answers_no_other() -> None:
    """They stand in the partition of the guest, whoever sent them."""

    async def main() -> Any:
        on = await with_guest()
        keyed = {"key": "1", "tenantId": GLOBEX}
        by_guest = await on.change("suspend", **AS_GUEST, **keyed)
        await on.change("suspend", **BY_OWNER, key="1")
        by_third = await refusal(on.change("suspend", binding=GUEST, tenant="initech", **keyed))
        return by_guest, by_third, await refusal(on.change("resume", **AS_GUEST))

    by_guest, by_third, resumed = run_virtual(main())

    assert by_guest["status"] == "Suspended"
    assert isinstance(by_third, NotFound)
    assert resumed.code == "SuspendedByAnother"


def test_an_administrators_suspension_outlasts_that_of_who_suspended_before() -> None:
    async def main() -> Any:
        on = await tenants()
        await on.enforced()
        by_ann = {"permissions": WRITER, "caller": "user:ann"}
        await on.change("suspend", **by_ann)
        await on.change("suspend", caller="user:cid")
        return await refusal(on.change("resume", **by_ann))

    assert run_virtual(main()).code == "SuspendedByAnother"


def test_who_suspended_resumes_and_so_does_an_administrator_and_nobody_else() -> None:
    async def main() -> Any:
        on = await tenants()
        await on.enforced()
        by_ann = {"permissions": WRITER, "caller": "user:ann"}
        await on.change("suspend", **by_ann)
        other = await refusal(on.change("resume", permissions=WRITER, caller="user:bob"))
        itself = await on.change("resume", **by_ann)
        await on.change("suspend", **by_ann)
        return other, itself, await on.change("resume", caller="user:cid")

    other, itself, by_admin = run_virtual(main())

    assert other.code == "SuspendedByAnother"
    assert itself["status"] == by_admin["status"] == "Enforced"


def test_what_keeps_an_environment_names_the_bindings_and_who_may_end_them() -> None:
    refused = TenantsBound("env-1", [f"tb-{number}" for number in range(12)])

    assert "tb-0, tb-1" in refused.message
    assert "and 2 more" in refused.message
    assert "runtime.admin" in refused.message
