"""Releases of one component on a real cluster, made by the deployments service."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final, cast

from function_apps.deployments.ports import LOCAL_RULES, DeploymentsRules
from shared.composition.images import image_registries
from shared.composition.settings import LOCAL, PROFILE, read_settings
from shared.contracts.values import ComputeTargetKind
from shared.images.image_rules import ImageRule, ImageRules
from shared.kernel.clock import SystemClock
from shared.kernel.errors import Unavailable
from shared.kernel.fence import Fence
from shared.kernel.observation import Present, Unknown
from shared.surfaces.aks.surface import AksSurface
from shared.surfaces.observed_state import LiveComponent
from shared.surfaces.spec import SiteSpec, SurfaceComponent
from tests.deployments.driven import SHOP, TEST, Driven, driven
from tests.kit.pod_cluster import PodCluster
from tests.kit.service import TENANT
from tests.surfaces.aks_harness import AksHarness, aks_harness

AKS: Final = ComputeTargetKind.AKS
PLACE: Final = SiteSpec(TEST, TENANT, "test", "test")


@dataclass
class ClusterReleases:
    """The component SHOP of TEST; `deployments` has the id of each by its version."""

    pods: PodCluster
    harness: AksHarness
    world: Driven
    deployments: dict[str, str] = field(default_factory=dict)

    @property
    def surface(self) -> AksSurface:
        return cast("AksSurface", self.harness.surface)

    @property
    def component(self) -> SurfaceComponent:
        return self.world.surface_component(SHOP)

    @property
    def namespace(self) -> str:
        return self.harness.installation.namespace(TEST, TENANT)

    async def begin(self, version: str, **more: Any) -> str:
        """Ask for a release of *version*; return the id of its deployment."""
        answer = await self.world.deploy(self.described(version, **more))
        self.deployments[version] = answer["deploymentId"]
        return self.deployments[version]

    def described(self, version: str, **more: Any) -> Mapping[str, Any]:
        """Return the component of *version*, as a release has it."""
        return {
            "moduleId": SHOP,
            "componentType": "microservice",
            "version": version,
            "image": f"{self.pods.image}@{self.pods.digest}",
            "command": list(self.pods.command),
            "port": 8080,
            "pathPrefix": "/",
            "computeTarget": AKS,
            "environ": {"VERSION": version},
            "probes": {"readiness": {"path": "/ready"}},
            "release": {"path": "/version", "field": "release.version"},
            **more,
        }

    async def deploy(self, version: str, **more: Any) -> Any:
        """Release *version* and return the deployment when it has ended."""
        deployment = await self.begin(version, **more)
        await self.world.settle()
        return await self.world.deployment(deployment)

    async def roll_back(self, version: str) -> Any:
        """Undo the completed release of *version*; return the deployment that did it."""
        answer = await self.world.rollback(self.deployments[version])
        await self.world.settle()
        return await self.world.deployment(answer["deploymentId"])

    async def live(self) -> LiveComponent:
        reading = await self.surface.observe(self.component)
        if isinstance(reading, Unknown):
            raise Unavailable(reading.reason)
        assert isinstance(reading, Present)
        return reading.value

    async def fence(self, step: str) -> Fence:
        """Return a fence as of a service that acts beside deployments."""
        return Fence((await self.live()).fence, "op-test", step)


@asynccontextmanager
async def cluster_releases(
    pods: PodCluster, rules: DeploymentsRules = LOCAL_RULES
) -> AsyncIterator[ClusterReleases]:
    registry = pods.image.partition("/")[0]
    rules = replace(rules, images=ImageRules({"*": ImageRule("*", [registry])}))
    world = driven(rules=rules)
    images = image_registries(read_settings({PROFILE: LOCAL}), SystemClock(), _nobody)
    async with aks_harness(pods) as opened:
        harness = cast("AksHarness", opened)
        world.app = replace(world.app, surfaces={AKS: harness.surface}, images=images)
        await harness.surface.ensure_site(PLACE, Fence(1, "op", "site"))
        await world.tell(targets=(AKS,))
        yield ClusterReleases(pods, harness, world)


def _nobody() -> Any:
    raise AssertionError("a registry of this machine is asked as nobody")
