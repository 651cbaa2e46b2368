"""The weights of a component are read from its own routes, whoever turned requests elsewhere."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import pytest

from local_agent.envoy_config import (
    ComponentRoute,
    RevisionRoute,
    cluster_name,
    routes,
    weights_in,
)
from shared.kernel.ids import EnvironmentId, TenantId
from shared.surfaces.spec import SurfaceComponent

ENVIRONMENT = EnvironmentId("env-2ktmjd53giaa")
Route = dict[str, Any]


def _component(tenant: str, prefix: str | None, weights: Mapping[int, int]) -> ComponentRoute:
    component = SurfaceComponent(ENVIRONMENT, TenantId(tenant), "module-web")
    revisions = tuple(RevisionRoute(number, {20000 + number: True}) for number in weights)
    return ComponentRoute(component, prefix, weights, revisions)


OWNERS = _component("owner", "/", {1: 90, 2: 10})
GUESTS = _component("guest", None, {1: 100})
OWN, GUEST = OWNERS.component.service, GUESTS.component.service


def _table(changed: Callable[[str, Route], bool], split: Mapping[str, int]) -> Any:
    """Return the route table in which each route that is *changed* goes where *split* says."""
    table: Any = deepcopy(routes([OWNERS, GUESTS]))["resources"][0]
    for host in table["virtual_hosts"]:
        for route in host["routes"]:
            if changed(host["name"], route):
                clusters = [{"name": name, "weight": weight} for name, weight in split.items()]
                route["route"]["weighted_clusters"]["clusters"] = clusters
    return table


def _never(_host: str, _route: Route) -> bool:
    return False


def _by_path(host: str, route: Route) -> bool:
    return host == "default" and "headers" not in route["match"]


def _by_host_name(host: str, _route: Route) -> bool:
    return host == OWN


HALF_TO_GUEST = {cluster_name(OWN, 1): 50, cluster_name(GUEST, 1): 50}


@pytest.mark.parametrize(
    ("changed", "split", "own"),
    [
        pytest.param(_never, {}, {1: 90, 2: 10}, id="as-written"),
        pytest.param(_by_path, HALF_TO_GUEST, {1: 50}, id="half-of-a-path"),
        pytest.param(_by_host_name, HALF_TO_GUEST, {1: 50}, id="half-of-a-host-name"),
        pytest.param(_by_path, {cluster_name(GUEST, 1): 100}, {}, id="all-of-a-path"),
    ],
)
def test_turned_requests_lower_the_weights_of_whose_they_were_and_of_nobody_else(
    changed: Callable[[str, Route], bool], split: Mapping[str, int], own: Mapping[int, int]
) -> None:
    assert weights_in(_table(changed, split)) == {OWN: own, GUEST: {1: 100}}


def test_a_component_without_weights_has_none_in_its_refusals() -> None:
    refused = _component("owner", "/", {})
    (resource,) = routes([refused, GUESTS])["resources"]

    assert weights_in(resource) == {GUEST: {1: 100}}


def test_routes_of_an_earlier_agent_without_names_are_those_of_their_clusters() -> None:
    table = _table(_never, {})
    for host in table["virtual_hosts"]:
        for route in host["routes"]:
            route.pop("name", None)

    assert weights_in(table) == {OWN: {1: 90, 2: 10}, GUEST: {1: 100}}
