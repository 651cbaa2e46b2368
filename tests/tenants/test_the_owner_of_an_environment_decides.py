"""Who owns an environment suspends and unbinds its guests; a suspended tenant stays suspended."""

from typing import Any

import pytest

from function_apps.environments.errors import TenantsBound
from shared.kernel.errors import Denied, NotFound, Refused
from shared.kernel.ids import tenant_binding_id
from tests.kit.service import TENANT
from tests.kit.told import KEY
from tests.kit.virtual_time import run_virtual
from tests.tenants.bound import GLOBEX, Tenants, tenants, told

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


@pytest.mark.parametrize("what", ["suspend", "resume", "unbind"])
def test_without_admin_the_owner_changes_no_guest(what: str) -> None:
    async def main() -> Refused:
        on = await with_guest()
        asked = {**BY_OWNER, "permissions": WRITER}
        work = on.unbind(GLOBEX, **asked) if what == "unbind" else on.change(what, **asked)
        return await refusal(work)

    assert isinstance(run_virtual(main()), Denied)


@pytest.mark.parametrize("what", ["suspend", "resume", "unbind"])
def test_a_third_tenants_administrator_finds_no_guest(what: str) -> None:
    async def main() -> Refused:
        on = await with_guest()
        asked = {**BY_OWNER, "tenant": "initech"}
        work = on.unbind(GLOBEX, **asked) if what == "unbind" else on.change(what, **asked)
        return await refusal(work)

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


def test_nor_does_it_by_leaving_and_coming_back() -> None:
    async def main() -> Any:
        on = await with_guest()
        await on.change("suspend", **BY_OWNER)
        left = await on.unbind(GLOBEX, **AS_GUEST)
        gone = {"bindingId": GUEST, "revision": left["revision"], "state": "Removed"}
        await on.hear(told(3, isolation=gone), tenant=GLOBEX)
        refused = await refusal(on.bind(tenant=GLOBEX, ownerTenantId=TENANT))
        return refused, await on.bind(tenantId=GLOBEX)

    refused, again = run_virtual(main())

    assert refused.code == "SuspendedByAnother"
    assert again["status"] == "Bound"


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
