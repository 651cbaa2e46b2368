"""What kubectl and controllers change on a real Kubernetes is found, and what is harmless is not.

A sample of the kinds of the corpus, which stands an API server in: here it is a real one, with real
pods, and defaults, field managers and versions are its own.
"""

import asyncio
from datetime import timedelta
from random import Random  # noqa: TID251  of a generated environment, from which nothing is drawn
from typing import Any, Final, cast

import pytest

from function_apps.drift.ports import DriftApp, DriftRules
from shared.contracts.drift import DriftDefaults
from shared.contracts.storage import DRIFT_SNAPSHOTS
from shared.surfaces.aks.answer_shapes import named_object
from shared.surfaces.aks.cluster_api import Object
from shared.surfaces.aks.kinds import CONFIG_MAPS, DEPLOYMENTS, ROUTES, SERVICES, Kind
from shared.surfaces.observed_state import Phase
from tests.drift.compared import HASH, dispatcher_of
from tests.drift.drift_corpus import left, told
from tests.drift.generated_environments import SITE, WEB, Environment, spec_of
from tests.kit.memory_cluster import MemoryCluster
from tests.kit.memory_repositories import git_parts
from tests.kit.pod_cluster import PodCluster
from tests.kit.service import bench
from tests.kit.told import component_of, environment, released
from tests.surfaces.aks_harness import AksHarness, aks_harness

REVISION: Final = f"{WEB}-r1"
RULES: Final = DriftRules(DriftDefaults(own_work=timedelta(seconds=2)))
LOOKS: Final = 60


async def released_on(cluster: AksHarness) -> Environment:
    """Return drift over *cluster*, where one service was released and nothing is at work."""
    on = bench("drift")
    app = DriftApp(
        on.service, cluster.surface, {}, {}, {}, on.storage.table(DRIFT_SNAPSHOTS),
        *git_parts(on.service), RULES,
    )  # fmt: skip
    made = Environment(
        bench=on, app=app, dispatcher=dispatcher_of(app), random=Random(1), cluster=None,
        platform=cluster.surface, machines=MemoryCluster(on.service.clock, on.service.entropy),
    )  # fmt: skip
    await made.hear(environment(1))
    await cluster.surface.ensure_site(SITE, made.fence())
    of = cluster.template
    component = released(
        WEB, 1, image=f"{of.image}:1", digest=of.artifact, command=list(of.command),
        environ={"VERSION": "1.0", "MODE": "fast"}, computeTarget="AKS", pathPrefix="/",
        release={"path": "/version", "field": "release.version"}, replicas=1,
        probes={"readiness": {"path": "/ready", "timeout": "PT2S"}},
        resources={"memoryMib": 128, "cpu": 0.1}, configuration={"module": 1, "hash": HASH},
        routing={"weights": {"1": 100}},
    )  # fmt: skip
    spec = spec_of(component)
    await cluster.surface.apply(spec, made.fence())
    await cluster.until(lambda live: live.revisions[0].phase is Phase.READY, component_of(WEB))
    await cluster.surface.set_weights(component_of(WEB), {1: 100}, made.fence())
    made.released[WEB] = component
    await made.tell_end(component)
    for _ in range(3):
        await made.scan_now(after_s=2.5)
    return made


async def patched(cluster: AksHarness, kind: Kind, name: str, patch: Object, how: str) -> None:
    """Change an object as `kubectl` does: by a patch of the type *how*, under its own name."""
    namespace = cluster.installation.namespace(SITE.environment, SITE.tenant)
    await cluster.api._json(
        "PATCH",
        kind.path(namespace, name),
        params={"fieldManager": "kubectl-edit"},
        body=patch,
        content_type=f"application/{how}-patch+json",
        shape=named_object,
    )


def pods(container: Object, **metadata: Any) -> Object:
    containers = [{"name": "main", **container}]
    return {"spec": {"template": {"metadata": metadata, "spec": {"containers": containers}}}}


async def change_nothing_of_a_release(cluster: AksHarness) -> None:
    amounts = {"memory": "131072Ki", "cpu": "0.1"}
    again = {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}
    container = {"resources": {"limits": amounts, "requests": amounts}}
    patch = pods(container, labels={"team": "web"}, annotations=again)
    patch["metadata"] = {"labels": {"team": "web"}}
    await patched(cluster, DEPLOYMENTS, REVISION, patch, "strategic-merge")
    await patched(cluster, ROUTES, WEB, {"metadata": {"labels": {"team": "web"}}}, "merge")


async def tamper(cluster: AksHarness) -> None:
    variables = [{"name": "MODE", "value": "slow"}, {"name": "DEBUG", "value": "1"}]
    patch = pods({"env": variables})
    patch["spec"]["replicas"] = 2
    await patched(cluster, DEPLOYMENTS, REVISION, patch, "strategic-merge")
    header = {"set": [{"name": "x-user", "value": "admin"}]}
    backends = [{"name": REVISION, "port": 80, "weight": 100}, {"name": "mine", "port": 80}]
    rule = {
        "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
        "filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": header}],
        "backendRefs": backends,
    }
    await patched(cluster, ROUTES, WEB, {"spec": {"rules": [rule]}}, "merge")
    selector = {"spec": {"selector": {"factory-runtime/revision": "9"}}}
    await patched(cluster, SERVICES, WEB, selector, "merge")
    namespace = cluster.installation.namespace(SITE.environment, SITE.tenant)
    found = await cluster.api.get(CONFIG_MAPS, REVISION, namespace)
    assert found is not None
    await cluster.api.delete(CONFIG_MAPS, found)
    metadata = {key: found["metadata"][key] for key in ("name", "namespace", "labels")}
    again = {**found, "metadata": metadata, "data": {**found["data"], "rules.yaml": "limits: 9"}}
    await cluster.api.create(CONFIG_MAPS, again)


@pytest.mark.long
@pytest.mark.real
def test_what_is_changed_on_a_cluster_is_found_and_nothing_else(pod_cluster: PodCluster) -> None:
    async def scenario() -> None:
        async with aks_harness(pod_cluster) as harness:
            cluster = cast("AksHarness", harness)
            made = await released_on(cluster)
            await change_nothing_of_a_release(cluster)
            for _ in range(10):
                await made.scan_now(after_s=1)
            harmless = told(made)

            await tamper(cluster)
            expected = {
                ("workload", "environ/MODE"),
                ("workload", "environ/DEBUG"),
                ("workload", "instances"),
                ("replicas", "replicas"),
                ("routing", "filters"),
                ("routing", "backends/mine"),
                ("routing", "service/selector"),
                ("configuration", "files/rules.yaml"),
            }
            found: set[tuple[str, str]] = set()
            for _ in range(LOOKS):
                await made.scan_now(after_s=1)
                found = {(plane, path) for _, plane, path in left(made)}
                if found >= expected:
                    break

            assert harmless == frozenset()
            assert found == expected

    asyncio.run(scenario())
