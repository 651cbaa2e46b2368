"""The objects of a boundary open it to what is named, and to nothing else."""

from dataclasses import replace
from typing import Any

import pytest

from shared.kernel.ids import EnvironmentId, TenantId
from shared.surfaces.aks.boundary_objects import (
    ACCOUNTS,
    INSTANCE,
    LIMITS,
    POLICIES,
    QUOTAS,
    BoundaryObjects,
    counted_capacity,
    wanted,
    wanted_capacity,
)
from shared.surfaces.aks.cluster_api import Object
from shared.surfaces.aks.kinds import NAMESPACES
from shared.surfaces.aks.names import Installation
from shared.surfaces.aks.platform_access import PlatformAccess
from shared.surfaces.boundaries import BoundarySpec, CountedCapacity, Quota, boundary_properties
from shared.surfaces.spec import Resources, SiteSpec

SPEC = BoundarySpec(
    EnvironmentId("env-1"), TenantId("acme"), Quota(1.5, 1 << 20, 7), Resources(64, 0.25),
    "client-id", ("10.1.0.0/16", "10.2.0.0/16"),
)  # fmt: skip
BARE = BoundarySpec(EnvironmentId("env-1"), TenantId("acme"))


def objects(spec: BoundarySpec, *gateways: str) -> BoundaryObjects:
    made = wanted(spec, Installation(), gateways)
    namespace = made[NAMESPACES]
    assert namespace is not None
    return BoundaryObjects(namespace, made[QUOTAS], made[LIMITS], made[POLICIES], made[ACCOUNTS])


def rules(found: BoundaryObjects, direction: str) -> list[Object]:
    assert found.policy is not None
    listed: list[Any] = found.policy["spec"][direction]
    return listed


def test_a_boundary_is_read_back_as_it_was_written() -> None:
    assert objects(SPEC).properties() == boundary_properties(SPEC)
    assert objects(BARE).properties() == boundary_properties(BARE)


def test_only_networks_that_are_allowed_are_reached() -> None:
    (allowed,) = [rule for rule in rules(objects(SPEC), "egress") if "ipBlock" in rule["to"][0]]
    anywhere = [rule for rule in rules(objects(BARE), "egress") if "ipBlock" in rule["to"][0]]

    assert [each["ipBlock"]["cidr"] for each in allowed["to"]] == list(SPEC.may_reach)
    assert anywhere == []


def test_a_gateway_outside_of_the_cluster_comes_in_from_its_network() -> None:
    closed = rules(objects(BARE), "ingress")
    opened = rules(objects(BARE, "10.9.0.0/24"), "ingress")

    assert [rule for rule in opened if rule not in closed] == [
        {"from": [{"ipBlock": {"cidr": "10.9.0.0/24"}}]}
    ]


def test_pods_that_follow_reach_the_api_at_its_port_and_the_boundary_says_nothing_of_it() -> None:
    access = PlatformAccess("https://runtime.example", "api://factory-runtime", ("203.0.113.7/32",))
    closed = objects(SPEC)
    made = wanted(SPEC, Installation(), (), access)
    opened = replace(closed, policy=made[POLICIES])

    assert [rule for rule in rules(opened, "egress") if rule not in rules(closed, "egress")] == [
        {
            "to": [{"ipBlock": {"cidr": "203.0.113.7/32"}}],
            "ports": [{"protocol": "TCP", "port": 443}],
        }
    ]
    assert opened.properties() == boundary_properties(SPEC)
    assert replace(opened, quota=None).is_in_force((), access)
    assert not replace(opened, quota=None).is_in_force(())


@pytest.mark.parametrize(
    ("url", "port"),
    [("https://a.example/x", 443), ("https://a.example:8443", 8443), ("http://10.0.0.1", 80)],
)
def test_the_port_of_the_api_is_that_of_its_address(url: str, port: int) -> None:
    assert PlatformAccess(url, "audience").port == port


def test_a_boundary_that_was_made_for_another_gateway_is_not_in_force() -> None:
    assert objects(BARE, "10.9.0.0/24").is_in_force(("10.9.0.0/24",))
    assert not objects(BARE, "10.9.0.0/24").is_in_force(())


@pytest.mark.parametrize("path", [("ingress",), ("egress",), ("policyTypes",), ("egress", 1, "to")])
def test_lists_of_a_policy_have_no_order(path: tuple[Any, ...]) -> None:
    found = objects(BARE)
    assert found.policy is not None
    listed: Any = found.policy["spec"]
    for part in path:
        listed = listed[part]

    listed.reverse()
    assert found.is_in_force(())

    listed.pop()
    assert not found.is_in_force(())


def test_a_rule_that_is_written_twice_opens_nothing() -> None:
    found = objects(BARE)
    egress = rules(found, "egress")

    egress.append(egress[0])

    assert found.is_in_force(())


def test_a_boundary_is_in_force_when_the_cluster_counts_by_its_quota() -> None:
    found = objects(SPEC)
    assert not found.is_in_force(())

    assert found.quota is not None
    found.quota["status"] = {"hard": found.quota["spec"]["hard"], "used": {"pods": "2"}}

    assert found.is_in_force(())
    assert found.used() == Quota(instances=2)


def test_a_capacity_is_read_with_what_the_cluster_has_counted() -> None:
    site = SiteSpec(
        SPEC.environment, SPEC.tenant, "test", "test", capacity=Resources(cpu=4, memory_mb=8192)
    )
    made = wanted_capacity(site, Installation())
    quota = made[QUOTAS]
    assert quota is not None
    hard = quota["spec"]["hard"]
    counted = {**quota, "status": {"hard": hard, "used": {"limits.cpu": "1500m"}}}

    assert counted_capacity(counted, made[LIMITS]) == CountedCapacity(
        Quota(cpu=4, memory_mb=8192), Quota(cpu=1.5), INSTANCE
    )
    assert counted_capacity(quota, None) == CountedCapacity(
        Quota(cpu=4, memory_mb=8192), Quota(), Resources()
    )
    assert counted_capacity(None, None) is None
