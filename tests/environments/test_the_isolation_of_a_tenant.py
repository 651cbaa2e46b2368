"""The isolation of a tenant in an environment: what is told of it, and what is drained."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from function_apps.environments.model.tenant_isolation import TenantIsolation
from function_apps.environments.repository import ISOLATIONS
from function_apps.environments.use_cases.follow_environments import follow_environments
from function_apps.environments.use_cases.record_drained import record_drained
from function_apps.environments.use_cases.record_tenant import record_tenant
from shared.contracts.deployments import RuntimeEnvironmentDrained
from shared.contracts.tenants import RuntimeTenantBound
from shared.contracts.values import ComputeTargetKind
from shared.kernel.context import Context, Scope
from shared.kernel.ids import TenantId, parse_id, tenant_binding_id
from shared.persistence.store import Document, partition_of
from shared.surfaces.capabilities import Feature
from tests.environments.driven import Environments, environments
from tests.kit.memory_cluster import MemoryCluster
from tests.kit.memory_surface import MemorySurface
from tests.kit.seeded_entropy import SeededEntropy
from tests.kit.service import TENANT
from tests.kit.virtual_time import LoopClock, run_virtual

GLOBEX = TenantId("globex")


@dataclass
class Guest:
    """Another tenant in the environment of its owner."""

    world: Environments
    cluster: MemoryCluster
    environment: str

    @property
    def binding(self) -> str:
        return tenant_binding_id(parse_id(self.environment, "env").environment, GLOBEX)

    @property
    def ctx(self) -> Context:
        return self.world.bench.ctx(Scope(GLOBEX, "user:bob"))

    async def hears(self, revision: int, status: str, asked: int) -> list[Any]:
        """Tell of the binding, and run what that began."""
        event = {
            "aggregateId": self.binding,
            "revision": revision,
            "bindingId": self.binding,
            "environmentId": self.environment,
            "ownerTenantId": TENANT,
            "isolationModel": "shared",
            "status": status,
            "askedRevision": asked,
            "stage": "test",
        }
        await record_tenant(RuntimeTenantBound.model_validate(event), self.ctx, self.world.app)
        return await self.world.run_started()

    async def is_drained(self, generation: int = 1) -> None:
        event = {
            "aggregateId": self.environment,
            "revision": 1,
            "environmentId": self.environment,
            "generation": generation,
            "removed": 1,
        }
        await record_drained(
            RuntimeEnvironmentDrained.model_validate(event), self.ctx, self.world.app
        )

    async def follow(self) -> None:
        """Let the timer look at it, later."""
        await self.world.app.service.clock.sleep(60)
        await follow_environments(self.world.app)

    async def document(self) -> Document:
        partition = partition_of(GLOBEX, self.binding)
        found = await self.world.app.service.store.read(
            partition, ISOLATIONS.document_id(self.binding)
        )
        assert found is not None
        return found

    async def isolation(self) -> TenantIsolation:
        return ISOLATIONS.decode((await self.document()).body)

    def told(self) -> list[Mapping[str, Any]]:
        """Return what its tenant was told of isolation, oldest first."""
        events = self.world.bench.sent.bodies("RuntimeEnvironmentProvisioned")
        return [
            entry
            for each in events
            if each["tenantId"] == GLOBEX
            for entry in each["payload"]["isolation"]
        ]


async def guest(*without: Feature) -> Guest:
    cluster = MemoryCluster(LoopClock(), SeededEntropy(1))
    surface = MemorySurface(cluster, without=without)
    world = environments({ComputeTargetKind.LOCAL_PROCESS: surface})
    made = Guest(world, cluster, await world.request(admits=[GLOBEX]))
    await world.run_started()
    return made


def test_a_failure_while_the_environment_is_updated_is_told_afterwards() -> None:
    async def main() -> Any:
        on = await guest()
        on.cluster.has_defect = True
        await on.world.update(on.environment, admits=[GLOBEX], tags={"team": "blue"})
        update = on.world.bench.starts.started.pop(0)
        await on.hears(1, "Bound", 1)
        while_updated = on.told()
        await on.world.run(*update)
        await on.follow()
        return while_updated, on.told()

    while_updated, told = run_virtual(main())

    assert while_updated == []
    assert [(each["state"], each["revision"]) for each in told] == [("Failed", 1)]
    assert told[0]["reason"]["code"]


def test_a_boundary_that_cannot_be_seen_is_not_in_force() -> None:
    async def main() -> Any:
        on = await guest()
        on.cluster.unreadable = "the cluster does not answer"
        await on.hears(1, "Bound", 1)
        return await on.isolation()

    isolation = run_virtual(main())

    assert isolation.state == "Failed"
    assert "does not answer" in isolation.reason.message


def test_a_boundary_where_no_setting_leads_is_made_once_it_is_asked_for_again() -> None:
    async def main() -> Any:
        on = await guest()
        surfaces = on.world.app.surfaces
        on.world.app = replace(on.world.app, surfaces={})
        await on.hears(1, "Bound", 1)
        unmade = await on.isolation()
        on.world.app = replace(on.world.app, surfaces=surfaces)
        await on.follow()
        with_the_setting = await on.isolation()
        await on.hears(2, "Bound", 2)
        return unmade, with_the_setting, await on.isolation()

    unmade, with_the_setting, made = run_virtual(main())

    assert (unmade.state, with_the_setting.state, made.state) == ("Failed", "Failed", "Applied")
    assert "no LocalProcess is configured" in unmade.reason.message


def test_a_boundary_where_no_setting_leads_any_more_is_not_called_taken_away() -> None:
    async def main() -> Any:
        on = await guest()
        surfaces = on.world.app.surfaces
        await on.hears(1, "Bound", 1)
        on.world.app = replace(on.world.app, surfaces={})
        await on.hears(2, "Unbinding", 2)
        await on.is_drained()
        await on.world.run_started()
        left = await on.isolation()
        on.world.app = replace(on.world.app, surfaces=surfaces)
        await on.hears(3, "Unbinding", 3)
        await on.is_drained()
        await on.world.run_started()
        return left, await on.isolation()

    left, gone = run_virtual(main())

    assert (left.state, gone.state) == ("Failed", "Removed")
    assert "no LocalProcess is configured" in left.reason.message


@pytest.mark.parametrize(
    ("without", "is_named"), [((), True), ((Feature.NAMESPACES,), False)], ids=["yes", "no"]
)
def test_a_guest_has_a_boundary_and_a_namespace_only_where_the_surface_has_such(
    without: tuple[Feature, ...], *, is_named: bool
) -> None:
    async def main() -> Any:
        on = await guest(*without)
        await on.hears(1, "Bound", 1)
        return await on.isolation(), on.cluster

    isolation, cluster = run_virtual(main())

    (site,) = cluster.sites.values()
    assert site.boundaries[GLOBEX].spec is not None
    assert (isolation.namespace is not None) is is_named


def test_without_news_nothing_is_written() -> None:
    async def main() -> Any:
        on = await guest()
        await on.hears(1, "Bound", 1)
        await on.hears(2, "Enforced", 1)
        await on.follow()
        before = await on.document()
        await on.follow()
        return before, await on.document()

    before, after = run_virtual(main())

    assert before == after


@pytest.mark.parametrize(
    ("generation", "is_heard"), [(1, True), (2, False)], ids=["its-own", "of-another-binding"]
)
def test_a_drain_counts_for_its_generation_also_before_the_tenant_is_to_leave(
    generation: int, *, is_heard: bool
) -> None:
    async def main() -> Any:
        on = await guest()
        await on.hears(1, "Bound", 1)
        await on.hears(2, "Enforced", 1)
        await on.is_drained(generation)
        begun = on.ctx.now()
        await on.hears(3, "Unbinding", 3)
        return await on.isolation(), (on.ctx.now() - begun).total_seconds()

    isolation, took_s = run_virtual(main())

    assert isolation.drained is is_heard
    assert (took_s < 60) is is_heard
