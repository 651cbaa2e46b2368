"""The harness of AKS: real pods on a real Kubernetes, each test with an installation of its own."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from local_cluster.gateway_routes import GATEWAY_CLASS
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.kernel.errors import Unavailable
from shared.surfaces.aks.cluster_access import ClusterAccess, KubeconfigSource
from shared.surfaces.aks.cluster_api import ClusterApi
from shared.surfaces.aks.gateway_counters import GatewayCounters
from shared.surfaces.aks.kinds import NAMESPACES, PODS
from shared.surfaces.aks.names import MANAGED, MANAGER, Installation
from shared.surfaces.aks.permissions import POD_SECURITY
from shared.surfaces.aks.surface import AksSurface
from shared.surfaces.observed_state import Instance
from shared.surfaces.spec import HttpProbe, RevisionSpec
from tests.kit.cluster_objects import remove
from tests.kit.pod_cluster import PodCluster
from tests.surfaces.harness import SHOP, SITE, TEMPLATE, SurfaceHarness, fence

if TYPE_CHECKING:
    from lightkube import AsyncClient


DIRECTORY = "11111111-2222-3333-4444-555555555555"
"""Of Entra, in which the vaults of tests would be."""


class Host:
    """A process of the platform, as far as the surface is concerned: its connections, no more."""

    def __init__(self, cluster: PodCluster, installation: Installation) -> None:
        self.cluster = cluster
        self.installation = installation
        self.is_away = False
        self._access = self._opened()
        self._surface: AksSurface | None = None

    def _opened(self) -> ClusterAccess:
        clock = SystemClock()
        return ClusterAccess(KubeconfigSource(self.cluster.platform, None, clock), clock)

    def _counters(self) -> GatewayCounters:
        url = self.cluster.cluster.record.counters
        assert url is not None, "a cluster with pods has traffic"
        return GatewayCounters(url, SystemClock())

    async def connect(self) -> "AsyncClient":
        if self.is_away:
            raise Unavailable("the cluster is not to be reached")
        return await self._access.client()

    def start(self) -> AksSurface:
        self._surface = AksSurface(
            self.connect,
            SystemClock(),
            self.installation,
            gateway_class=GATEWAY_CLASS,
            counters=self._counters(),
            gateway_networks=(self.cluster.gateway_networks,),
            directory=DIRECTORY,
            isolation_image=self.cluster.isolation_image,
        )
        return self._surface

    async def restart(self) -> AksSurface:
        await self.close()
        self._access = self._opened()
        return self.start()

    async def close(self) -> None:
        if self._surface is not None:
            await self._surface.close()
        await self._access.close()

    def go_away(self) -> None:
        self.is_away = True


@dataclass
class AksHarness(SurfaceHarness):
    """A harness that shows the cluster behind the surface too."""

    api: ClusterApi = field(kw_only=True)
    installation: Installation = field(kw_only=True)
    host: Host = field(kw_only=True)

    @property
    def namespace(self) -> str:
        return self.installation.namespace(SHOP.environment, SHOP.tenant)


async def ask(api: ClusterApi, namespace: str, instance: Instance, path: str) -> Mapping[str, Any]:
    """Return what a pod of *namespace* answers, through the API server."""
    asked = PODS.path(namespace, f"{instance.id}:8080", f"/proxy{path}")
    _, body = await api.text(asked, {}, namespace=namespace, at_most=1 << 20, timeout_s=20)
    answered: Mapping[str, Any] = json.loads(body)
    return answered


async def make_installation(api: ClusterApi) -> Installation:
    """Make the namespace of an installation that no other test has."""
    installation = Installation(f"t{SystemEntropy().bits(40):010x}")
    labels = {MANAGED: MANAGER, POD_SECURITY[0]: POD_SECURITY[1][0]}
    metadata = {"name": installation.name, "labels": labels}
    manifest = {"apiVersion": NAMESPACES.version, "kind": NAMESPACES.name, "metadata": metadata}
    await api.create(NAMESPACES, manifest)
    return installation


async def remove_installation(api: ClusterApi, installation: Installation) -> None:
    """Begin to delete all of it; the cluster finishes by itself."""
    of_tests, _ = await api.list_all(NAMESPACES, installation.labels, keep=lambda each: each)
    for name in (*(each["metadata"]["name"] for each in of_tests), installation.name):
        await remove(api, NAMESPACES, name)


@asynccontextmanager
async def aks_harness(cluster: PodCluster) -> AsyncIterator[SurfaceHarness]:
    clock = SystemClock()
    access = ClusterAccess(KubeconfigSource(cluster.cluster.kubeconfig, None, clock), clock)
    api = ClusterApi(access.client)
    installation = await make_installation(api)
    host = Host(cluster, installation)

    async def kill_host() -> None:
        """Nothing of this surface lives in a host."""

    template = replace(
        TEMPLATE,
        image=cluster.image,
        artifact=cluster.digest,
        command=cluster.command,
        readiness=HttpProbe("/ready", period_s=1, timeout_s=2),
    )

    def ending(spec: RevisionSpec, exit_code: int | None) -> RevisionSpec:
        how = f"print('it ends with {exit_code}'); raise SystemExit({exit_code})"
        if exit_code is None:
            how = "import time; print('it runs without end', flush=True); time.sleep(600)"
        return replace(spec, command=(*cluster.command[:2], "-c", how))

    namespace = installation.namespace(SHOP.environment, SHOP.tenant)
    harness = AksHarness(
        host.start(), clock, template, host.restart, kill_host, host.go_away,
        ending=ending, keeps_instances=False, ask=partial(ask, api, namespace),
        api=api, installation=installation, host=host,
    )  # fmt: skip
    async with AsyncExitStack() as at_end:  # each of them, also where another fails
        at_end.push_async_callback(access.close)
        at_end.push_async_callback(host.close)
        at_end.push_async_callback(remove_installation, api, installation)
        await harness.surface.ensure_site(SITE, fence(1, "site"))
        yield harness
