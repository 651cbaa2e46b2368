"""A bound tenant is suspended and resumed, and unbound with its name as confirmation."""

from typing import Any

import pytest

from function_apps.tenants.model.binding import TRANSITIONS, State
from shared.contracts.tenants import UnbindTenant
from shared.kernel.errors import Conflict, PreconditionRequired, Refused
from shared.kernel.ids import tenant_binding_id
from shared.web.request import Answer
from tests.kit.service import TENANT
from tests.kit.told import KEY
from tests.kit.virtual_time import run_virtual
from tests.tenants.bound import BINDING, GLOBEX, ONE, Tenants, tenants, told


async def _refusal(work: Any) -> Refused:
    with pytest.raises(Refused) as refused:
        await work
    return refused.value


async def _removed(on: Tenants, number: int) -> Any:
    """Tell that nothing is left of what was asked for last."""
    revision = (await on.binding())["revision"]
    await on.hear(told(number, isolation={"revision": revision, "state": "Removed"}))
    return await on.binding()


def test_every_state_has_its_row() -> None:
    assert set(TRANSITIONS.rows) == set(State)


def test_a_suspension_that_is_asked_for_again_says_that_it_is_a_repeat() -> None:
    async def main() -> list[Answer]:
        on = await tenants()
        await on.enforced()
        path, body = f"{ONE}/suspend", {"reason": "because"}
        return [await on.call("POST", path, body, tenantBindingId=BINDING) for _ in range(2)]

    first, again = run_virtual(main())

    assert "Repeatability-Result" not in first.headers
    assert (again.status, again.headers["Repeatability-Result"]) == (200, "accepted")
    assert again.headers["Location"] == first.headers["Location"]


def test_it_is_suspended_and_resumed_and_everybody_is_told() -> None:
    async def main() -> Any:
        on = await tenants()
        await on.enforced()
        suspended, repeated = await on.change("suspend"), await on.change("suspend")
        return suspended, repeated, await on.change("resume"), on.told()

    suspended, repeated, resumed, events = run_virtual(main())

    assert suspended == repeated
    assert (suspended["status"], suspended["reason"]["message"]) == ("Suspended", "because")
    assert (resumed["status"], resumed["reason"]) == ("Enforced", None)
    assert events == [("Bound", 1), ("Enforced", 2), ("Suspended", 3), ("Enforced", 4)]


def test_what_is_not_enforced_is_not_suspended() -> None:
    async def main() -> Refused:
        on = await tenants()
        await on.bind()
        return await _refusal(on.change("suspend"))

    refused = run_virtual(main())

    assert (refused.code, isinstance(refused, Conflict)) == ("TransitionRefused", True)


def test_news_of_the_environment_leave_a_suspended_tenant_suspended() -> None:
    async def main() -> Any:
        on = await tenants()
        await on.enforced()
        await on.change("suspend")
        await on.hear(told(3, isolation={"revision": 1, "state": "Applied"}))
        return await on.binding()

    assert run_virtual(main())["status"] == "Suspended"


def test_it_is_unbound_when_nothing_of_it_is_left() -> None:
    async def main() -> Any:
        on = await tenants()
        await on.enforced()
        leaving, repeated = await on.unbind(), await on.unbind()
        gone = await _removed(on, 3)
        return leaving, repeated, gone, await on.unbind(), on.told()

    leaving, repeated, gone, late, events = run_virtual(main())

    assert leaving == repeated
    assert leaving["status"] == "Unbinding"
    assert gone == late
    assert (gone["status"], gone["reason"]["message"]) == ("Unbound", "left")
    assert events == [("Bound", 1), ("Enforced", 2), ("Unbinding", 3), ("Unbound", 4)]


def test_a_removal_that_failed_says_why_and_is_asked_for_again() -> None:
    async def main() -> Any:
        on = await tenants()
        await on.enforced()
        asked = await on.unbind()
        reason = {"code": "Unavailable", "message": "the cluster is away"}
        failed = {"revision": asked["revision"], "state": "Failed", "reason": reason}
        await on.hear(told(3, isolation=failed))
        seen = await on.binding()
        again = await on.unbind()
        return seen, again, await _removed(on, 4)

    seen, again, gone = run_virtual(main())

    assert (seen["status"], seen["reason"]["code"]) == ("Unbinding", "Unavailable")
    assert again["revision"] > seen["revision"]
    assert gone["status"] == "Unbound"


@pytest.mark.parametrize("confirm", ["globex", None])
def test_without_its_name_nothing_is_unbound(confirm: str | None) -> None:
    async def main() -> Any:
        on = await tenants()
        await on.enforced()
        return await _refusal(on.unbind(confirm)), await on.binding()

    refused, binding = run_virtual(main())

    assert isinstance(refused, PreconditionRequired)
    assert binding["status"] == "Enforced"


def test_the_end_of_the_environment_ends_the_binding() -> None:
    async def main() -> Any:
        on = await tenants()
        await on.enforced()
        await on.hear(told(3, gone=True, status="Decommissioned"))
        return await on.binding(), on.told()

    binding, events = run_virtual(main())

    assert binding["status"] == "Unbound"
    assert events[-1] == ("Unbound", 3)


def test_why_it_was_suspended_is_no_reason_of_its_end() -> None:
    async def main() -> Any:
        on = await tenants()
        await on.enforced()
        await on.change("suspend")
        await on.hear(told(3, gone=True))
        return await on.binding()

    ended = run_virtual(main())

    assert (ended["status"], ended["reason"]) == ("Unbound", None)


def test_the_confirmation_says_that_ones_own_environment_loses_no_workload() -> None:
    async def main() -> Any:
        on = await tenants(admits=[GLOBEX])
        await on.bind(tenantId=GLOBEX)
        await on.enforced()
        guest = {"binding": tenant_binding_id(KEY, GLOBEX), "tenantId": GLOBEX}
        return await _refusal(on.unbind(None)), await _refusal(on.unbind(None, **guest))

    own, guest = run_virtual(main())

    assert "leaves the tenant's workloads" in own.message
    assert "takes the tenant's workloads away" in guest.message


def test_targets_that_changed_are_told_of_with_the_binding() -> None:
    async def main() -> Any:
        on = await tenants()
        await on.enforced()
        await on.hear(told(3, able=("namespaces",)))
        await on.hear(told(4, able=("namespaces",)))
        return on.told(), on.bench.sent.bodies("RuntimeTenantBound")[-1]["payload"]

    events, last = run_virtual(main())

    assert events == [("Bound", 1), ("Enforced", 2), ("Enforced", 3)]
    assert last["computeTargets"][0]["capabilities"] == ["namespaces"]


def test_it_is_unbound_by_message_too() -> None:
    async def main() -> Any:
        on = await tenants()
        await on.enforced()
        await on.hear(UnbindTenant(binding_id=BINDING, confirm=TENANT))
        return await on.binding()

    assert run_virtual(main())["status"] == "Unbinding"
