"""The commands and events of deployments."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from function_apps.deployments.use_cases.deploy import deploy
from shared.contracts.configuration_merge import hash_of
from shared.contracts.configurations import ConfigurationPublished
from shared.contracts.deployments import Deploy, RollbackDeployment
from shared.contracts.environments import EnvironmentStatus
from shared.contracts.gates import EvaluateGate, Verdict
from shared.contracts.promotions import PromoteDeployment
from shared.contracts.roll_outs import (
    ConfirmCutOver,
    RemediateDrift,
    RollOutConfiguration,
    RollOutSecretVersion,
    WithdrawSecretVersions,
)
from shared.contracts.scaling import ScalingPolicyApplied
from shared.contracts.secret_bindings import SecretBound, SecretRotated
from shared.contracts.tenants import RuntimeTenantBound, TenantIsolationProofCompleted
from shared.contracts.values import SecretBindingId, SecretRotationId, Stage
from shared.kernel.ids import ModuleId
from tests.deployments.configured import identity, publish
from tests.deployments.driven import SHOP, TEST, Driven, archive, driven
from tests.deployments.test_a_module_is_relocated import command
from tests.deployments.test_facts_for_the_next_unit import BINDING, KEY, NOW, bound
from tests.deployments.test_promotion import SOAK, STAGING, soaked
from tests.deployments.test_repeats import refuse
from tests.deployments.told_secrets import BINDING as BINDING_OF_A_SECRET
from tests.deployments.told_secrets import VAULT, bind, roll_out, rotation_failed, rotation_id
from tests.faults.inputs import Call, Prepared, comes_to, left_by, parked

_comes = partial(comes_to, "deployments")
_ROOT: Final = "v1/runtime/deployments"
_ONE: Final = f"{_ROOT}/{{deploymentId}}"
_OPERATION: Final = "v1/platform/deployments/operations/{operationId}"


async def _left(world: Driven, sent: Any, **more: Any) -> Prepared:
    return await left_by(world.bench, sent, world=world.world, **more)


async def _ready() -> Driven:
    world = driven()
    await world.tell()
    return world


async def _release(world: Driven, content: str) -> dict[str, Any]:
    component = await world.component(content)
    return {"environmentId": TEST, "releaseRef": "r", "components": [component]}


async def _two() -> tuple[Driven, str]:
    world = await _ready()
    await world.release("one")
    return world, (await world.release("two")).deployment_id


async def _begun() -> tuple[Driven, Mapping[str, Any]]:
    world = await _ready()
    return world, await world.deploy(await world.component("one"))


@_comes(f"POST {_ROOT}")
async def deploys() -> Prepared:
    world = await _ready()
    return await _left(world, Call(body=await _release(world, "one")))


@_comes(f"POST {_ONE}/rollback")
async def rolls_back() -> Prepared:
    world, two = await _two()
    return await _left(world, Call({"deploymentId": two}, {}))


async def _soaked() -> tuple[Driven, str]:
    world = await _ready()
    one = await world.release("one")
    await world.tell(stage=Stage.STAGING, name="staging")
    await world.app.service.clock.sleep(SOAK.total_seconds())
    return world, one.deployment_id


@_comes(f"POST {_ONE}/promote")
async def promotes() -> Prepared:
    world, one = await _soaked()
    deployment = await world.deployment(one)
    assert deployment.unit is not None
    services = [each.service_id for each in deployment.unit.components]
    verdicts = await world.soaked.ask(services, token="")
    sent = Call({"deploymentId": one}, {"toEnvironmentId": STAGING})
    return await _left(world, sent, verdicts=verdicts)


@_comes(f"POST {_ONE}/cancel")
async def cancels() -> Prepared:
    world, begun = await _begun()
    return await _left(world, Call({"deploymentId": begun["deploymentId"]}, {"reason": "enough"}))


@_comes(f"POST {_ONE}/retry")
async def retries() -> Prepared:
    world = await _ready()
    command = await world.command(await world.component("one"))
    world.interfere = refuse
    failed = (await deploy(command, world.ctx, world.app)).value
    await world.settle()
    return await _left(world, Call({"deploymentId": failed["deploymentId"]}, {}))


@_comes(f"POST {_ONE}/release-hold")
async def releases_a_hold() -> Prepared:
    world = await _ready()
    await world.release("one")
    bad = await world.component("bad")
    world.health.bad.add(bad["artifactDigest"])
    answer = await world.deploy(bad)
    await world.settle()
    return await _left(world, Call({"deploymentId": answer["deploymentId"]}, {}))


@_comes("POST v1/runtime/artifacts")
async def uploads() -> Prepared:
    return await _left(await _ready(), Call(body=archive("new")))


@_comes(f"POST {_OPERATION}/cancel")
@_comes(f"POST {_OPERATION}/abandon")
async def is_running() -> Prepared:
    world, begun = await _begun()
    return await _left(world, Call({"operationId": begun["operationId"]}))


@_comes("POST v1/platform/deployments/parked/{eventId}/replay")
async def replays() -> Prepared:
    world = await _ready()
    command = await world.command(await world.component("one"))
    return await parked(world.bench, command, world=world.world)


@_comes("Deploy")
async def is_told_to_deploy() -> Prepared:
    world = await _ready()
    return await _left(world, Deploy.model_validate(await _release(world, "one")))


@_comes("PromoteDeployment")
async def is_told_to_promote() -> Prepared:
    world, one = await _soaked()
    evidence = await soaked(world, one)
    command = PromoteDeployment(deployment_id=one, to_environment_id=STAGING, evidence=evidence)
    return await _left(world, command)


@_comes("RemediateDrift")
async def is_told_to_repair() -> Prepared:
    world = await _ready()
    await world.release("one")
    command = RemediateDrift.model_validate(
        {
            "environmentId": TEST,
            "moduleId": SHOP,
            "findingId": f"df-{'a' * 12}-{'b' * 10}-{'c' * 12}",
            "path": "workload/environ/MODE",
            "recordedRevision": 1,
        }
    )
    return await _left(world, command)


@_comes("RelocateWorkload")
async def is_told_to_relocate() -> Prepared:
    world = await _ready()
    await bound(world, "Enforced", 1)
    await world.release("one")
    await bound(world, "Moving", 2)
    return await _left(world, command(2))


@_comes("ConfirmCutOver")
async def is_asked_whether_a_tenant_is_moved() -> Prepared:
    world = await _ready()
    await bound(world, "Moving", 2)
    asked = ConfirmCutOver(environment_id=TEST, tenant_binding_id=BINDING, binding_revision=2)
    return await _left(world, asked)


@_comes("RollOutSecretVersion")
async def is_told_to_roll_out_a_secret() -> Prepared:
    world = await _ready()
    await bind(world, "v1")
    await world.release("one")
    command = RollOutSecretVersion(
        environment_id=TEST,
        module_id=ModuleId(SHOP),
        binding_id=SecretBindingId(BINDING_OF_A_SECRET),
        secret_name="password",
        version="v2",
    )
    return await _left(world, command)


@_comes("WithdrawSecretVersions")
async def is_told_to_withdraw_versions_of_a_secret() -> Prepared:
    world = await _ready()
    await bind(world, "v1")
    command = WithdrawSecretVersions(
        environment_id=TEST,
        module_id=ModuleId(SHOP),
        binding_id=SecretBindingId(BINDING_OF_A_SECRET),
        secret_name="password",
        version="v2",
        vault_uri=VAULT,
        rotation_id=SecretRotationId(rotation_id("password", 1)),
    )
    return await _left(world, command)


@_comes("RollbackDeployment")
async def is_told_to_roll_back() -> Prepared:
    world, two = await _two()
    return await _left(world, RollbackDeployment(deployment_id=two))


async def _waiting() -> Driven:
    world = driven()
    await world.tell(EnvironmentStatus.PROVISIONING)
    await world.deploy(await world.component("one"))
    world.begin()
    await world.app.service.clock.sleep(5)
    await world.drop_running()
    return world


@_comes("RuntimeEnvironmentProvisioned")
async def hears_that_a_target_is_ready() -> Prepared:
    world = await _waiting()
    return await _left(world, await world.told())


@_comes("RuntimeEnvironmentFailed")
async def hears_that_it_never_will_be() -> Prepared:
    world = await _waiting()
    return await _left(world, await world.told(EnvironmentStatus.FAILED))


@_comes("RuntimeEnvironmentStatusChanged")
async def hears_that_it_goes() -> Prepared:
    world, _ = await _two()
    return await _left(world, await world.told(EnvironmentStatus.DECOMMISSIONING))


@_comes("RuntimeEnvironmentDecommissioned")
async def hears_that_it_is_gone() -> Prepared:
    world, _ = await _two()
    return await _left(world, await world.told(EnvironmentStatus.DECOMMISSIONED))


@_comes("HealthCheckCompleted")
async def hears_a_verdict() -> Prepared:
    world = await _ready()
    component = await world.component("one")
    world.health.silent.add(component["artifactDigest"])
    await world.deploy(component)

    async def is_asked() -> bool:
        return bool(world.health.asked)

    await world.until(is_asked)
    await world.drop_running()
    gate: EvaluateGate = world.health.asked[0]
    return await _left(world, world.answer(gate, Verdict.PASS))


async def _fact(payload: Any, **fields: Any) -> Prepared:
    """Return what another service tells for the first time."""
    return await _left(await _ready(), payload.model_validate({"revision": 1, **fields}))


@_comes("RuntimeTenantBound")
async def hears_of_a_binding() -> Prepared:
    return await _fact(
        RuntimeTenantBound, aggregateId=BINDING, bindingId=BINDING, environmentId=TEST,
        ownerTenantId="acme", isolationModel="shared", status="Bound", askedRevision=1,
        stage="prod",
    )  # fmt: skip


@_comes("TenantIsolationProofCompleted")
async def hears_of_a_proof() -> Prepared:
    return await _fact(
        TenantIsolationProofCompleted, aggregateId=BINDING, bindingId=BINDING, environmentId=TEST,
        layer="network", verdict="Breach", positiveControl=True, checkedAt=NOW,
    )  # fmt: skip


@_comes("ConfigurationPublished")
async def hears_of_a_configuration() -> Prepared:
    name = f"cfg-{KEY}-shop"
    return await _fact(
        ConfigurationPublished, aggregateId=name, configurationId=name, environmentId=TEST,
        moduleId=SHOP, layer="module", scope=SHOP, version=1, status="Published",
        contentHash=hash_of({"a": 1}), values={"a": 1},
    )  # fmt: skip


@_comes("RollOutConfiguration")
async def is_told_to_roll_out() -> Prepared:
    world = await _ready()
    await publish(world, "module", 1, {"a": 1})
    await world.deploy(await world.component("one", configurationMode="floating"))
    await world.settle()
    await publish(world, "module", 2, {"a": 2})
    world.bench.sent.messages.clear()
    command = RollOutConfiguration(
        environment_id=TEST, configuration_id=identity("module"), version=2,
        content_hash=hash_of({"a": 2}), modules=(SHOP,),
    )  # fmt: skip
    return await _left(world, command)


_SECRET: Final = {
    "environmentId": TEST, "bindingId": f"sec-{KEY}-abcdefghijkl", "moduleId": SHOP,
    "secretName": "password", "vaultUri": "https://vault.test/", "version": "2",
    "delivery": "environmentVariable", "target": "PASSWORD",
}  # fmt: skip


@_comes("SecretBound")
async def hears_of_a_secret() -> Prepared:
    return await _fact(SecretBound, aggregateId=_SECRET["bindingId"], status="Bound", **_SECRET)


@_comes("SecretRotated")
async def hears_of_a_rotation() -> Prepared:
    rotation = f"rot-{KEY}-abcdefghijkl-1"
    return await _fact(
        SecretRotated, aggregateId=rotation, rotationId=rotation, status="Revoked",
        previousVersion="1", overlapUntil=NOW, **_SECRET,
    )  # fmt: skip


@_comes("SecretRotationFailed")
async def hears_of_a_failed_rotation() -> Prepared:
    world = await _ready()
    await bind(world, "v1")
    await world.release("one")
    await roll_out(world, "v2", 1)
    return await _left(world, rotation_failed("v2", 1))


@_comes("ScalingPolicyApplied")
async def hears_of_a_policy() -> Prepared:
    policy = f"sp-{KEY}-abcdefghij"
    return await _fact(
        ScalingPolicyApplied, aggregateId=policy, policyId=policy,
        serviceId=f"svc-{KEY}-abcdefghij", environmentId=TEST, moduleId=SHOP, min=1, max=3,
        desired=2, actuator="platform", status="Applied", reason="Policy", policyRevision=1,
    )  # fmt: skip
