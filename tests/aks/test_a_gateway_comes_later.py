"""A traffic layer that a cluster gets later takes over what was served without it."""

import pytest

from shared.kernel.errors import Unavailable
from shared.kernel.observation import Present
from shared.surfaces.aks import surface
from shared.surfaces.aks.cluster_api import Object
from shared.surfaces.aks.kinds import GATEWAY_CLASSES, GATEWAYS, ROUTES
from shared.surfaces.aks.names import Installation
from shared.surfaces.aks.surface import AksSurface
from shared.surfaces.aks.traffic_layer import REFRESHED_EVERY_S
from shared.surfaces.capabilities import Feature
from shared.surfaces.errors import StillWeighted
from tests.aks.test_an_overtaken_writer_changes_nothing import add_ready_pod, nobody, revision
from tests.kit.memory_api_server import MemoryApiServer
from tests.kit.virtual_time import LoopClock, run_virtual
from tests.surfaces.harness import SHOP, SITE, fence

NAMESPACE = Installation().namespace(SHOP.environment, SHOP.tenant)


async def weights(opened: AksSurface) -> dict[int, int]:
    reading = await opened.observe(SHOP)
    assert isinstance(reading, Present), reading
    return dict(reading.value.weights)


def test_weights_count_before_and_after(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        server = MemoryApiServer()
        monkeypatch.setattr(surface, "ClusterApi", lambda _: server)
        opened = AksSurface(nobody, LoopClock())
        await opened.ensure_site(SITE, fence(1))
        await opened.apply(revision(1), fence(1))
        add_ready_pod(server, 1)
        await opened.set_weights(SHOP, {1: 100}, fence(1))

        accepted = {"conditions": [{"type": "Accepted", "status": "True"}]}
        found: Object = {"metadata": {"name": "c"}, "status": accepted}
        server.objects[GATEWAY_CLASSES, None, "c"] = found
        await LoopClock().sleep(REFRESHED_EVERY_S + 1)

        with pytest.raises(StillWeighted):
            await opened.remove(SHOP, 1, fence(1))
        with pytest.raises(Unavailable, match="has not taken in the weights"):
            await opened.set_weights(SHOP, {1: 100}, fence(1))
        assert (GATEWAYS, NAMESPACE, "site") in server.objects
        assert await weights(opened) == {1: 100}

        del server.objects[ROUTES, NAMESPACE, "module-shop"]
        assert await weights(opened) == {}

    run_virtual(main())


def test_what_a_cluster_offers_is_read_also_where_a_write_came_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        monkeypatch.setattr(surface, "ClusterApi", lambda _: MemoryApiServer())
        opened = AksSurface(nobody, LoopClock())
        await opened.ensure_site(SITE, fence(1))  # it reads the traffic layer, and no more

        with pytest.raises(Unavailable, match="has not answered yet"):
            opened.capabilities()
        await LoopClock().sleep(1)

        assert not opened.capabilities().supports(Feature.TRAFFIC_SPLIT)

    run_virtual(main())
