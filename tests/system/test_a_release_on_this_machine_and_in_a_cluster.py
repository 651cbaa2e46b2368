"""A release on both real surfaces: processes of this machine, and pods of a real Kubernetes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from function_apps.deployments.ports import LOCAL_RULES
from local_agent.surface import LocalProcessSurface
from local_agent.vault_folder import VaultFolder
from shared.composition.images import image_registries
from shared.composition.settings import LOCAL as LOCAL_PROFILE
from shared.composition.settings import PROFILE, read_settings
from shared.contracts.values import ComputeTargetKind
from shared.images.image_rules import ImageRule, ImageRules
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.kernel.fence import Fence
from shared.kernel.observation import Present
from shared.surfaces.spec import SiteSpec
from tests.deployments.driven import CART, SHOP, TEST, Driven, driven
from tests.kit.kubernetes_cluster import kubernetes_cluster
from tests.kit.pod_cluster import PodCluster, pod_cluster
from tests.kit.service import TENANT
from tests.surfaces.aks_harness import aks_harness
from tests.surfaces.local_process_harness import SERVER

__all__ = ["kubernetes_cluster", "pod_cluster"]

pytestmark = [pytest.mark.real, pytest.mark.long(minutes=2)]

LOCAL, AKS = ComputeTargetKind.LOCAL_PROCESS, ComputeTargetKind.AKS
PLACE = SiteSpec(TEST, TENANT, "test", "test")
LAST = Fence(1_000_000, "op", "end")


def nobody() -> Any:
    raise AssertionError("a registry of this machine is asked as nobody")


@asynccontextmanager
async def two_real_surfaces(cluster: PodCluster, folder: Path) -> AsyncIterator[Driven]:
    rules = replace(
        LOCAL_RULES, images=ImageRules({"*": ImageRule("*", [cluster.image.partition("/")[0]])})
    )
    world = driven(rules=rules)
    images = image_registries(read_settings({PROFILE: LOCAL_PROFILE}), SystemClock(), nobody)
    clock, entropy = SystemClock(), SystemEntropy()
    secrets = VaultFolder(folder / "vaults", clock, entropy)
    machine = LocalProcessSurface(folder / "surface", world.app.blobs, secrets, clock, entropy)
    supervising = asyncio.create_task(machine.supervise())
    async with aks_harness(cluster) as harness:
        surfaces = {LOCAL: machine, AKS: harness.surface}
        world.app = replace(world.app, surfaces=surfaces, images=images)
        try:
            for surface in (machine, harness.surface):
                await surface.ensure_site(PLACE, Fence(1, "op", "site"))
            await world.tell(targets=(LOCAL, AKS))
            yield world
        finally:
            for surface in (machine, harness.surface):
                await surface.delete_site(TEST, LAST)
            supervising.cancel()
            with suppress(asyncio.CancelledError):
                await supervising


async def released(world: Driven, cluster: PodCluster, version: str) -> Any:
    shop = await world.component(
        SERVER + f"# {version}\n",
        version=version,
        computeTarget=LOCAL,
        environ={"VERSION": version},
        probes={"readiness": {"path": "/"}},
    )
    cart = {
        "moduleId": CART,
        "componentType": "microservice",
        "version": version,
        "image": f"{cluster.image}@{cluster.digest}",
        "command": list(cluster.command),
        "port": 8080,
        "computeTarget": AKS,
        "environ": {"VERSION": version},
        "dependsOn": [SHOP],
        "probes": {"readiness": {"path": "/ready"}},
    }
    answer = await world.deploy(shop, cart)
    await world.settle()
    return await world.deployment(answer["deploymentId"])


async def weights(world: Driven) -> dict[str, dict[int, int]]:
    """Return the weights of each component on its surface."""
    found = {}
    for kind, module in ((LOCAL, SHOP), (AKS, CART)):
        reading = await world.app.surfaces[kind].observe(world.surface_component(module))
        found[module] = dict(reading.value.weights) if isinstance(reading, Present) else {}
    return found


def test_it_is_proved_on_both_and_a_bad_one_goes_back_on_both(
    pod_cluster: PodCluster, tmp_path: Path
) -> None:
    async def main() -> None:
        async with two_real_surfaces(pod_cluster, tmp_path) as world:
            first = await released(world, pod_cluster, "1")
            assert first.status == "Completed", first.reason
            assert first.proof is not None
            assert first.proof.whole
            assert await weights(world) == {SHOP: {1: 100}, CART: {1: 100}}

            world.health.bad.add(await world.upload(SERVER + "# 2\n"))
            second = await released(world, pod_cluster, "2")

            assert second.status == "RolledBack", second.reason
            assert await weights(world) == {SHOP: {1: 100}, CART: {1: 100}}

    asyncio.run(main())
