"""Of a revision that is scaled down the newest pods go, whatever else is there of it."""

from dataclasses import replace
from typing import Any, Final

import pytest

from shared.surfaces.aks import surface
from shared.surfaces.aks.kinds import PODS
from shared.surfaces.aks.names import Installation
from shared.surfaces.aks.surface import AksSurface
from tests.kit.memory_api_server import MemoryApiServer
from tests.kit.virtual_time import LoopClock, run_virtual
from tests.surfaces.harness import SHOP, SITE, TEMPLATE, fence

NAMESPACE: Final = Installation().namespace(SHOP.environment, SHOP.tenant)
COST: Final = "controller.kubernetes.io/pod-deletion-cost"


def add_pod(server: MemoryApiServer, name: str, phase: str = "Running", cost: str = "") -> None:
    metadata = {
        "name": name,
        "namespace": NAMESPACE,
        "labels": Installation().of_revision(SHOP, 1),
        "annotations": {COST: cost} if cost else {},
        "creationTimestamp": f"2025-12-31T23:00:0{name[-1]}Z",
        "resourceVersion": "0",
        "uid": name,
    }
    server.objects[PODS, NAMESPACE, name] = {"metadata": metadata, "status": {"phase": phase}}


def marked(server: MemoryApiServer) -> list[str]:
    return [
        name
        for (kind, _, name), found in server.objects.items()
        if kind is PODS and found["metadata"]["annotations"].get(COST)
    ]


@pytest.mark.parametrize(
    ("pods", "first_to_go"),
    [
        pytest.param({"p1": {}, "p2": {}, "p3": {}}, ["p2", "p3"], id="by-age"),
        pytest.param(
            {"p0": {"phase": "Failed"}, "p1": {}, "p2": {}, "p3": {}}, ["p2", "p3"],
            id="one-was-evicted",
        ),
        pytest.param(
            {"p1": {"cost": "-1000"}, "p2": {}, "p3": {}}, ["p2", "p3"],
            id="a-mark-of-a-write-that-was-killed",
        ),
        pytest.param({"p1": {"cost": "5"}, "p2": {}}, ["p1", "p2"], id="others-marked-one"),
    ],
)  # fmt: skip
def test_the_newest_of_those_that_run_are_marked(
    monkeypatch: pytest.MonkeyPatch, pods: dict[str, dict[str, Any]], first_to_go: list[str]
) -> None:
    async def main() -> None:
        server = MemoryApiServer()
        monkeypatch.setattr(surface, "ClusterApi", lambda _: server)
        opened = AksSurface(_nobody, LoopClock())
        await opened.ensure_site(SITE, fence(1))
        await opened.apply(replace(TEMPLATE, image="registry.example/shop", replicas=3), fence(1))
        for name, how in pods.items():
            add_pod(server, name, **how)

        await opened.scale(SHOP, 1, 1, fence(1))

        assert marked(server) == first_to_go

    run_virtual(main())


async def _nobody() -> None:
    raise AssertionError("nothing is connected here")
