"""The engine over the API of a real Kubernetes: a namespace is there, and goes with its stack."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from local_cloud.infrastructure.step_engine import StepEngine
from shared.contracts.environments import ComputeTarget
from shared.contracts.values import ComputeTargetKind
from shared.infrastructure.inputs import ComputeTargetInput
from shared.infrastructure.port import StackName
from shared.kernel.clock import SystemClock
from shared.kernel.ids import ProjectId, TenantId, environment_id, environment_key
from shared.kernel.observation import Absent
from shared.surfaces.aks.cluster_access import ClusterAccess, KubeconfigSource
from shared.surfaces.aks.names import Installation
from shared.surfaces.aks.surface import AksSurface
from tests.infrastructure.installations import FENCE, LATER, inputs
from tests.kit.cluster_rights import confined_kubeconfig
from tests.kit.kubernetes_cluster import KubernetesCluster, kubernetes_cluster, namespace, until
from tests.kit.memory_engine import MemoryCloud, memory_engine
from tests.kit.stack_runs import destroy, update

__all__ = ["kubernetes_cluster", "namespace"]

pytestmark = pytest.mark.real


@pytest.fixture
async def engine(
    kubernetes_cluster: KubernetesCluster, tmp_path: Path
) -> AsyncIterator[StepEngine]:
    """Yield an engine that has the rights of the platform, and no others."""
    clock = SystemClock()
    source = KubeconfigSource(confined_kubeconfig(kubernetes_cluster, tmp_path), None, clock)
    access = ClusterAccess(source, clock)
    sites = {ComputeTargetKind.AKS: AksSurface(access.client, clock)}
    yield memory_engine(MemoryCloud(), sites)
    await access.close()


@pytest.mark.long
async def test_an_environment_has_its_namespace_until_it_is_destroyed(
    engine: StepEngine, kubernetes_cluster: KubernetesCluster, namespace: str
) -> None:
    owner = TenantId("acme")
    environment = environment_id(environment_key(owner, ProjectId("shop"), namespace))
    wanted = inputs(environment_id=environment, compute_targets=(ComputeTargetInput("AKS"),))
    stack, place = StackName(environment), Installation().namespace(environment, owner)

    def phases() -> list[str]:
        found = kubernetes_cluster.read("namespaces")["items"]
        return [each["status"]["phase"] for each in found if each["metadata"]["name"] == place]

    made = await update(engine, stack, wanted, FENCE)

    assert phases() == ["Active"]
    (target,) = made.outputs["computeTargets"]
    assert ComputeTarget.model_validate(target).resource_ids == (environment,)
    assert (await engine.preview(stack, wanted)).is_empty
    assert (await engine.refresh(stack, FENCE)).changed == ()
    assert (await update(engine, stack, replace(wanted, tags={"owner": "shop"}), FENCE)).left == ()

    assert (await destroy(engine, stack, LATER)).left == ()
    assert await engine.read(stack) == Absent()
    until(lambda: not phases())
