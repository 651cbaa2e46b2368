"""A boundary that lets in the gateways of earlier settings is closed all the same, and says so."""

from typing import cast

import pytest

from shared.surfaces.aks.api_errors import ApiRefusal
from shared.surfaces.aks.boundary_objects import ACCOUNTS, NAME, POLICIES
from shared.surfaces.aks.cluster_api import ClusterApi
from shared.surfaces.aks.cluster_boundaries import ClusterBoundaries
from shared.surfaces.aks.kinds import NAMESPACES, Kind
from shared.surfaces.aks.names import Installation
from shared.surfaces.aks.namespaces import Namespaces
from shared.surfaces.aks.records import Records
from shared.surfaces.aks.server_side_apply import WriteConflict
from shared.surfaces.boundaries import GATEWAYS, Boundary, BoundarySpec
from tests.kit.memory_api_server import MemoryApiServer
from tests.kit.virtual_time import LoopClock, run_virtual
from tests.surfaces.harness import SHOP, SITE, fence

SPEC = BoundarySpec(SHOP.environment, SHOP.tenant)
NAMESPACE = Installation().namespace(SHOP.environment, SHOP.tenant)
TODAY = ("10.2.0.0/16",)
OTHERS = [
    pytest.param((), id="none"),
    pytest.param(("10.3.0.0/16",), id="another"),
    pytest.param(("10.2.0.0/16", "10.3.0.0/16"), id="one-more"),
]


def boundaries(server: MemoryApiServer, told: tuple[str, ...]) -> ClusterBoundaries:
    """Return the boundaries as an app has them whose settings are *told*."""
    api, installation = cast("ClusterApi", server), Installation()
    records = Records(api, installation)
    namespaces = Namespaces(api, installation, records)
    return ClusterBoundaries(api, installation, records, namespaces, LoopClock(), told)


def made(told: tuple[str, ...]) -> MemoryApiServer:
    """Return a cluster on which an app whose settings were *told* has made the boundary."""
    server = MemoryApiServer()

    async def make() -> None:
        by = boundaries(server, told)
        await by.records.fenced_site(SITE.environment, fence(1), SITE)
        await by.ensure(SPEC, fence(1))

    run_virtual(make())
    return server


def seen(server: MemoryApiServer, told: tuple[str, ...]) -> Boundary:
    found = run_virtual(boundaries(server, told).read(SHOP.environment, SHOP.tenant))
    assert found is not None
    return found


def stop_at(server: MemoryApiServer, kind: Kind, told: tuple[str, ...]) -> None:
    """Let an app whose settings are *told* make the boundary, until *kind* is refused."""
    server.refusals[kind] = ApiRefusal(409, "Conflict", "it has been modified", ())
    with pytest.raises(WriteConflict):
        run_virtual(boundaries(server, told).ensure(SPEC, fence(2)))
    del server.refusals[kind]


@pytest.mark.parametrize("earlier", OTHERS)
def test_a_boundary_made_by_earlier_settings_is_closed_and_names_what_is_to_be_repaired(
    earlier: tuple[str, ...],
) -> None:
    found = seen(made(earlier), TODAY)

    assert found.is_ready
    assert found.properties == {GATEWAYS: "others"}


@pytest.mark.parametrize("told", OTHERS)
def test_an_app_that_was_not_told_the_settings_yet_finds_it_closed(told: tuple[str, ...]) -> None:
    assert seen(made(TODAY), told).is_ready


@pytest.mark.parametrize("earlier", OTHERS)
def test_to_make_it_again_lets_in_the_gateways_of_today(earlier: tuple[str, ...]) -> None:
    server = made(earlier)

    run_virtual(boundaries(server, TODAY).ensure(SPEC, fence(2)))

    assert seen(server, TODAY).is_ready
    assert GATEWAYS not in seen(server, TODAY).properties


@pytest.mark.parametrize("stops_at", [NAMESPACES, POLICIES, ACCOUNTS])
def test_it_is_closed_where_it_was_made_again_in_part(stops_at: Kind) -> None:
    server = made(("10.3.0.0/16",))

    stop_at(server, stops_at, TODAY)

    assert seen(server, TODAY).is_ready


def test_it_is_closed_where_two_settings_after_each_other_were_not_written() -> None:
    server = made(("10.3.0.0/16",))

    stop_at(server, POLICIES, ("10.4.0.0/16",))
    stop_at(server, POLICIES, TODAY)

    assert seen(server, TODAY).is_ready


def test_networks_that_others_took_the_place_of_are_an_opening() -> None:
    server = made(("10.3.0.0/16",))
    before = server.objects[POLICIES, NAMESPACE, NAME]["spec"]
    run_virtual(boundaries(server, TODAY).ensure(SPEC, fence(2)))

    server.objects[POLICIES, NAMESPACE, NAME]["spec"] = before

    assert not seen(server, TODAY).is_ready


@pytest.mark.parametrize("told", [(), TODAY])
def test_a_network_that_the_platform_did_not_write_is_an_opening(told: tuple[str, ...]) -> None:
    server = made(told)

    rules = server.objects[POLICIES, NAMESPACE, NAME]["spec"]["ingress"]
    rules.append({"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]})

    assert not seen(server, told).is_ready
