"""A revision of a release has its pinned configuration in a ConfigMap of its own."""

import json
from dataclasses import replace
from typing import Any

import pytest

from shared.kernel.fence import Fence
from shared.surfaces.aks import surface
from shared.surfaces.aks.kinds import CONFIG_MAPS
from shared.surfaces.aks.names import Installation
from shared.surfaces.aks.surface import AksSurface
from shared.surfaces.spec import RevisionSpec, SiteSpec
from tests.deployments.configured import publish
from tests.deployments.driven import SHOP, TEST, Driven, driven
from tests.kit.memory_api_server import MemoryApiServer
from tests.kit.service import TENANT
from tests.kit.virtual_time import LoopClock, run_virtual

FENCE = Fence(1, "op", "apply")


async def nobody() -> None:
    raise AssertionError("nothing is connected here")


def spec_of(world: Driven, number: int) -> RevisionSpec:
    """Return what the surface was asked for, as an image."""
    revisions = world.world.component(world.surface_component(SHOP)).revisions
    return replace(revisions[number].spec, image="registry.test/shop")


def test_it_has_the_content_that_its_release_pinned_also_after_a_rollback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> Any:
        server = MemoryApiServer()
        monkeypatch.setattr(surface, "ClusterApi", lambda _: server)
        cluster = AksSurface(nobody, LoopClock())
        await cluster.ensure_site(SiteSpec(TEST, TENANT, "test", "test"), FENCE)
        world = driven()
        await world.tell()
        component = await world.component("one", configurationDelivery=["json", "variables"])
        for version in (1, 2):
            await publish(world, "module", version, {"log.level": "debug", "n": version})
            last = await world.deploy(component)
            await world.settle()
            await cluster.apply(spec_of(world, version), FENCE)
        await world.rollback(last["deploymentId"])
        await world.settle()
        await cluster.apply(spec_of(world, 3), FENCE)
        namespace = Installation().namespace(TEST, TENANT)
        names = [f"{SHOP}-r{number}" for number in (1, 2, 3)]
        return [await server.get(CONFIG_MAPS, name, namespace) for name in names]

    found = run_virtual(main())

    assert [each["immutable"] for each in found] == [True] * 3
    given = [each["data"] for each in found]
    assert [each["n"] for each in given] == ["1", "2", "1"]
    assert {each["log_level"] for each in given} == {"debug"}
    files = [json.loads(each["configuration.json"]) for each in given]
    assert files == [{"log.level": "debug", "n": number} for number in (1, 2, 1)]
