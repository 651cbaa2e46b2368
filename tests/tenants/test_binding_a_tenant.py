"""A tenant is bound to an environment of its own, or to one whose owner admits it."""

from dataclasses import replace
from typing import Any

import pytest

from function_apps.tenants.use_cases.bind_tenant import bind_tenant
from shared.contracts.tenants import BindTenant
from shared.kernel.context import ADMIN, Scope
from shared.kernel.errors import Conflict, Denied, NotFound, PlanRefused, Refused
from shared.surfaces.capabilities import Feature
from tests.kit.service import TENANT
from tests.kit.told import ENVIRONMENT
from tests.kit.virtual_time import run_virtual
from tests.tenants.bound import ABLE, BINDING, GLOBEX, Tenants, tenants, told


async def _refusal(on: Tenants, **changes: Any) -> Refused:
    with pytest.raises(Refused) as refused:
        await on.bind(**changes)
    return refused.value


def test_it_is_bound_and_enforced_once_its_isolation_is_in_force() -> None:
    async def main() -> Any:
        on = await tenants()
        asked = await on.bind(isolationModel="pool", quota={"instances": 5})
        applied = {"revision": asked["revision"], "state": "Applied", "namespace": "acme-shop"}
        await on.hear(told(2, isolation=applied))
        return asked, await on.binding(), on.told()

    asked, binding, events = run_virtual(main())

    assert (asked["bindingId"], asked["status"], asked["stage"]) == (BINDING, "Bound", "test")
    assert (binding["status"], binding["namespace"]) == ("Enforced", "acme-shop")
    assert binding["quota"]["instances"] == 5
    assert events == [("Bound", 1), ("Enforced", 2)]


def test_isolation_that_was_made_for_an_earlier_request_does_not_enforce_it() -> None:
    async def main() -> Any:
        on = await tenants()
        await on.enforced()
        await on.unbind()
        await on.hear(told(3, isolation={"revision": 3, "state": "Removed"}))
        again = await on.bind()
        await on.hear(told(4, isolation={"revision": 1, "state": "Applied"}))
        late = await on.binding()
        await on.hear(told(5, isolation={"revision": again["revision"], "state": "Applied"}))
        return late, await on.binding()

    late, binding = run_virtual(main())

    assert (late["status"], binding["status"]) == ("Bound", "Enforced")


def test_a_repeat_gets_the_first_answer_and_other_content_is_a_conflict() -> None:
    async def main() -> Any:
        on = await tenants()
        first = await on.bind()
        return first, await on.bind(), await _refusal(on, isolationModel="pool"), on.told()

    first, second, refused, events = run_virtual(main())

    assert first == second
    assert isinstance(refused, Conflict)
    assert (refused.code, [each.target for each in refused.details]) == (
        "TenantBindingExists",
        ["/isolationModel"],
    )
    assert len(events) == 1


def test_of_a_quota_each_limit_that_differs_is_named() -> None:
    async def main() -> Any:
        on = await tenants()
        await on.bind(quota={"memoryMib": 512, "instances": 2})
        return await _refusal(on, quota={"memoryMib": 512, "instances": 3, "cpu": 1.0})

    refused = run_virtual(main())

    assert "with another quota.cpu, quota.instances: unbind it" in str(refused)
    assert [(each.target, each.expected, each.received) for each in refused.details] == [
        ("/quota/cpu", "null", "1.0"),
        ("/quota/instances", "2", "3"),
    ]


def test_isolation_that_failed_says_why_and_is_tried_again_when_it_is_asked_for_again() -> None:
    async def main() -> Any:
        on = await tenants()
        asked = await on.bind()
        reason = {"code": "QuotaExceeded", "message": "no room"}
        failed = {"revision": asked["revision"], "state": "Failed", "reason": reason}
        await on.hear(told(2, isolation=failed))
        seen = await on.binding()
        again = await on.bind()
        await on.hear(told(3, isolation={"revision": again["revision"], "state": "Applied"}))
        return seen, again, await on.binding()

    seen, again, binding = run_virtual(main())

    assert (seen["status"], seen["reason"]["code"]) == ("Bound", "QuotaExceeded")
    assert again["reason"] is None
    assert again["revision"] > seen["revision"]
    assert binding["status"] == "Enforced"


@pytest.mark.parametrize(
    ("asked", "able", "target"),
    [
        pytest.param({"requires": ["network"]}, ABLE, "/requires/0", id="a-required-layer"),
        *[
            pytest.param({"requires": [layer]}, ABLE, "/requires/0", id=layer)
            for layer in ("data", "secrets", "identity")
        ],
        pytest.param(
            {"isolationModel": "pool"}, (Feature.QUOTAS,), "/isolationModel", id="what-a-pool-needs"
        ),
        pytest.param(
            {"quota": {"instances": 3}}, (Feature.NAMESPACES,), "/quota", id="a-quota"
        ),
        pytest.param(
            {"quota": {"requestsPerSecond": 10}}, ABLE, "/quota/requestsPerSecond", id="requests"
        ),
        pytest.param(
            {"isolationModel": "silo", "tenantId": GLOBEX}, ABLE, "/isolationModel",
            id="nodes-of-its-own-in-another-tenants-environment",
        ),
    ],
)  # fmt: skip
def test_what_the_surface_cannot_isolate_is_refused_by_name(
    asked: dict[str, Any], able: tuple[str, ...], target: str
) -> None:
    async def main() -> Refused:
        return await _refusal(await tenants(able=able, admits=[GLOBEX]), **asked)

    refused = run_virtual(main())

    assert isinstance(refused, PlanRefused)
    assert refused.code == "IsolationNotSupported"
    assert target in {each.target for each in refused.details}


