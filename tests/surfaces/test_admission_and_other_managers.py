"""Admission and other field managers: no conflict of the platform's making, no false difference."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final, cast

import pytest

from shared.kernel.observation import Present
from shared.surfaces.aks import revisions
from shared.surfaces.aks.answer_shapes import named_object
from shared.surfaces.aks.cluster_api import Object
from shared.surfaces.aks.kinds import DEPLOYMENTS, PODS, Kind
from shared.surfaces.capabilities import Feature
from shared.surfaces.errors import FieldTaken
from shared.surfaces.properties import Difference, differences, revision_properties
from shared.surfaces.spec import Resources, RevisionSpec
from tests.kit.admission import Admitted, admission
from tests.surfaces.aks_harness import AksHarness
from tests.surfaces.harness import SHOP, SurfaceHarness, fence

RunScenario = Callable[[Callable[[SurfaceHarness], Coroutine[Any, Any, None]]], None]
pytestmark = pytest.mark.shows(Feature.IMAGES, on="aks")
NAME: Final = "module-shop-r1"


@asynccontextmanager
async def mutated(cluster: AksHarness, kind: Kind, *mutations: str) -> AsyncIterator[None]:
    """Let admission do *mutations* to each object of *kind* meanwhile."""
    probe = revisions.deployment(cluster.spec(99), cluster.installation)
    if kind is PODS:
        template = probe["spec"]["template"]
        metadata = {**template["metadata"], "name": "probe", "namespace": cluster.namespace}
        probe = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
    name = cluster.installation.name
    async with admission(cluster.api, name, Admitted(kind), mutations, probe):
        yield


async def deployment(cluster: AksHarness) -> Object:
    found = await cluster.api.get(DEPLOYMENTS, NAME, cluster.namespace)
    assert found is not None
    return found


async def drift(harness: SurfaceHarness, spec: RevisionSpec, weight: int) -> list[Difference]:
    live = await harness.surface.properties(SHOP)
    assert isinstance(live, Present), live
    desired = revision_properties(spec, weight=weight)
    return list(differences(desired, live.value[spec.revision]))


async def departures(harness: SurfaceHarness) -> set[str]:
    proofs = await harness.surface.prove(SHOP, 1)
    assert isinstance(proofs, Present), proofs
    return {each.split(" is ")[0] for proof in proofs.value for each in proof.departs}


async def patched(cluster: AksHarness, manager: str, container: Object) -> None:
    """Change the container as *manager* does, by a patch."""
    pods = {"containers": [{"name": "main", **container}]}
    await cluster.api._json(
        "PATCH",
        DEPLOYMENTS.path(cluster.namespace, NAME),
        params={"fieldManager": manager},
        body={"spec": {"template": {"spec": pods}}},
        content_type="application/strategic-merge-patch+json",
        shape=named_object,
    )


@pytest.mark.parametrize("kind", [DEPLOYMENTS, PODS], ids=lambda kind: kind.plural)
def test_what_admission_adds_is_no_difference_and_no_conflict(
    run_scenario: RunScenario, kind: Kind
) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        cluster = cast("AksHarness", harness)
        image = f"{harness.template.image}@{harness.template.artifact}"
        async with mutated(cluster, kind, *Admitted(kind).additions(image)):
            one, two = harness.spec(1), harness.spec(2)
            await harness.serve(one, weights={1: 100})

            before = await deployment(cluster)
            for token in (2, 3):
                await harness.surface.apply(one, fence(token))
            after = await deployment(cluster)

            assert after["metadata"]["generation"] == before["metadata"]["generation"]
            assert await drift(harness, one, 100) == []
            assert await departures(harness) == set()
            labels = {"factory-runtime/module": SHOP.module}
            pods, _ = await cluster.api.list_all(
                PODS, labels, namespace=cluster.namespace, keep=lambda each: each
            )
            (names,) = [{each["name"] for each in pod["spec"]["containers"]} for pod in pods]
            assert names == {"main", "mesh"}
            harness.tokens = 4
            await harness.serve(two, weights={2: 100})
            await harness.surface.remove(SHOP, 1, fence(4))

    run_scenario(scenario)


def test_what_admission_changes_is_a_live_value_and_no_conflict(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        cluster, admitted = cast("AksHarness", harness), Admitted(DEPLOYMENTS)
        limits = Resources(memory_mb=256)
        environ = {"A_MODE": "fast", "VERSION": "1.0"}
        spec = harness.spec(1, replicas=2, environ=environ, resources=limits)
        container, bounds = "/spec/containers/0", "{'memory': '128Mi'}"
        clamp = "JSONPatch{op: 'replace', path: '/spec/replicas', value: 1}"
        mutations = [
            admitted.add(f"{container}/image", f"'{spec.image}:1'"),
            admitted.add(f"{container}/resources/limits", bounds),
            admitted.add(f"{container}/resources/requests", bounds),
            admitted.add(f"{container}/env/0/value", "'slow'"),  # they are sorted by name
            f"object.spec.replicas > 1 ? [{clamp}] : []",
        ]
        async with mutated(cluster, DEPLOYMENTS, *mutations):
            await harness.serve(spec, weights={1: 100})
            before = await deployment(cluster)
            for token in (2, 3):
                await harness.surface.apply(spec, fence(token))
                await harness.surface.scale(SHOP, 1, 2, fence(token))

            after = await deployment(cluster)
            assert after["metadata"]["generation"] == before["metadata"]["generation"]
            found = {each.path: each.actual for each in await drift(harness, spec, 100)}
            assert found == {
                "image": f"{spec.image}:1",
                "environ/A_MODE": "slow",
                "resources/memoryMib": "128",
                "resources/requests/memory": str(128 << 20),
                "replicas": "1",
            }
            assert await departures(harness) == found.keys() - {"replicas"}

    run_scenario(scenario)


def test_what_another_manager_adds_is_kept_and_is_a_live_value(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        cluster, spec = cast("AksHarness", harness), harness.spec(1)
        await harness.serve(spec, weights={1: 100})
        await patched(
            cluster,
            "kubectl-edit",
            {
                "env": [{"name": "DEBUG", "value": "1"}],
                "resources": {"limits": {"memory": "64Mi"}},
                "volumeMounts": [{"name": "scratch", "mountPath": "/var/cache"}],
                "securityContext": {"runAsUser": 1234},
            },
        )

        for token in (2, 3):
            await harness.surface.apply(spec, fence(token))

        assert [(each.path, each.desired) for each in await drift(harness, spec, 100)] == [
            ("environ/DEBUG", None),
            ("mounts/var/cache", None),
            ("resources/memoryMib", None),
            ("security/runAsUser", None),
        ]

    run_scenario(scenario)


def test_an_operator_that_fights_for_a_field_is_named_and_left_alone(
    run_scenario: RunScenario,
) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        cluster = cast("AksHarness", harness)
        spec = harness.spec(1, replicas=0, environ={"MODE": "fast"})
        await harness.surface.apply(spec, fence(1))
        put_back: list[str] = []

        async def operate() -> None:
            """Set the variable again wherever it is not as it was set."""
            while True:
                found = await deployment(cluster)
                environ = found["spec"]["template"]["spec"]["containers"][0]["env"]
                mode = next(each["value"] for each in environ if each["name"] == "MODE")
                if mode != "slow":
                    put_back.append(mode)
                    await patched(cluster, "tuner", {"env": [{"name": "MODE", "value": "slow"}]})
                await harness.clock.sleep(0.05)

        operator = asyncio.create_task(operate())
        try:
            while not put_back:
                await harness.clock.sleep(0.05)
            for token in (2, 3, 4):
                with pytest.raises(FieldTaken, match=r"MODE.*value is owned by tuner"):
                    await harness.surface.apply(spec, fence(token))
        finally:
            operator.cancel()
            await asyncio.gather(operator, return_exceptions=True)

        assert put_back == ["fast"]
        assert [each.actual for each in await drift(harness, spec, 0)] == ["slow"]

    run_scenario(scenario)
