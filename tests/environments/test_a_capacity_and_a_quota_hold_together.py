"""The capacity of an environment and the quota of its owner's binding are in force together."""

from dataclasses import dataclass
from typing import Any

import pytest

from function_apps.environments.use_cases.record_tenant import record_tenant
from shared.contracts.environments import IsolationState
from shared.contracts.tenants import RuntimeTenantBound
from shared.contracts.values import ComputeTargetKind
from shared.kernel.ids import parse_id, tenant_binding_id
from shared.surfaces.boundaries import Quota
from shared.surfaces.spec import Resources
from tests.environments.driven import Environments, environments
from tests.kit.memory_cluster import MemoryCluster, MemorySite
from tests.kit.memory_surface import MemorySurface
from tests.kit.seeded_entropy import SeededEntropy
from tests.kit.service import TENANT
from tests.kit.virtual_time import LoopClock, run_virtual


@dataclass
class Owner:
    """A tenant and its own environment in a cluster."""

    world: Environments
    cluster: MemoryCluster
    environment: str

    async def updates(self, **changes: Any) -> None:
        await self.world.update(self.environment, **changes)
        assert await self.world.run_started() == ["Applied"]

    async def binds(self, revision: int, **quota: Any) -> IsolationState:
        """Tell of the binding; return how its isolation ended."""
        binding = tenant_binding_id(parse_id(self.environment, "env").environment, TENANT)
        event = {
            "aggregateId": binding,
            "revision": revision,
            "bindingId": binding,
            "environmentId": self.environment,
            "ownerTenantId": TENANT,
            "isolationModel": "shared",
            "status": "Bound",
            "askedRevision": revision,
            "stage": "test",
            "quota": quota,
        }
        told = RuntimeTenantBound.model_validate(event)
        await record_tenant(told, self.world.ctx, self.world.app)
        await self.world.run_started()
        (isolation,) = (await self.world.environment(self.environment)).isolation
        return isolation.state

    def held_to(self) -> tuple[Resources, Quota]:
        """Return the capacity and the quota that hold what the tenant runs there."""
        site: MemorySite
        (site,) = self.cluster.sites.values()
        boundary = site.boundaries[TENANT].spec
        assert site.spec is not None
        assert boundary is not None
        return site.spec.capacity, boundary.quota


def of(**capacity: Any) -> dict[str, Any]:
    return {"computeTargets": [{"kind": "AKS", "capacity": capacity}], "dataResources": []}


async def owner(**capacity: Any) -> Owner:
    cluster = MemoryCluster(LoopClock(), SeededEntropy(1))
    world = environments({ComputeTargetKind.AKS: MemorySurface(cluster)})
    made = Owner(world, cluster, await world.request(**of(**capacity)))
    assert await world.run_started() == ["Applied"]
    return made


@pytest.mark.parametrize(
    "content",
    [{**of(cpu=8), "tags": {"team": "web"}}, of(cpu=9), of()],
    ids=["other-tags", "more", "no-capacity"],
)
def test_an_update_leaves_the_quota_of_the_binding(content: dict[str, Any]) -> None:
    async def main() -> None:
        on = await owner(cpu=8)
        await on.binds(1, cpu=2, instances=5)

        await on.updates(**content)

        asked = content["computeTargets"][0]["capacity"]
        assert on.held_to() == (Resources(cpu=asked.get("cpu")), Quota(cpu=2, instances=5))

    run_virtual(main())


def test_the_owner_is_told_the_capacity_that_is_in_force() -> None:
    async def main() -> None:
        on = await owner(cpu=8)
        await on.updates(**of(cpu=9, memoryMib=2048))

        told = on.world.bench.sent.bodies("RuntimeEnvironmentProvisioned")

        capacities = [each["payload"]["capacities"]["AKS"] for each in told]
        assert [each["cpu"] for each in capacities] == [8, 9]
        assert capacities[-1]["memoryMib"] == 2048

    run_virtual(main())


def test_a_binding_leaves_the_capacity_of_the_environment() -> None:
    async def main() -> None:
        on = await owner(cpu=8)

        await on.binds(1, instances=5)

        assert on.held_to() == (Resources(cpu=8), Quota(instances=5))

    run_virtual(main())


def test_after_updates_of_the_capacity_a_binding_is_changed_as_before() -> None:
    async def main() -> None:
        on = await owner(cpu=8)
        await on.binds(1, cpu=2)
        for cpu in (9, 10, 11):
            await on.updates(**of(cpu=cpu))

        assert await on.binds(2, cpu=3) is IsolationState.APPLIED
        assert on.held_to() == (Resources(cpu=11), Quota(cpu=3))

    run_virtual(main())


def test_after_changes_of_the_binding_the_capacity_is_updated_as_before() -> None:
    async def main() -> None:
        on = await owner(cpu=8)
        for revision in (1, 2, 3):
            assert await on.binds(revision, cpu=revision) is IsolationState.APPLIED

        await on.updates(**of(cpu=9))

        assert on.held_to() == (Resources(cpu=9), Quota(cpu=3))

    run_virtual(main())
