"""A revision that a gateway may still send requests to is not removed."""

import pytest

from shared.surfaces.aks import surface
from shared.surfaces.aks.cluster_api import Object
from shared.surfaces.aks.kinds import DEPLOYMENTS, GATEWAY_CLASSES, ROUTES
from shared.surfaces.aks.surface import AksSurface
from shared.surfaces.errors import TrafficUnavailable
from tests.aks.test_an_overtaken_writer_changes_nothing import (
    NAMESPACE,
    add_ready_pod,
    nobody,
    revision,
)
from tests.kit.memory_api_server import MemoryApiServer
from tests.kit.virtual_time import LoopClock, run_virtual
from tests.surfaces.harness import SHOP, SITE, fence

ROUTE = ROUTES, NAMESPACE, "module-shop"


def _accept(found: Object, *kinds: str) -> None:
    """Let a gateway say *kinds* of *found* as it is now."""
    generation = found["metadata"]["generation"] = 2
    conditions = [
        {"type": each, "status": "True", "observedGeneration": generation} for each in kinds
    ]
    found["status"] = {"conditions": conditions, "parents": [{"conditions": conditions}]}


def test_it_is_removed_once_the_weights_are_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        server = MemoryApiServer()
        monkeypatch.setattr(surface, "ClusterApi", lambda _: server)
        opened = AksSurface(nobody, LoopClock())
        await opened.ensure_site(SITE, fence(1))
        for number in (1, 2):
            await opened.apply(revision(number), fence(1))
            add_ready_pod(server, number)
        server.objects[GATEWAY_CLASSES, None, "c"] = {"metadata": {"name": "c"}}
        _accept(server.objects[GATEWAY_CLASSES, None, "c"], "Accepted")
        await LoopClock().sleep(61)
        before = {key for key in server.objects if key[0] is DEPLOYMENTS}

        with pytest.raises(TrafficUnavailable, match="has not taken in the weights"):
            await opened.set_weights(SHOP, {2: 100}, fence(1))
        with pytest.raises(TrafficUnavailable, match="has not taken in the weights"):
            await opened.remove(SHOP, 1, fence(1))
        assert {key for key in server.objects if key[0] is DEPLOYMENTS} == before

        _accept(server.objects[ROUTE], "Accepted", "ResolvedRefs")
        await opened.remove(SHOP, 1, fence(1))
        left = before - {key for key in server.objects if key[0] is DEPLOYMENTS}
        assert [name for _, _, name in left] == ["module-shop-r1"]

    run_virtual(main())
