"""Quotas and policies of a cluster are reasons; what a cluster adds by itself is no difference."""

from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest

from shared.kernel.fence import StaleFence
from shared.kernel.observation import Present
from shared.surfaces.aks.answer_shapes import named_object
from shared.surfaces.aks.kinds import DEPLOYMENTS, Kind
from shared.surfaces.capabilities import Feature
from shared.surfaces.errors import ObjectRefused
from shared.surfaces.observed_state import Phase
from shared.surfaces.properties import differences, revision_properties
from tests.surfaces.aks_harness import AksHarness
from tests.surfaces.harness import SHOP, SurfaceHarness, fence

RunScenario = Callable[[Callable[[SurfaceHarness], Coroutine[Any, Any, None]]], None]
pytestmark = pytest.mark.shows(Feature.IMAGES, on="aks")
QUOTAS = Kind("v1", "ResourceQuota", "resourcequotas")


@pytest.mark.long
def test_a_quota_is_the_reason_why_there_are_no_pods(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        cluster = cast("AksHarness", harness)
        metadata = {"name": "tight", "namespace": cluster.namespace}
        quota = {"apiVersion": "v1", "kind": QUOTAS.name, "metadata": metadata}
        await cluster.api.create(QUOTAS, {**quota, "spec": {"hard": {"pods": "1"}}})

        await harness.surface.apply(harness.spec(1, replicas=2), fence(1))

        live = await harness.until(
            lambda live: (
                any(each.failed_starts for each in live.revisions[0].instances)
                and live.revisions[0].ready == 1
            )
        )
        refused = next(each for each in live.revisions[0].instances if each.failed_starts)
        assert live.revisions[0].phase is Phase.STARTING
        assert refused.reason == live.revisions[0].reason == "CannotStart"
        assert "exceeded quota: tight" in refused.message

    run_scenario(scenario)


@pytest.mark.long
def test_what_the_cluster_does_not_take_is_refused_in_its_words(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        with pytest.raises(ObjectRefused, match=r"containerPort.*65535"):
            await harness.surface.apply(harness.spec(1, port=70_000), fence(1))

    run_scenario(scenario)


@pytest.mark.long
def test_what_others_add_is_kept_and_is_no_conflict(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        cluster = cast("AksHarness", harness)
        spec = harness.spec(1)
        await harness.serve(spec, weights={1: 100})
        path = DEPLOYMENTS.path(cluster.namespace, "module-shop-r1")
        added = {"metadata": {"annotations": {"mesh.example/inject": "yes"}}}
        await cluster.api._json(
            "PATCH",
            path,
            params={"fieldManager": "mesh"},
            body=added,
            content_type="application/merge-patch+json",
            shape=named_object,
        )

        await harness.surface.apply(spec, fence(2))

        found = await cluster.api.get(DEPLOYMENTS, "module-shop-r1", cluster.namespace)
        live = await harness.surface.properties(SHOP)
        proofs = await harness.surface.prove(SHOP)
        assert found is not None
        assert found["metadata"]["annotations"]["mesh.example/inject"] == "yes"
        assert isinstance(live, Present)
        assert differences(revision_properties(spec, weight=100), live.value[1]) == ()
        assert isinstance(proofs, Present)
        assert [proof.departs for proof in proofs.value] == [()]

    run_scenario(scenario)


@pytest.mark.long
def test_an_old_token_is_refused_after_its_site_was_deleted(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        await harness.surface.apply(harness.spec(1, replicas=0), fence(7))
        site = SHOP.environment
        await harness.surface.delete_site(site, fence(7))

        with pytest.raises(StaleFence):
            await harness.surface.delete_site(site, fence(6))

    run_scenario(scenario)
