"""A module on each real surface: processes of this machine, and pods of a real Kubernetes.

What an instance has is asked from its process; of values of secrets it answers digests.
"""

import asyncio
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

from function_apps.deployments.ports import LOCAL_RULES
from local_agent.shutdown import stop_agent, stop_everything
from local_cloud.blobs import FolderBlobs
from local_cloud.vault.vault import LocalVault, Vaults
from shared.contracts.configuration_merge import hash_of
from shared.contracts.storage import ARTIFACTS
from shared.contracts.strategies import RolloutDefaults
from shared.contracts.values import ComputeTargetKind
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.kernel.fence import Fence
from shared.kernel.observation import Present
from shared.surfaces.boundaries import BoundarySpec
from shared.surfaces.observed_state import Instance
from shared.surfaces.port import Boundaries
from shared.vault.port import SecretValue
from tests.deployments.driven import SHOP, TEST, Driven, driven
from tests.deployments.places import SECRETS, Given, digest_of
from tests.deployments.told_secrets import KEY, VAULT
from tests.kit.kubernetes_cluster import KubernetesCluster
from tests.kit.machine_processes import workloads_below
from tests.kit.patience import PATIENCE_S
from tests.kit.pod_cluster import PROGRAM, PodCluster
from tests.kit.service import TENANT
from tests.surfaces.aks_harness import ask as ask_pod
from tests.surfaces.local_process_harness import Agent
from tests.surfaces.local_process_harness import ask as ask_process
from tests.system.cluster_releases import PLACE, ClusterReleases, cluster_releases

IDENTITY: Final = "99999999-8888-7777-6666-555555555555"
"""Of the tenant, as which a node's driver reads its vault."""
RULES: Final = replace(LOCAL_RULES, rollout=RolloutDefaults(drain=timedelta(seconds=1)))
"""No request is on its way that a longer drain would wait for."""
AZURE_VAULT: Final = VAULT.removeprefix("https://").partition(".")[0]


@dataclass
class RealPlace(ABC):
    """Instances that are processes, and a vault that has values."""

    world: Driven
    vault: str
    _vault: LocalVault
    _ask: Callable[[Instance, str], Awaitable[Mapping[str, Any]]]
    _programs: dict[str, str] = field(default_factory=dict)
    """The digest of each artifact or image by that of its program."""
    _versions: dict[str, str] = field(default_factory=dict)
    """Each version of a secret by the digest of its value."""

    async def component(self, content: str, **more: Any) -> Mapping[str, Any]:
        program = f"{PROGRAM}# {content}\n"
        component = await self.made(content, program, **more)
        self._programs[_digest(program)] = digest_of(component)
        return component

    @abstractmethod
    async def made(self, content: str, program: str, **more: Any) -> Mapping[str, Any]:
        """Return the component of *program*, whose version is *content*."""

    async def add_version(self, secret: str) -> str:
        value = SystemEntropy().uuid().hex
        version = (await self._vault.set(secret, SecretValue(value))).version
        self._versions[_digest(value)] = version
        return version

    async def disable(self, secret: str, version: str) -> None:
        await self._vault.set_enabled(secret, version, enabled=False)

    async def given(self) -> Sequence[Given]:
        (surface,) = self.world.app.surfaces.values()
        live = await surface.observe(self.world.surface_component(SHOP))
        assert isinstance(live, Present), live
        instances = [each for revision in live.value.revisions for each in revision.instances]
        return [self._given(await self._ask(each, "/given")) for each in instances]

    def _given(self, answer: Mapping[str, Any]) -> Given:
        secrets = {}
        for name, bound in SECRETS.items():
            kind = "files" if bound.delivery == "file" else "variables"
            if digest := answer[kind].get(bound.target):
                secrets[name] = self._versions[digest]
        return Given(
            answer["revision"],
            self._programs[answer["program"]],
            hash_of(json.loads(answer["configuration"]["configuration.json"])),
            secrets,
        )


@dataclass
class ProcessPlace(RealPlace):
    """Its programs are artifacts, and its secrets are read by the agent."""

    folder: Path = field(kw_only=True)

    async def made(self, content: str, program: str, **more: Any) -> Mapping[str, Any]:
        environ = {"VERSION": content, "HOST": "127.0.0.1"}
        return await self.world.component(
            program,
            version=content,
            environ=environ,
            pathPrefix="/",
            probes={"readiness": {"path": "/ready"}},
            release={"path": "/version", "field": "release.version"},
            **more,
        )

    async def given(self) -> Sequence[Given]:
        found = await super().given()
        assert len(workloads_below(self.folder)) == len(found), "a process is no instance"
        return found


@dataclass
class PodPlace(RealPlace):
    """Its programs are images, and its secrets are read by the driver of the nodes."""

    cluster: ClusterReleases = field(kw_only=True)
    folder: Path = field(kw_only=True)
    _images: dict[str, str] = field(default_factory=dict)

    async def made(self, content: str, program: str, **more: Any) -> Mapping[str, Any]:
        if content not in self._images:
            digest = self.cluster.pods.push(program, self.folder / content)
            self._images[content] = f"{self.cluster.pods.image}@{digest}"
        return self.cluster.described(content, image=self._images[content], **more)


@asynccontextmanager
async def process_place(folder: Path) -> AsyncIterator[ProcessPlace]:
    """Have the module as processes below *folder*, by an agent in a process of its own."""
    world, agent = driven(rules=RULES), Agent(folder)
    world.patience_s = PATIENCE_S
    vault = Vaults(folder / "vaults", SystemClock(), SystemEntropy()).open(KEY)
    world.app = replace(
        world.app,
        surfaces={ComputeTargetKind.LOCAL_PROCESS: agent.surface},
        blobs=FolderBlobs(folder / "blobs" / ARTIFACTS),
    )
    try:
        await agent.surface.ensure_site(PLACE, Fence(1, "op", "site"))
        await world.tell()
        uri = f"https://{KEY}.vault.localhost"
        yield ProcessPlace(world, uri, vault, ask_process, folder=folder)
    finally:
        vault.close()
        await stop_agent(folder, SystemClock())
        await stop_everything(folder / "surface", SystemClock())


@asynccontextmanager
async def pod_place(pods: PodCluster, vaults: Vaults, folder: Path) -> AsyncIterator[PodPlace]:
    """Have the module as pods of a cluster whose nodes have a driver over *vaults*."""
    vault = vaults.open(AZURE_VAULT)
    async with cluster_releases(pods, RULES) as cluster:
        boundaries = cast("Boundaries", cluster.surface)
        bounded = BoundarySpec(TEST, TENANT, identity=IDENTITY)
        await boundaries.ensure_boundary(bounded, Fence(1, "op", "site"))
        cluster.world.patience_s = PATIENCE_S
        cluster.world.surroundings = partial(objects_of, pods.cluster, cluster.namespace)
        ask = partial(ask_pod, cluster.harness.api, cluster.namespace)
        try:
            yield PodPlace(cluster.world, VAULT, vault, ask, cluster=cluster, folder=folder)
        finally:
            vault.close()


async def objects_of(cluster: KubernetesCluster, namespace: str) -> str:
    """Return the objects of *namespace*, as the administrator sees them."""
    kinds = "pods,deployments,replicasets,services,endpointslices,httproutes,events"
    words = ("get", kinds, "--namespace", namespace, "-o", "wide")
    return await asyncio.to_thread(cluster.kubectl, *words)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
