"""Section 8 of the contracts as data: what each command and event may cost."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shared.contracts.entities import FACTORY_EVENTS
from shared.contracts.tenants import TenantProvisioned
from tests.kit.costs import CountedWorld, Invocation
from tests.kit.git_sources import follow, push
from tests.kit.memory_cluster import Behaviour
from tests.kit.releases import (
    deploy,
    ended,
    provisioned,
    publish,
    scaled,
    set_objective,
    until_status,
    uploaded,
)
from tests.kit.sending import send
from tests.kit.virtual_time import run_virtual


@dataclass(frozen=True)
class Cost:
    """Reads by id, queries by key prefix, batches; `reason` where it is not one read, one batch.

    `at_first` are reads beside the input's own, of an app that does not keep what they bring yet.
    """

    reads: int = 1
    queries: int = 0
    batches: int = 1
    reason: str = ""
    at_first: int = 0


ONE: Final = Cost()
TABLE: Final[Mapping[tuple[str, str], Cost]] = {
    ("environments", "POST v1/runtime/environments"): ONE,
    ("environments", "PUT v1/runtime/environments/{environmentId}"): ONE,
    ("environments", "DELETE v1/runtime/environments/{environmentId}"): ONE,
    ("environments", "RuntimeEnvironmentDrained"): ONE,
    ("deployments", "POST v1/runtime/deployments"): Cost(
        reads=2, reason="the tenant's layer of configuration is in a partition of its own"
    ),
    ("deployments", "POST v1/runtime/deployments/{deploymentId}/rollback"): ONE,
    ("deployments", "HealthCheckCompleted"): ONE,
    ("deployments", "RuntimeEnvironmentProvisioned"): ONE,
    ("deployments", "RuntimeEnvironmentStatusChanged"): ONE,
    ("deployments", "RuntimeEnvironmentDecommissioned"): ONE,
    ("deployments", "SecretBound"): ONE,
    ("deployments", "SecretRotated"): ONE,
    ("catalog", "RecordRelease"): ONE,
    ("catalog", "RetireService"): ONE,
    ("catalog", "RuntimeEnvironmentProvisioned"): ONE,
    ("catalog", "RuntimeDeploymentCompleted"): ONE,
    ("catalog", "RuntimeDeploymentRolledBack"): ONE,
    ("catalog", "RuntimeEnvironmentDecommissioned"): Cost(
        reads=4, queries=1, batches=2, reason="lists ids by a key prefix and splits them in pages"
    ),
    ("health", "EvaluateGate"): ONE,
    ("health", "WatchRelease"): ONE,
    ("health", "RuntimeDeploymentCompleted"): Cost(
        reads=1, queries=1, batches=1, reason="looks for the gates that the deployment left open"
    ),
    ("health", "RuntimeDeploymentRolledBack"): Cost(
        reads=1, queries=1, batches=1, reason="looks for the gates that the deployment left open"
    ),
    ("health", "RuntimeInventoryUpdated"): ONE,
    ("health", "PUT v1/runtime/services/{serviceId}/slo"): Cost(
        reads=2, reason="answers the objective as it is after it was set, with its burn rates"
    ),
    ("health", "DELETE v1/runtime/services/{serviceId}/slo"): ONE,
    ("deployments", "ConfigurationPublished"): ONE,
    ("configurations", "RuntimeEnvironmentProvisioned"): ONE,
    ("configurations", "RuntimeEnvironmentDecommissioned"): Cost(
        reads=8, queries=4, batches=4, reason="closes each layer and release of the environment"
    ),
    ("configurations", "RuntimeDeploymentCompleted"): ONE,
    ("configurations", "RuntimeDeploymentRolledBack"): ONE,
    ("configurations", "POST v1/runtime/configurations"): Cost(
        reads=6, queries=1, reason="checks the merge of each module that the layer reaches"
    ),
    ("configurations", "RuntimeInventoryUpdated"): ONE,
    ("configurations", "AdoptRelease"): Cost(
        reads=6, queries=2, reason="judges the three layers that the release names"
    ),
    ("environments", "RuntimeTenantBound"): Cost(
        reads=2, reason="reads the operation at work, which the next one closes"
    ),
    ("deployments", "RuntimeTenantBound"): ONE,
    ("tenants", "RuntimeEnvironmentProvisioned"): ONE,
    ("tenants", "RuntimeEnvironmentStatusChanged"): ONE,
    ("tenants", "RuntimeEnvironmentDecommissioned"): ONE,
    ("tenants", "TenantProvisioned"): ONE,
    ("tenants", "POST v1/runtime/tenant-bindings"): Cost(
        reads=3,
        reason="reads the environment in the partition of its owner, and how the tenant was"
        " provisioned where the request names no model",
    ),
    ("tenants", "POST v1/runtime/tenant-bindings/{tenantBindingId}/suspend"): ONE,
    ("tenants", "POST v1/runtime/tenant-bindings/{tenantBindingId}/resume"): ONE,
    ("tenants", "POST v1/runtime/tenant-bindings/{tenantBindingId}/move"): Cost(
        reads=2, reason="the environment is in the partition of its owner"
    ),
    ("tenants", "AdvanceMove"): Cost(
        reads=2, reason="surfaces are read after the binding, and before the batch"
    ),
    ("tenants", "DELETE v1/runtime/tenant-bindings/{tenantBindingId}"): ONE,
    ("secret_bindings", "RuntimeEnvironmentProvisioned"): ONE,
    ("secret_bindings", "RuntimeTenantBound"): ONE,
    ("secret_bindings", "RuntimeEnvironmentDecommissioned"): Cost(
        reads=5,
        queries=3,
        batches=3,
        reason="lists the bindings of the environment in pages, then the heads of its secrets",
    ),
    ("secret_bindings", "RuntimeDeploymentCompleted"): ONE,
    ("secret_bindings", "RuntimeDeploymentRolledBack"): ONE,
    ("secret_bindings", "POST v1/runtime/secret-bindings"): Cost(
        reads=2, queries=1, reason="reads the environment's vault, and where the module has others"
    ),
    ("secret_bindings", "POST v1/runtime/secret-bindings/{bindingId}/rotate"): Cost(
        reads=2, reason="reads which secret the binding is of, and that with its binding"
    ),
    ("scaling", "POST v1/runtime/scaling-policies"): ONE,
    ("scaling", "RuntimeDeploymentStepChanged"): ONE,
    ("scaling", "RuntimeDeploymentCompleted"): ONE,
    ("scaling", "RuntimeDeploymentRolledBack"): ONE,
    ("scaling", "RuntimeInventoryUpdated"): ONE,
    ("scaling", "HealthCheckCompleted"): ONE,
    ("catalog", "ScalingPolicyApplied"): ONE,
    ("scaling", "ScaleRelease"): ONE,
    ("scaling", "HoldScaling"): ONE,
    ("deployments", "ScalingPolicyApplied"): ONE,
    ("drift", "POST v1/runtime/git-sources"): Cost(
        reads=2, reason="reads each of the environments, which are in partitions of their own"
    ),
    ("drift", "DELETE v1/runtime/git-sources/{sourceId}"): ONE,
    ("drift", "POST v1/runtime/git-sources/{sourceId}/webhook"): Cost(
        reads=2,
        reason="reads the source before; its key is read beside, once in ten seconds",
        at_first=1,
    ),
    ("drift", "RuntimeEnvironmentProvisioned"): ONE,
    ("drift", "RuntimeEnvironmentDecommissioned"): ONE,
    ("drift", "RuntimeEnvironmentStatusChanged"): ONE,
    ("drift", "RuntimeTenantBound"): ONE,
    ("drift", "TenantIsolationProofCompleted"): ONE,
    ("drift", "RuntimeDeploymentRequested"): ONE,
    ("drift", "RuntimeDeploymentStepChanged"): ONE,
    ("drift", "RuntimeDeploymentCompleted"): ONE,
    ("drift", "RuntimeDeploymentRolledBack"): ONE,
    ("drift", "RuntimeInventoryUpdated"): ONE,
    ("drift", "HealthCheckCompleted"): ONE,
    ("drift", "CompareRelease"): ONE,
    ("deployments", "TenantIsolationProofCompleted"): ONE,
    ("drift", "ScalingPolicyApplied"): ONE,
    ("drift", "ConfigurationPublished"): ONE,
    ("secret_bindings", "ConfirmWithdrawal"): ONE,
    ("deployments", "ConfirmCutOver"): ONE,
    ("deployments", "WithdrawSecretVersions"): ONE,
    ("secret_bindings", "ProveRelease"): Cost(
        queries=1, reason="lists the bindings of the module; a batch for the secret of each"
    ),
}


async def _bind_tenant(world: CountedWorld, environment: str) -> None:
    """Bind the tenant, move, suspend and resume it, unbind it, and bind it again."""
    body, why = {"environmentId": environment}, {"reason": "because"}
    _, bound = await world.call("POST", "/runtime/tenant-bindings", body)
    path = f"/runtime/tenant-bindings/{bound['bindingId']}"
    for _ in range(3):
        await until_status(world, path, {"Enforced"})
        await world.call("POST", f"{path}/move", {"isolationModel": "pool"})
        await until_status(world, path, {"Enforced"})
        await world.call("POST", f"{path}/suspend", why)
        await world.call("POST", f"{path}/resume", why)
        await world.call("DELETE", f"{path}?confirm=acme")
        await until_status(world, path, {"Unbound"})
        await world.call("POST", "/runtime/tenant-bindings", body)
    await until_status(world, path, {"Enforced"})


async def _follow_git(world: CountedWorld, environment: str) -> None:
    """Follow a repository, hear of a push to it, and remove it again."""
    for number in range(3):
        followed = await follow(world, environment, f"{number}.0")
        await push(world, followed, f"{number}.1")
        await world.clock.sleep(60)
        await world.call("DELETE", f"/runtime/git-sources/{followed['sourceId']}")


async def _rotate(world: CountedWorld) -> None:
    """Rotate the only secret that is bound, before anything runs."""
    _, bindings = await world.call("GET", "/runtime/secret-bindings")
    path = f"/runtime/secret-bindings/{bindings['value'][0]['bindingId']}/rotate"
    await world.call("POST", path, {})
    await world.clock.sleep(60)


def observed(releases: int = 4) -> list[Invocation]:
    """Run a whole life of an environment and return what every handler asked of its store.

    *releases* are brought out one after another, one more is turned back, one rolled back by hand.
    """

    async def main() -> list[Invocation]:
        world = CountedWorld(requests_per_s=30)
        await world.boot()
        try:
            environment = await provisioned(world)
            path = f"/runtime/environments/{environment}"
            said = {"tenantId": "acme", "name": "Acme", "isolationModel": "shared"}
            await send(FACTORY_EVENTS, TenantProvisioned.model_validate(said), 800)
            await world.clock.sleep(10)
            await _bind_tenant(world, environment)
            await _follow_git(world, environment)
            slow = await uploaded(world, "slow")
            world.surface.behaviours[slow] = Behaviour(latency_ms=400.0)
            for module in (None, "module-web"):
                for number in range(releases):
                    await publish(world, environment, number + 1, module)
            binding = {
                "environmentId": environment,
                "moduleId": "module-web",
                "secretName": "db-password",
                "generator": {"kind": "random"},
                "target": "DB_PASSWORD",
            }
            await world.call("POST", "/runtime/secret-bindings", binding)
            await world.clock.sleep(60)  # until deployments has heard of them
            await _rotate(world)
            last = ""
            for number in range(releases):
                last = await deploy(world, environment, str(number))
                assert (await ended(world, last))["status"] == "Completed"
                await scaled(world)
            for _ in range(3):
                objective = await set_objective(world)
                await world.call("DELETE", objective)
            await set_objective(world)
            turned_back = await ended(world, await deploy(world, environment, "slow"))
            assert turned_back["status"] == "RolledBack"
            await world.call("POST", f"/runtime/deployments/{last}/rollback", {})
            await world.clock.sleep(300)
            change = {"computeTargets": [{"kind": "LocalProcess"}], "deleteData": ["files"]}
            await world.call("PUT", path, change)
            await until_status(world, path, {"Provisioned"})
            await world.call("DELETE", path)
            await until_status(world, path, {"Decommissioned"})
            await world.clock.sleep(300)
        finally:
            await world.stop()
        return world.ledger.invocations

    return run_virtual(main())
