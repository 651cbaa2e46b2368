"""Who owns an environment sees every binding to it; nobody else sees more than its own."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from function_apps.tenants.model.environment import REMEMBERED_MAX
from function_apps.tenants.repository import ENVIRONMENTS
from shared.kernel.errors import Invalid, NotFound, Refused
from shared.kernel.ids import TenantId, tenant_binding_id
from tests.kit.service import TENANT
from tests.kit.told import ENVIRONMENT, KEY
from tests.kit.virtual_time import run_virtual
from tests.secret_bindings.bound import shown
from tests.tenants.bound import GLOBEX, ONE, ROOT, Tenants, tenants, told

INITECH = TenantId("initech")
OF_GLOBEX = tenant_binding_id(KEY, GLOBEX)
READER = frozenset({"runtime.tenants.read"})


async def with_guests(*guests: TenantId) -> Tenants:
    """Return the service with *guests* in an environment of `acme`."""
    on = await tenants(admits=guests)
    for guest in guests:
        await on.bind(tenantId=guest)
    return on


async def listed(
    on: Tenants, query: Mapping[str, str] | None = None, *, tenant: TenantId = TENANT
) -> Mapping[str, Any]:
    asked = {"environmentId": ENVIRONMENT, **(query or {})}
    return shown(await on.call("GET", ROOT, tenant=tenant, permissions=READER, query=asked))


async def one(
    on: Tenants, part: str = "", *, tenant: TenantId = TENANT, named: str | None = GLOBEX
) -> Mapping[str, Any]:
    """Return the guest's binding, or a part of it, as *tenant* reads it."""
    query = {} if named is None else {"tenantId": named}
    path = f"{ONE}{part}"
    return shown(
        await on.call(
            "GET", path, tenant=tenant, permissions=READER, query=query, tenantBindingId=OF_GLOBEX
        )
    )


def names(page: Mapping[str, Any]) -> list[str]:
    return [each["tenantId"] for each in page["value"]]


def test_the_owner_lists_its_own_binding_and_those_of_its_guests() -> None:
    async def main() -> Any:
        on = await with_guests(GLOBEX, INITECH)
        await on.bind()
        return await listed(on)

    assert names(run_virtual(main())) == [TENANT, GLOBEX, INITECH]


def test_a_guest_lists_its_own_only() -> None:
    async def main() -> Any:
        on = await with_guests(GLOBEX, INITECH)
        await on.hear(told(1), tenant=GLOBEX)
        return await listed(on, tenant=GLOBEX)

    assert names(run_virtual(main())) == [GLOBEX]


def test_a_stranger_lists_nothing() -> None:
    async def main() -> Any:
        return await listed(await with_guests(GLOBEX), tenant=INITECH)

    assert names(run_virtual(main())) == []


def test_a_guest_that_is_admitted_no_longer_is_listed_still() -> None:
    async def main() -> Any:
        on = await with_guests(GLOBEX, INITECH)
        await on.hear(told(2, admits=[INITECH]))
        await on.hear(told(3, admits=[]))
        removed = names(await listed(on))
        await on.hear(told(4, gone=True))
        return removed, names(await listed(on))

    removed, gone = run_virtual(main())

    assert removed == gone == [GLOBEX, INITECH]


def test_of_those_that_are_admitted_no_longer_the_last_are_known() -> None:
    async def main() -> Any:
        on = await with_guests(GLOBEX)
        for number in range(6):
            many = [f"t-{number}-{each}" for each in range(200)]
            await on.hear(told(2 + number, admits=many))
        await on.hear(told(9, admits=[]))
        return await on.app.service.work.find(ENVIRONMENTS, ENVIRONMENT, TENANT)

    before = run_virtual(main()).admitted_before

    assert len(before) == REMEMBERED_MAX
    assert "t-5-0" in before
    assert GLOBEX not in before


def test_who_was_admitted_and_never_bound_is_not_listed() -> None:
    async def main() -> Any:
        return await listed(await tenants(admits=[GLOBEX]))

    assert names(run_virtual(main())) == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"status": "Bound"}, [GLOBEX]),
        ({"status": "Enforced"}, []),
        ({"isolationModel": "silo"}, []),
    ],
)
def test_the_filters_hold_for_guests(query: dict[str, str], expected: list[str]) -> None:
    async def main() -> Any:
        return await listed(await with_guests(GLOBEX), query)

    assert names(run_virtual(main())) == expected


def test_a_filter_that_nothing_can_be_is_refused() -> None:
    async def main() -> Any:
        on = await with_guests(GLOBEX)
        with pytest.raises(Invalid):
            await listed(on, {"status": "Odd"})

    run_virtual(main())


def test_many_guests_come_in_pages() -> None:
    async def main() -> Any:
        on = await with_guests(GLOBEX, INITECH)
        first = await listed(on, {"top": "2"})
        after = parse_qs(urlsplit(first["nextLink"]).query)["continuation"][0]
        return names(first), await listed(on, {"top": "2", "continuation": after})

    first, second = run_virtual(main())

    assert first == [GLOBEX]  # the other of the two is the owner, which is not bound
    assert names(second) == [INITECH]
    assert second["nextLink"] is None


def test_a_page_that_never_ended_is_refused() -> None:
    async def main() -> Any:
        on = await with_guests(GLOBEX)
        with pytest.raises(Invalid) as refused:
            await listed(on, {"continuation": "No Tenant"})
        return refused.value

    assert run_virtual(main()).code == "InvalidContinuation"


@pytest.mark.parametrize("part", ["", "/proofs"])
def test_the_owner_reads_a_binding_of_a_guest_by_its_tenant(part: str) -> None:
    async def main() -> Any:
        return await one(await with_guests(GLOBEX), part)

    assert run_virtual(main())["bindingId"] == OF_GLOBEX


def test_so_it_reads_the_report_on_what_became_of_it() -> None:
    async def main() -> Refused:
        on = await with_guests(GLOBEX)
        with pytest.raises(NotFound) as refused:
            await one(on, "/erasure-report")
        return refused.value

    assert run_virtual(main()).code == "ErasureNotReported"


@pytest.mark.parametrize("part", ["", "/proofs", "/erasure-report"])
@pytest.mark.parametrize(
    ("caller", "named"),
    [(INITECH, GLOBEX), (TENANT, None), (TENANT, INITECH), (TENANT, "no tenant/..")],
    ids=["a-third-tenant", "without-its-name", "another-tenants", "no-tenant"],
)
def test_nobody_else_finds_it(caller: TenantId, named: str | None, part: str) -> None:
    async def main() -> Refused:
        on = await with_guests(GLOBEX)
        with pytest.raises(NotFound) as refused:
            await one(on, part, tenant=caller, named=named)
        return refused.value

    refused = run_virtual(main())

    assert refused.code == "TenantBindingNotFound"
    assert GLOBEX not in refused.message