def test_an_environment_that_is_gone_or_unknown_takes_nobody() -> None:
    async def main() -> Any:
        on = await tenants()
        unknown = await _refusal(on, environmentId="env-" + "b" * 12)
        await on.hear(told(2, gone=True, status="Decommissioned"))
        return unknown, await _refusal(on)

    for refused in run_virtual(main()):
        assert isinstance(refused, NotFound)
        assert (refused.code, refused.target) == ("EnvironmentNotAdmitting", "/environmentId")


def test_the_owner_binds_a_tenant_that_it_admits_and_a_tenant_binds_itself() -> None:
    async def main() -> Any:
        on = await tenants(admits=[GLOBEX])
        by_owner = await on.bind(tenantId=GLOBEX)
        by_itself = await on.bind(tenant=GLOBEX, ownerTenantId=TENANT)
        (event,) = on.bench.sent.bodies("RuntimeTenantBound")
        return by_owner, by_itself, event

    by_owner, by_itself, event = run_virtual(main())

    assert by_owner == by_itself
    assert (by_owner["tenantId"], by_owner["ownerTenantId"]) == (GLOBEX, TENANT)
    assert by_owner["bindingId"] != BINDING
    assert (event["tenantId"], event["payload"]["ownerTenantId"]) == (GLOBEX, TENANT)


@pytest.mark.parametrize(
    ("asked", "ids"),
    [
        pytest.param({}, ["/subscriptions/one"], id="the-owner"),
        pytest.param({"tenantId": GLOBEX}, [], id="another-tenant"),
    ],
)
def test_the_ids_of_the_resources_of_a_target_are_told_to_the_owner_alone(
    asked: dict[str, Any], ids: list[str]
) -> None:
    async def main() -> Any:
        target = {
            "kind": "AKS",
            "endpoint": "https://shop.test/",
            "resourceIds": ["/subscriptions/one"],
            "capabilities": list(ABLE),
        }
        on = await tenants(admits=[GLOBEX], computeTargets=[target])
        await on.bind(**asked)
        (event,) = on.bench.sent.bodies("RuntimeTenantBound")
        return event["payload"]["computeTargets"]

    (target,) = run_virtual(main())

    assert target["resourceIds"] == ids
    assert (target["kind"], target["endpoint"]) == ("AKS", "https://shop.test/")
    assert target["capabilities"] == [*ABLE]


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param({"tenant": GLOBEX, "ownerTenantId": TENANT}, id="it-binds-itself"),
        pytest.param({"tenantId": GLOBEX}, id="the-owner-binds-it"),
        pytest.param({"tenant": GLOBEX, "ownerTenantId": "initech"}, id="of-nobody"),
        pytest.param({"tenant": GLOBEX}, id="as-its-own"),
    ],
)
def test_a_tenant_that_is_not_admitted_finds_no_environment(asked: dict[str, Any]) -> None:
    async def main() -> Refused:
        return await _refusal(await tenants(admits=["initech"]), **asked)

    assert isinstance(run_virtual(main()), NotFound)


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param({"permissions": frozenset({"runtime.tenants.write"})}, id="without-admin"),
        pytest.param({"tenant": "initech", "ownerTenantId": TENANT}, id="by-a-third-tenant"),
    ],
)
def test_only_the_owner_with_admin_binds_another_tenant(asked: dict[str, Any]) -> None:
    async def main() -> Refused:
        return await _refusal(await tenants(admits=[GLOBEX]), tenantId=GLOBEX, **asked)

    refused = run_virtual(main())

    assert isinstance(refused, Denied)
    assert refused.target == "/tenantId"


def test_by_message_a_tenant_binds_itself_only() -> None:
    async def main() -> Any:
        on = await tenants(admits=[GLOBEX])
        await on.hear(BindTenant.model_validate({"environmentId": ENVIRONMENT}))
        await on.hear(BindTenant.model_validate({"environmentId": ENVIRONMENT, "tenantId": GLOBEX}))
        return await on.binding(), on.told()

    binding, events = run_virtual(main())

    assert binding["status"] == "Bound"
    assert events == [("Bound", 1)]


def test_a_key_gets_its_first_answer_when_the_tenant_is_admitted_no_more() -> None:
    async def main() -> Any:
        on = await tenants(admits=[GLOBEX])
        command = BindTenant.model_validate({"environmentId": ENVIRONMENT, "ownerTenantId": TENANT})
        ctx = on.bench.ctx(Scope(GLOBEX, "user:bob", frozenset({ADMIN})))
        keyed = replace(ctx, cause=replace(ctx.cause, marker="marker/1", fingerprint="f"))
        first = await bind_tenant(command, keyed, on.app)
        await on.hear(told(2, admits=[]))
        repeat = await bind_tenant(command, keyed, on.app)
        with pytest.raises(NotFound):
            await bind_tenant(command, ctx, on.app)
        return first, repeat

    first, repeat = run_virtual(main())

    assert (repeat.value, repeat.is_repeat) == (first.value, True)
