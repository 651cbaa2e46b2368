"""The data plane of Gateways survives what fails once, and takes no cluster that Envoy may use."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from local_cluster.cluster_folder import ClusterFolder
from local_cluster.gateway import GatewayDataPlane
from local_cluster.gateway_routes import ClusterObjects, GatewayTable, table_of
from local_cluster.network import ClusterNetwork
from local_cluster.watches import Changes, Key
from shared.kernel.errors import Unavailable
from tests.kit.virtual_time import LoopClock, run_virtual
from tests.local_cluster.test_routes_are_read_as_the_gateway_api_says import objects, route


class Tried(GatewayDataPlane):
    """A data plane whose Envoy is played: it shows what it is told to."""

    shows_routes = True
    fails: Exception | None = None

    def _take_addresses(self, table: GatewayTable) -> None:
        if self.fails is not None:
            raise self.fails

    def _address(self, gateway: Key) -> str:
        return "127.0.0.1"

    async def _shows_clusters(self, names: set[str]) -> bool:
        return True

    async def _shows_routes(self, versions: Mapping[str, str]) -> bool:
        return self.shows_routes

    async def _say(self, api: Any, table: GatewayTable, found: ClusterObjects) -> None:
        """There is no API server."""

    @property
    def clusters(self) -> set[str]:
        written = json.loads((self._files / "clusters.json").read_bytes())
        return {each["name"] for each in written["resources"]}


async def tried(path: Path) -> Tried:
    folder = ClusterFolder(path)
    folder.gateway.mkdir()
    network = ClusterNetwork(1)
    plane = Tried(folder, network, "https://127.0.0.1:1", 1, LoopClock())
    await plane.stop()  # before its first step: the passes of these tests are called
    return plane


def to(service: str) -> ClusterObjects:
    return objects(route(backendRefs=[{"name": service, "port": 80, "weight": 1}]))


def test_a_cluster_of_routes_that_envoy_may_have_stays(tmp_path: Path) -> None:
    async def main() -> None:
        plane = await tried(tmp_path)

        async def pass_of(service: str) -> None:
            found = to(service)
            await plane._bring_into_force(table_of(found), found)

        await pass_of("one")
        plane.shows_routes = False
        with pytest.raises(Unavailable):
            await pass_of("two")
        with pytest.raises(Unavailable):
            await pass_of("three")
        assert plane.clusters == {"shops_one_80", "shops_two_80", "shops_three_80"}

        plane.shows_routes = True
        await pass_of("three")
        assert plane.clusters == {"shops_three_80"}

    run_virtual(main())


@pytest.mark.parametrize(
    "failure",
    [
        OSError("no space left on device"),
        json.JSONDecodeError("broken", "", 0),
        KeyError("spec"),
        Unavailable("Envoy does not answer"),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_a_pass_that_fails_is_tried_again_and_is_seen(tmp_path: Path, failure: Exception) -> None:
    async def main() -> None:
        plane, changes = await tried(tmp_path), Changes()
        served = ClusterFolder(tmp_path).gateways_served
        api: Any = None
        await plane._try(api, to("one"), changes)
        assert served.exists()

        plane.fails = failure
        await plane._try(api, to("one"), changes)
        assert not served.exists()
        await asyncio.wait_for(changes.next(), 1)

        plane.fails = None
        await plane._try(api, to("one"), changes)
        assert served.exists()

    run_virtual(main())
