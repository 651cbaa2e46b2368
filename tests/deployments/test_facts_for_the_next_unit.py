"""What others say of bindings, configuration, secrets, scaling: newest wins, for the next unit."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from function_apps.deployments.activities.prove_release import prove
from function_apps.deployments.errors import (
    BindingRequired,
    BindingSuspended,
    IsolationBreached,
)
from function_apps.deployments.repository import DeploymentSet
from function_apps.deployments.use_cases.record_configuration import record_configuration
from function_apps.deployments.use_cases.record_facts import (
    record_scaling_policy,
    record_secret,
)
from function_apps.deployments.use_cases.record_tenant import (
    record_binding,
    record_isolation_proof,
)
from shared.contracts.configuration_merge import hash_of
from shared.contracts.configurations import ConfigurationPublished
from shared.contracts.scaling import ScalingPolicyApplied
from shared.contracts.secret_bindings import SecretBound
from shared.contracts.tenants import RuntimeTenantBound, TenantIsolationProofCompleted
from shared.contracts.values import Stage
from shared.kernel.errors import Invalid
from shared.kernel.ids import TenantId, parse_id, tenant_binding_id
from tests.deployments.driven import CART, SHOP, TEST, Driven, driven
from tests.kit.service import TENANT
from tests.kit.virtual_time import run_virtual

KEY = TEST.removeprefix("env-")
BINDING = tenant_binding_id(parse_id(TEST, "env").environment, TENANT)
OTHER = tenant_binding_id(parse_id(TEST, "env").environment, TenantId("globex"))
NOW = "2026-01-01T00:00:00Z"


async def bound(
    world: Driven,
    status: str,
    revision: int = 1,
    *,
    binding: str = BINDING,
    to: str = TEST,
    asked: int | None = None,
) -> None:
    event = RuntimeTenantBound.model_validate(
        {
            "aggregateId": binding,
            "revision": revision,
            "bindingId": binding,
            "environmentId": to,
            "ownerTenantId": "acme",
            "isolationModel": "shared",
            "status": status,
            "askedRevision": revision if asked is None else asked,
            "stage": "prod",
        }
    )
    await record_binding(event, world.bench.ctx(), world.app)


async def proved(
    world: Driven,
    verdict: str,
    revision: int,
    *,
    binding: str = BINDING,
    has_control: bool = True,
) -> None:
    event = TenantIsolationProofCompleted.model_validate(
        {
            "aggregateId": binding,
            "revision": revision,
            "bindingId": binding,
            "environmentId": TEST,
            "layer": "network",
            "verdict": verdict,
            "positiveControl": has_control,
            "checkedAt": NOW,
        }
    )
    await record_isolation_proof(event, world.bench.ctx(), world.app)


async def published(world: Driven, version: int, revision: int) -> None:
    event = ConfigurationPublished.model_validate(
        {
            "aggregateId": f"cfg-{KEY}-shop",
            "revision": revision,
            "configurationId": f"cfg-{KEY}-shop",
            "environmentId": TEST,
            "moduleId": SHOP,
            "layer": "module",
            "scope": SHOP,
            "version": version,
            "contentHash": hash_of({"colour": f"v{version}"}),
            "values": {"colour": f"v{version}"},
            "status": "Published",
        }
    )
    await record_configuration(event, world.bench.ctx(), world.app)


async def secret(world: Driven, version: str, revision: int) -> None:
    event = SecretBound.model_validate(
        {
            "aggregateId": f"sec-{KEY}-abcdefghijkl",
            "revision": revision,
            "environmentId": TEST,
            "bindingId": f"sec-{KEY}-abcdefghijkl",
            "moduleId": SHOP,
            "secretName": "password",
            "vaultUri": "https://vault.test/",
            "version": version,
            "delivery": "environmentVariable",
            "target": "PASSWORD",
            "status": "Bound",
        }
    )
    await record_secret(event, world.bench.ctx(), world.app)


async def scaled(world: Driven, revision: int) -> None:
    event = ScalingPolicyApplied.model_validate(
        {
            "aggregateId": f"sp-{KEY}-abcdefghij",
            "revision": revision,
            "policyId": f"sp-{KEY}-abcdefghij",
            "serviceId": f"svc-{KEY}-abcdefghij",
            "environmentId": TEST,
            "moduleId": SHOP,
            "min": 1,
            "max": 3,
            "desired": 2,
            "actuator": "platform",
            "status": "Applied",
            "reason": "Policy",
            "policyRevision": revision,
        }
    )
    await record_scaling_policy(event, world.bench.ctx(), world.app)


def test_a_unit_pins_what_was_said_last_of_its_own_modules() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await published(world, version=7, revision=9)
        await secret(world, "v2", revision=2)
        await scaled(world, revision=4)

        answer = await world.deploy(
            await world.component("shop", SHOP), await world.component("cart", CART)
        )
        await world.settle()

        done = await world.deployment(answer["deploymentId"])
        shop, cart = done.candidate(SHOP), done.candidate(CART)
        assert shop is not None
        assert cart is not None
        assert shop.configuration.module == 7
        assert (shop.secret_versions, cart.secret_versions) == ({"password": "v2"}, {})
        assert done.proof is not None
        proved = {each.module_id: each.secret_versions for each in done.proof.instances}
        assert proved == {SHOP: {"password": "v2"}, CART: {}}
        world.world.tampered.add("module-shop-1-0")
        again, _ = await prove(DeploymentSet(await world.target(), done), [shop], world.app)
        assert [each.secret_versions for each in again.instances] == [{}]
        assert (shop.scaling_policy_revision, cart.scaling_policy_revision) == (4, 0)

    run_virtual(main())


def test_what_nobody_has_said_is_recorded_as_absent_with_its_rule() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()

        done = await world.release("one")

        assert [one.code for one in done.absent] == [
            "ConfigurationAbsent",
            "SecretVersionsAbsent",
            "ScalingPolicyAbsent",
            "TenantBindingAbsent",
        ]

    run_virtual(main())


Telling = Callable[[Driven, int], Awaitable[None]]


@pytest.mark.parametrize(
    "tell",
    [
        pytest.param(lambda world, revision: secret(world, f"v{revision}", revision), id="secret"),
        pytest.param(scaled, id="scaling"),
        pytest.param(lambda world, revision: bound(world, "Enforced", revision), id="binding"),
    ],
)
def test_what_is_older_or_told_twice_changes_nothing(tell: Telling) -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await tell(world, 5)
        known = await world.target()

        await tell(world, 5)
        await tell(world, 4)

        assert await world.target() == known

    run_virtual(main())


def test_prod_takes_a_deployment_once_its_binding_is_enforced() -> None:
    async def main() -> None:
        world = driven()
        await world.tell(stage=Stage.PROD)
        await bound(world, "Bound", 1)
        answer = await world.deploy(await world.component("one"), gate={"onInconclusive": "pass"})
        world.begin()
        await world.app.service.clock.sleep(5)
        waiting = await world.shown(answer["deploymentId"])

        await bound(world, "Enforced", 2)
        await world.settle()

        done = await world.deployment(answer["deploymentId"])
        assert (answer["waitingFor"], waiting.waiting_for) == ("binding", "binding")
        assert done.status == "Completed"
        assert done.unit is not None
        assert done.unit.tenant_binding_revision == 2

    run_virtual(main())


@pytest.mark.parametrize(
    ("prepare", "error"),
    [
        pytest.param(lambda world: bound(world, "Suspended"), BindingSuspended, id="suspended"),
        pytest.param(lambda world: bound(world, "Unbound"), BindingRequired, id="unbound"),
    ],
)
def test_a_binding_that_does_not_hold_refuses(
    prepare: Callable[[Driven], Awaitable[None]], error: type[Exception]
) -> None:
    async def main() -> None:
        world = driven()
        await world.tell(stage=Stage.PROD)
        await prepare(world)

        with pytest.raises(error):
            await world.deploy(await world.component("one"))

    run_virtual(main())


def test_a_suspended_guest_is_told_whom_to_ask_to_resume_it() -> None:
    async def main() -> None:
        world = driven()
        await world.tell(owner=TenantId("globex"))
        await bound(world, "Suspended")

        with pytest.raises(BindingSuspended, match="ask globex, the owner, to resume it"):
            await world.deploy(await world.component("one"))

    run_virtual(main())


def test_a_breach_of_isolation_stops_deployments_until_a_proof_passes() -> None:
    async def main() -> None:
        world = driven()
        await world.tell(stage=Stage.PROD)
        await bound(world, "Enforced")
        component: dict[str, Any] = await world.component("one")

        await proved(world, "Breach", 1)
        with pytest.raises(IsolationBreached, match="network"):
            await world.deploy(component)
        await proved(world, "Pass", 2)
        answer = await world.deploy(component)

        assert answer["waitingFor"] is None

    run_virtual(main())


@pytest.mark.parametrize(
    "tell",
    [
        pytest.param(lambda world: bound(world, "Enforced", 9, binding=OTHER), id="binding"),
        pytest.param(lambda world: proved(world, "Pass", 9, binding=OTHER), id="proof"),
    ],
)
def test_what_is_said_of_another_tenants_binding_is_malformed_and_changes_nothing(
    tell: Callable[[Driven], Awaitable[None]],
) -> None:
    async def main() -> None:
        world = driven()
        await world.tell(stage=Stage.PROD)
        await bound(world, "Suspended", 5)

        with pytest.raises(Invalid, match="binding"):
            await tell(world)

        binding = (await world.target()).binding
        assert binding is not None
        assert binding.status == "Suspended"

    run_virtual(main())


def test_only_a_proof_that_could_have_failed_ends_a_breach() -> None:
    async def main() -> None:
        world = driven()
        await world.tell(stage=Stage.PROD)
        await bound(world, "Enforced")
        await proved(world, "Breach", 1)

        with pytest.raises(Invalid, match="positive control"):
            await proved(world, "Pass", 2, has_control=False)
        await proved(world, "Indeterminate", 3, has_control=False)

        binding = (await world.target()).binding
        assert binding is not None
        assert binding.breach == "network"

    run_virtual(main())
