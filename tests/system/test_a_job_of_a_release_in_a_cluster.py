"""A job of a release on a real Kubernetes ends first; one that fails takes the release back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from function_apps.deployments.ports import LOCAL_RULES
from shared.composition.images import image_registries
from shared.composition.settings import LOCAL as LOCAL_PROFILE
from shared.composition.settings import PROFILE, read_settings
from shared.contracts.deployments import DeploymentStatus
from shared.contracts.values import ComputeTargetKind
from shared.images.image_rules import ImageRule, ImageRules
from shared.kernel.clock import SystemClock
from shared.kernel.fence import Fence
from shared.kernel.observation import Present
from shared.surfaces.observed_state import LiveComponent, Phase
from shared.surfaces.spec import SiteSpec
from tests.deployments.driven import SHOP, TEST, Driven, driven
from tests.kit.kubernetes_cluster import kubernetes_cluster
from tests.kit.pod_cluster import PodCluster, pod_cluster
from tests.kit.service import TENANT
from tests.surfaces.aks_harness import aks_harness

__all__ = ["kubernetes_cluster", "pod_cluster"]

pytestmark = [pytest.mark.real, pytest.mark.long]
AKS = ComputeTargetKind.AKS
JOB = "module-migrate"


def nobody() -> Any:
    raise AssertionError("a registry of this machine is asked as nobody")


@asynccontextmanager
async def real_surface(cluster: PodCluster) -> AsyncIterator[Driven]:
    allowed = ImageRules({"*": ImageRule("*", [cluster.image.partition("/")[0]])})
    world = driven(rules=replace(LOCAL_RULES, images=allowed))
    images = image_registries(read_settings({PROFILE: LOCAL_PROFILE}), SystemClock(), nobody)
    async with aks_harness(cluster) as harness:
        world.app = replace(world.app, surfaces={AKS: harness.surface}, images=images)
        place = SiteSpec(TEST, TENANT, "test", "test")
        await harness.surface.ensure_site(place, Fence(1, "op", "site"))
        await world.tell(targets=(AKS,))
        yield world
        await harness.surface.delete_site(TEST, Fence(1_000_000, "op", "end"))


async def released(world: Driven, cluster: PodCluster, version: str, program: str) -> Any:
    both = {
        "version": version,
        "image": f"{cluster.image}@{cluster.digest}",
        "computeTarget": AKS,
        "environ": {"VERSION": version},
    }
    web = {
        **both,
        "moduleId": SHOP,
        "componentType": "microservice",
        "command": list(cluster.command),
        "port": 8080,
        "dependsOn": [JOB],
        "probes": {"readiness": {"path": "/ready"}},
    }
    migrate = {
        **both,
        "moduleId": JOB,
        "componentType": "worker",
        "command": [*cluster.command[:2], "-c", program],
        "runsOnce": {"timeLimit": "PT2M"},
    }
    answer = await world.deploy(web, migrate)
    await world.settle()
    return await world.deployment(answer["deploymentId"])


async def live(world: Driven, module: str) -> LiveComponent:
    reading = await world.app.surfaces[AKS].observe(world.surface_component(module))
    assert isinstance(reading, Present), reading
    return reading.value


def test_a_job_ends_before_the_release_has_traffic(pod_cluster: PodCluster) -> None:
    async def main() -> None:
        async with real_surface(pod_cluster) as world:
            done = await released(world, pod_cluster, "1", "import time; time.sleep(3)")

            assert done.status is DeploymentStatus.COMPLETED, done.reason
            assert {each.module_id for each in done.proof.instances} == {JOB, SHOP}
            job, web = await live(world, JOB), await live(world, SHOP)
            assert job.revisions[0].phase is Phase.COMPLETE
            ran_since = job.revisions[0].instances[0].started_at
            served_since = web.revisions[0].instances[0].started_at
            assert (served_since - ran_since).total_seconds() >= 3
            assert web.weights == {1: 100}

    asyncio.run(main())


def test_a_job_that_fails_takes_the_release_back_with_its_output(
    pod_cluster: PodCluster,
) -> None:
    async def main() -> None:
        async with real_surface(pod_cluster) as world:
            await released(world, pod_cluster, "1", "print('done')")

            done = await released(
                world, pod_cluster, "2", "print('no column total'); raise SystemExit(3)"
            )

            assert done.status is DeploymentStatus.ROLLED_BACK, done.reason
            assert done.reason.code == "JobFailed"
            assert "exit status 3" in done.reason.message
            assert "its last lines:\nno column total" in done.reason.message
            assert "a rollback runs no job again: module-migrate" in done.reason.message
            job, web = await live(world, JOB), await live(world, SHOP)
            assert [each.revision for each in job.revisions] == [1]
            assert web.weights == {1: 100}

    asyncio.run(main())
