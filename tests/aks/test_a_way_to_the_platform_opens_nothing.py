"""A boundary with another way to the platform than the settings of today is closed all the same."""

from typing import cast

import pytest

from shared.surfaces.aks.api_errors import ApiRefusal
from shared.surfaces.aks.boundary_objects import NAME, POLICIES
from shared.surfaces.aks.cluster_api import ClusterApi
from shared.surfaces.aks.cluster_boundaries import ClusterBoundaries
from shared.surfaces.aks.names import Installation
from shared.surfaces.aks.namespaces import Namespaces
from shared.surfaces.aks.platform_access import PlatformAccess
from shared.surfaces.aks.records import Records
from shared.surfaces.aks.server_side_apply import WriteConflict
from shared.surfaces.boundaries import WAY_TO_PLATFORM, Boundary, BoundarySpec
from tests.kit.memory_api_server import MemoryApiServer
from tests.kit.virtual_time import LoopClock, run_virtual
from tests.surfaces.harness import SHOP, SITE, fence

SPEC = BoundarySpec(SHOP.environment, SHOP.tenant)
NAMESPACE = Installation().namespace(SHOP.environment, SHOP.tenant)


def access(network: str, port: int = 443) -> PlatformAccess:
    return PlatformAccess(f"https://runtime.example:{port}", "api://factory-runtime", (network,))


TODAY = access("203.0.113.7/32")
WAYS = [
    pytest.param(None, id="none"),
    pytest.param(access("198.51.100.1/32"), id="another-network"),
    pytest.param(access("203.0.113.7/32", 8443), id="another-port"),
]


def boundaries(server: MemoryApiServer, told: PlatformAccess | None) -> ClusterBoundaries:
    """Return the boundaries as an app has them whose settings are *told*."""
    api, installation = cast("ClusterApi", server), Installation()
    records = Records(api, installation)
    namespaces = Namespaces(api, installation, records)
    return ClusterBoundaries(api, installation, records, namespaces, LoopClock(), (), told)


def made(told: PlatformAccess | None) -> MemoryApiServer:
    """Return a cluster on which an app whose settings were *told* has made the boundary."""
    server = MemoryApiServer()

    async def make() -> None:
        by = boundaries(server, told)
        await by.records.fenced_site(SITE.environment, fence(1), SITE)
        await by.ensure(SPEC, fence(1))

    run_virtual(make())
    return server


def seen(server: MemoryApiServer, told: PlatformAccess | None) -> Boundary:
    found = run_virtual(boundaries(server, told).read(SHOP.environment, SHOP.tenant))
    assert found is not None
    return found


@pytest.mark.parametrize("written", WAYS)
def test_a_boundary_made_by_earlier_settings_is_closed_and_says_that_it_lacks_the_way(
    written: PlatformAccess | None,
) -> None:
    found = seen(made(written), TODAY)

    assert found.is_ready
    assert found.properties == {WAY_TO_PLATFORM: "missing"}


@pytest.mark.parametrize("told", WAYS)
def test_an_app_that_was_not_told_the_settings_yet_finds_it_closed(
    told: PlatformAccess | None,
) -> None:
    assert seen(made(TODAY), told).is_ready


@pytest.mark.parametrize("written", WAYS)
def test_to_make_it_again_gives_it_the_way(written: PlatformAccess | None) -> None:
    server = made(written)

    run_virtual(boundaries(server, TODAY).ensure(SPEC, fence(2)))

    assert seen(server, TODAY).is_ready
    assert WAY_TO_PLATFORM not in seen(server, TODAY).properties


@pytest.mark.parametrize("written", WAYS)
def test_it_is_closed_where_its_policy_was_not_made_again(written: PlatformAccess | None) -> None:
    server = made(written)

    server.refusals[POLICIES] = ApiRefusal(409, "Conflict", "it has been modified", ())
    with pytest.raises(WriteConflict):
        run_virtual(boundaries(server, TODAY).ensure(SPEC, fence(2)))

    assert seen(server, TODAY).is_ready


@pytest.mark.parametrize("told", [None, TODAY])
def test_a_way_that_the_platform_did_not_write_is_an_opening(told: PlatformAccess | None) -> None:
    server = made(told)

    rules = server.objects[POLICIES, NAMESPACE, NAME]["spec"]["egress"]
    ports = [{"protocol": "TCP", "port": 443}]
    rules.append({"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}], "ports": ports})

    assert not seen(server, told).is_ready
