"""Which requests go where, by the rules of the Gateway API, and which routes are refused."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from local_cluster import gateway_files, gateway_status
from local_cluster.gateway_parents import closest
from local_cluster.gateway_routes import (
    Backend,
    ClusterObjects,
    GatewayTable,
    instances_of,
    table_of,
)

SITE = ("shops", "site")
WEB = Backend("shops", "web", 80)
NOW = datetime(2026, 11, 28, tzinfo=UTC)


def gateway(*listeners: Mapping[str, Any], **allowed: Any) -> Mapping[str, Any]:
    http = {"name": "http", "protocol": "HTTP", "port": 80}
    if allowed:
        http["allowedRoutes"] = {"namespaces": allowed}
    made = [{**http, **each} for each in listeners or ({},)]
    return _object("site", "shops", {"gatewayClassName": "local", "listeners": made})


def route(
    name: str = "web",
    namespace: str = "shops",
    *,
    hosts: Sequence[str] = (),
    parents: Sequence[Mapping[str, Any]] = ({},),
    **rule: Any,
) -> Mapping[str, Any]:
    backends = [{"name": "web", "port": 80, "weight": 1}]
    spec = {
        "parentRefs": [{"name": "site", "namespace": "shops", **each} for each in parents],
        "hostnames": list(hosts),
        "rules": [{"backendRefs": backends, **rule}],
    }
    return _object(name, namespace, spec)


def _object(name: str, namespace: str, spec: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace, "generation": 3}, "spec": spec}


def objects(*routes: Mapping[str, Any], **given: Any) -> ClusterObjects:
    namespaces = {("", "shops"): {"metadata": {"labels": {"site": "a"}}}, ("", "other"): {}}
    service = _object("web", "shops", {"ports": [{"port": 80, "name": "http"}]})
    return ClusterObjects(
        gateways={SITE: given.get("gateway", gateway())},
        routes={(r["metadata"]["namespace"], r["metadata"]["name"]): r for r in routes},
        services={("shops", "web"): service},
        slices=given.get("slices", {}),
        namespaces=namespaces,
        pods=given.get("pods", {}),
    )


def path(value: str, kind: str = "PathPrefix") -> Mapping[str, Any]:
    return {"path": {"type": kind, "value": value}}


def document_of(table: GatewayTable, port: int = 80) -> Any:
    return gateway_files.routes(SITE, port, table.rules[SITE], table.listeners[SITE])


def served(table: GatewayTable, port: int) -> Mapping[str, int]:
    """Return how many routes each host has at *port*."""
    (resource,) = document_of(table, port)["resources"]
    return {each["name"]: len(each["routes"]) for each in resource["virtual_hosts"]}


def said(found: Mapping[str, Any], table: GatewayTable) -> list[tuple[str, str]]:
    """Return of each parent of the route *found* whether it is accepted, and the reason."""
    verdict = table.verdicts[("shops", "web")]
    status = gateway_status.of_route(found, verdict, NOW)
    accepted = [parent["conditions"][0] for parent in status["parents"]]
    return [(each["status"], each["reason"]) for each in accepted]


def test_the_most_specific_rule_comes_first() -> None:
    matches = [path("/"), path("/shop"), path("/shop", "Exact"), {**path("/shop"), "method": "GET"}]

    rules = table_of(objects(route(matches=matches))).rules[SITE]

    assert [rule.match for rule in rules] == [matches[2], matches[3], matches[1], matches[0]]


def test_a_host_is_asked_for_its_own_routes_and_then_for_those_of_any() -> None:
    table = table_of(objects(route("own", hosts=["a.internal"]), route("any")))

    assert served(table, 80) == {"a.internal": 2, "*": 1}


def test_paths_match_by_whole_parts() -> None:
    table = table_of(objects(route(matches=[path("/shop/")])))

    text = json.dumps(document_of(table))

    assert '"path_separated_prefix": "/shop"' in text


def test_a_route_without_weight_anywhere_is_an_error_of_the_server() -> None:
    found = route(backendRefs=[{"name": "web", "port": 80, "weight": 0}])

    text = json.dumps(document_of(table_of(objects(found))))

    assert '"direct_response": {"status": 500' in text


@pytest.mark.parametrize(
    ("allowed", "namespace", "is_taken"),
    [
        pytest.param({}, "shops", True, id="the-own-namespace-without-a-word"),
        pytest.param({}, "other", False, id="no-other-without-a-word"),
        pytest.param({"from": "All"}, "other", True, id="all"),
        pytest.param(
            {"from": "Selector", "selector": {"matchLabels": {"site": "a"}}}, "shops", True,
            id="labels-that-fit",
        ),
        pytest.param(
            {"from": "Selector", "selector": {"matchLabels": {"site": "a"}}}, "other", False,
            id="labels-that-do-not",
        ),
        pytest.param({"from": "None"}, "shops", False, id="none"),
    ],
)  # fmt: skip
def test_a_listener_takes_routes_of_the_namespaces_that_it_allows(
    allowed: Mapping[str, Any],
    namespace: str,
    is_taken: bool,  # noqa: FBT001  a parameter
) -> None:
    found = objects(route(namespace=namespace), gateway=gateway(**allowed))

    verdict = table_of(found).verdicts[(namespace, "web")]

    assert (verdict.parents[0].reason == "") is is_taken
    assert verdict.parents[0].reason in {"", "NotAllowedByListeners"}


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ({"filters": [{"type": "URLRewrite"}]}, "filters is not served here"),
        ({"timeouts": {"request": "1s"}}, "timeouts is not served here"),
        ({"matches": [path("/.*", "RegularExpression")]}, "regular expressions are not served"),
        ({"matches": [{"queryParams": []}]}, "matches by queryParams are not served"),
    ],
    ids=["filters", "timeouts", "regular-expressions", "query-parameters"],
)
def test_a_route_that_asks_for_more_is_refused_and_serves_nothing(
    rule: Mapping[str, Any], reason: str
) -> None:
    found = route(**rule)
    table = table_of(objects(found))
    verdict = table.verdicts[("shops", "web")]

    status = gateway_status.of_route(found, verdict, NOW)

    accepted = status["parents"][0]["conditions"][0]
    assert (accepted["status"], accepted["reason"]) == ("False", "UnsupportedValue")
    assert reason in accepted["message"]
    assert table.rules[SITE] == []


def test_a_service_of_another_namespace_gets_nothing() -> None:
    backend = {"name": "web", "namespace": "other", "port": 80}
    table = table_of(objects(route(backendRefs=[backend])))

    assert table.verdicts[("shops", "web")].unresolved == "web is in another namespace"
    assert table.backends == []


def test_pods_that_leave_get_no_new_requests_and_those_that_are_gone_are_forgotten() -> None:
    endpoints = [
        {"addresses": ["10.0.0.1"], "conditions": {"ready": True}},
        {"addresses": ["10.0.0.2"], "conditions": {"ready": False, "serving": True}},
        {"addresses": ["10.0.0.3"], "conditions": {"ready": False, "serving": False}},
    ]
    labels = {"kubernetes.io/service-name": "web"}
    found = {
        "metadata": {"name": "web-1", "namespace": "shops", "labels": labels},
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": endpoints,
    }

    instances = instances_of(WEB, objects(slices={("shops", "web-1"): found}))

    assert instances == [("10.0.0.1", 8080, True), ("10.0.0.2", 8080, False)]


def pod(
    name: str, containers: str = "True", ready: str = "False", **spec: Any
) -> Mapping[str, Any]:
    """Return a pod that is *ready*, and whose containers are *containers*."""
    said = {"Ready": ready, "ContainersReady": containers}
    conditions = [{"type": kind, "status": status} for kind, status in said.items()]
    return {**_object(name, "shops", spec), "status": {"conditions": conditions}}


def slice_of(**ready: bool) -> Mapping[Any, Any]:
    """Return the slice of WEB with a pod of each name, at an address with the same end."""
    endpoints = [
        {
            "addresses": [f"10.0.0.{name[-1]}"],
            "conditions": {"ready": is_ready, "serving": is_ready},
            "targetRef": {"kind": "Pod", "namespace": "shops", "name": name},
        }
        for name, is_ready in ready.items()
    ]
    labels = {"kubernetes.io/service-name": "web"}
    metadata = {"name": "web-1", "namespace": "shops", "labels": labels}
    ports = [{"name": "http", "port": 8080}]
    return {("shops", "web-1"): {"metadata": metadata, "ports": ports, "endpoints": endpoints}}


@pytest.mark.parametrize(
    ("ready", "pods", "expected"),
    [
        pytest.param((False, False), ("True", "True"), ["10.0.0.1", "10.0.0.2"], id="both-silent"),
        pytest.param((True, False), ("True", "True"), ["10.0.0.1"], id="one-still-ready"),
        pytest.param((False, False), ("False", "True"), ["10.0.0.2"], id="one-said-that-it-is-not"),
        pytest.param((False, False), ("False", "False"), [], id="both-said-that-they-are-not"),
    ],
)
def test_where_no_pod_is_ready_those_of_silent_nodes_take_requests(
    ready: tuple[bool, bool], pods: tuple[str, str], expected: Sequence[str]
) -> None:
    names = ("web-1", "web-2")
    known = {("shops", name): pod(name, said) for name, said in zip(names, pods, strict=True)}
    slices = slice_of(**dict(zip(names, ready, strict=True)))

    instances = instances_of(WEB, objects(slices=slices, pods=known))

    assert [address for address, _, takes_requests in instances if takes_requests] == expected


def test_a_pod_that_is_ready_again_takes_requests_before_its_slice_says_so() -> None:
    known = {("shops", "web-1"): pod("web-1", ready="True")}

    instances = instances_of(WEB, objects(slices=slice_of(**{"web-1": False}), pods=known))

    assert instances == [("10.0.0.1", 8080, True)]


def test_what_goes_or_waits_for_more_than_its_containers_takes_no_requests() -> None:
    going = pod("web-1")
    going = {**going, "metadata": {**going["metadata"], "deletionTimestamp": "now"}}
    gated = pod("web-2", readinessGates=[{"conditionType": "example.org/warm"}])
    known = {("shops", "web-1"): going, ("shops", "web-2"): gated}
    slices = slice_of(**{"web-1": False, "web-2": False, "web-3": False})

    assert instances_of(WEB, objects(slices=slices, pods=known)) == []


def test_a_status_that_was_said_is_not_said_again() -> None:
    found = gateway()
    attached = {"http": 1}
    status = gateway_status.of_gateway(found, "10.240.0.10", attached, NOW)

    assert not gateway_status.is_said(found, status)
    assert gateway_status.is_said(
        {
            **found,
            "status": gateway_status.of_gateway(found, "10.240.0.10", attached, NOW.replace(day=1)),
        },
        status,
    )


TWO_PORTS = gateway({"name": "a"}, {"name": "b", "port": 81})


@pytest.mark.parametrize("parent", [{"sectionName": "a"}, {"port": 80}], ids=["name", "port"])
def test_a_route_of_one_listener_is_served_there_only(parent: Mapping[str, Any]) -> None:
    found = route(parents=[parent])
    table = table_of(objects(found, gateway=TWO_PORTS))

    attached = gateway_status.attached_routes(SITE, table.verdicts)
    status = gateway_status.of_gateway(TWO_PORTS, "10.240.0.10", attached, NOW)

    assert (served(table, 80), served(table, 81)) == ({"*": 1}, {"*": 0})
    assert [each["attachedRoutes"] for each in status["listeners"]] == [1, 0]


def test_a_route_of_the_whole_gateway_is_served_at_each_listener_once() -> None:
    table = table_of(objects(route(parents=[{}, {"sectionName": "b"}]), gateway=TWO_PORTS))

    assert (served(table, 80), served(table, 81)) == ({"*": 1}, {"*": 1})


def test_each_parent_has_a_verdict_of_its_own() -> None:
    parents = [{"sectionName": "a"}, {"sectionName": "none"}, {"port": 8080}]
    found = route(parents=parents)
    table = table_of(objects(found, gateway=TWO_PORTS))

    refused = ("False", "NoMatchingParent")
    assert said(found, table) == [("True", "Accepted"), refused, refused]
    assert served(table, 80) == {"*": 1}


@pytest.mark.parametrize(
    ("listener", "hosts", "expected"),
    [
        pytest.param("a.internal", [], {"a.internal": 1, "*": 0}, id="of-the-listener"),
        pytest.param("*.internal", ["a.internal", "b.other"],
                     {"a.internal": 1, "*.internal": 0, "*": 0}, id="those-that-fit"),
        pytest.param("a.internal", ["*.internal"], {"a.internal": 1, "*": 0}, id="the-narrower"),
        pytest.param("*.internal", ["*.a.internal"],
                     {"*.a.internal": 1, "*.internal": 0, "*": 0}, id="two-wildcards"),
    ],
)  # fmt: skip
def test_a_listener_narrows_the_hosts_of_its_routes(
    listener: str, hosts: Sequence[str], expected: Mapping[str, int]
) -> None:
    found = route(hosts=hosts)
    table = table_of(objects(found, gateway=gateway({"hostname": listener})))

    assert served(table, 80) == expected
    assert said(found, table) == [("True", "Accepted")]


def test_a_route_for_no_host_of_a_listener_is_not_accepted() -> None:
    found = route(hosts=["internal", "a.other"])
    table = table_of(objects(found, gateway=gateway({"hostname": "*.internal"})))

    assert said(found, table) == [("False", "NoMatchingListenerHostname")]
    assert served(table, 80) == {"*.internal": 0, "*": 0}


def test_requests_for_a_host_belong_to_the_listener_that_is_closest_to_it() -> None:
    two = gateway({"name": "any"}, {"name": "a", "hostname": "a.internal"})
    table = table_of(objects(route(parents=[{"sectionName": "any"}]), gateway=two))

    assert served(table, 80) == {"a.internal": 0, "*": 1}


def test_a_host_is_closer_to_itself_than_a_wildcard_of_its_length() -> None:
    assert closest(["*.internal", "a.internal"], "a.internal") == "a.internal"


def test_a_wildcard_serves_what_a_narrower_route_does_not() -> None:
    narrow = route("narrow", hosts=["a.internal"], matches=[path("/x")])
    table = table_of(objects(narrow, route("wide", hosts=["*.internal"])))

    assert served(table, 80) == {"a.internal": 2, "*.internal": 1, "*": 0}


def test_a_listener_of_another_protocol_says_so_and_takes_nothing() -> None:
    found = gateway({"protocol": "HTTPS", "port": 443})
    table = table_of(objects(route(), gateway=found))

    status = gateway_status.of_gateway(found, "10.240.0.10", {}, NOW)

    (listener,) = status["listeners"]
    assert listener["conditions"][0]["reason"] == "UnsupportedProtocol"
    assert table.listeners[SITE] == []
    assert table.verdicts[("shops", "web")].parents[0].reason == "NoMatchingParent"
