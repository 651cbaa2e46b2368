"""The configuration of a revision is a ConfigMap that nobody changes unseen."""

from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest

from shared.kernel.observation import Present
from shared.surfaces.aks.api_errors import ApiRefusal
from shared.surfaces.aks.cluster_api import Object
from shared.surfaces.aks.kinds import CONFIG_MAPS
from shared.surfaces.properties import Plane, differences, revision_properties
from tests.kit.patience import PATIENCE_S
from tests.surfaces.aks_harness import AksHarness
from tests.surfaces.harness import SHOP, SurfaceHarness, fence
from tests.surfaces.test_contract_of_configuration import configured, proofs

RunScenario = Callable[[Callable[[SurfaceHarness], Coroutine[Any, Any, None]]], None]
pytestmark = pytest.mark.shows(on="aks")
NAME = "module-shop-r1"


async def config_map(cluster: AksHarness) -> Object | None:
    return await cluster.api.get(CONFIG_MAPS, NAME, cluster.namespace)


async def exchange(cluster: AksHarness, data: dict[str, str]) -> None:
    """Make another ConfigMap of the name, as somebody does who may not change it."""
    found = await config_map(cluster)
    assert found is not None
    await cluster.api.delete(CONFIG_MAPS, found)
    kept = {name: found["metadata"][name] for name in ("name", "namespace", "labels")}
    await cluster.api.create(
        CONFIG_MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": kept, "data": data}
    )


def test_it_is_immutable_and_goes_with_its_revision(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        cluster = cast("AksHarness", harness)
        await harness.surface.apply(configured(harness), fence(1))
        found = await config_map(cluster)
        assert found is not None

        with pytest.raises(ApiRefusal, match="immutable"):
            await cluster.api.merge(CONFIG_MAPS, NAME, cluster.namespace, {"data": {"A": "b"}})
        await harness.surface.remove(SHOP, 1, fence(1))

        assert [each["name"] for each in found["metadata"]["ownerReferences"]] == [NAME]
        give_up_at_s = harness.clock.monotonic_s() + PATIENCE_S
        while await config_map(cluster) is not None:
            assert harness.clock.monotonic_s() < give_up_at_s, "the cluster keeps it"
            await harness.clock.sleep(0.1)

    run_scenario(scenario)


def test_one_that_was_exchanged_is_a_difference_by_key_and_disproves_its_pods(
    run_scenario: RunScenario,
) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        cluster = cast("AksHarness", harness)
        spec = configured(harness)
        await harness.serve(spec, weights={1: 100})
        found = await config_map(cluster)
        assert found is not None
        data = {**found["data"], "LOG_LEVEL": "canary-of-a-value", "ADDED": "canary-of-a-value"}
        del data["app.json"]

        await exchange(cluster, data)

        live = await harness.surface.properties(SHOP)
        assert isinstance(live, Present)
        changed = differences(revision_properties(spec, weight=100), live.value[1])
        assert [(each.plane, each.path) for each in changed] == [
            (Plane.CONFIGURATION, "files/app.json"),
            (Plane.CONFIGURATION, "variables/ADDED"),
            (Plane.CONFIGURATION, "variables/LOG_LEVEL"),
        ]
        assert "canary" not in str(changed)
        proof = (await proofs(harness))[1]
        assert [each.partition(" is ")[0] for each in proof.departs] == ["configuration"]
        assert proof.unit["configurationHash"] == ""
        assert "canary" not in str(proof)

    run_scenario(scenario)
