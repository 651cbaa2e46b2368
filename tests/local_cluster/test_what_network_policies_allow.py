"""What passes between two pods by the NetworkPolicies of a cluster, as Kubernetes describes it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import collapse_addresses, ip_address, ip_network
from time import process_time
from typing import Any, Final

import pytest

from local_cluster.network_policies import Allowed, Direction, Pod, PodPort, Policies
from local_cluster.packet_filter import table_of
from shared.kernel.errors import Unavailable

SHOP: Final = Pod(
    "shop", "web-1", "node1", "veth10", "10.240.1.10", {"app": "web", "tier": "front"},
    (PodPort("http", "TCP", 8080), PodPort("http", "UDP", 9090)),
)  # fmt: skip
CART: Final = Pod("shop", "cart-1", "node2", "veth12", "10.240.2.10", {"app": "cart"})
BANK: Final = Pod(
    "bank", "web-1", "node1", "veth11", "10.240.1.11", {"app": "web"},
    (PodPort("http", "TCP", 7070),),
)  # fmt: skip
NAMESPACES: Final = {"shop": {"team": "shop"}, "bank": {"team": "bank"}}
OF_BANK: Final = {"namespaceSelector": {"matchLabels": {"team": "bank"}}}


def policy(namespace: str, **spec: Any) -> Mapping[str, Any]:
    return {"metadata": {"namespace": namespace, "name": "p"}, "spec": {"podSelector": {}, **spec}}


def policies(*documents: Mapping[str, Any], pods: Sequence[Pod] = (SHOP, CART, BANK)) -> Policies:
    keyed = {
        (each["metadata"]["namespace"], f"{number}"): {
            **each, "metadata": {**each["metadata"], "name": f"{number}"}
        }
        for number, each in enumerate(documents)
    }  # fmt: skip
    return Policies(keyed, NAMESPACES, pods)


def passes(
    found: Policies, source: Pod | str, target: Pod | str, port: int = 8080, protocol: str = "TCP"
) -> bool:
    """Return whether the node of each lets it through; a text is an address outside."""

    def by(pod: Pod | str, direction: Direction, other: Pod | str) -> bool:
        if isinstance(pod, str):
            return True
        allowed = found.allowed(pod, direction)
        address = other if isinstance(other, str) else other.address
        return allowed is None or any(_takes(each, address, port, protocol) for each in allowed)

    return by(source, Direction.EGRESS, target) and by(target, Direction.INGRESS, source)


def _takes(allowed: Allowed, address: str, port: int, protocol: str) -> bool:
    if allowed.networks is not None and not any(
        ip_address(address) in each for each in allowed.networks
    ):
        return False
    if allowed.protocol not in {None, protocol}:
        return False
    return allowed.ports is None or allowed.ports[0] <= port <= allowed.ports[1]


def test_who_is_selected_by_no_policy_is_open() -> None:
    found = policies(policy("shop", podSelector={"matchLabels": {"app": "cart"}}))

    assert passes(found, BANK, SHOP)
    assert not passes(found, BANK, CART)
    assert passes(found, CART, BANK), "what it sends is not closed"


def test_an_empty_rule_lets_everything_through_and_no_rule_nothing() -> None:
    assert passes(policies(policy("shop", ingress=[{}])), "192.0.2.1", SHOP)
    assert not passes(policies(policy("shop", ingress=[])), "192.0.2.1", SHOP)
    assert not passes(policies(policy("shop", policyTypes=["Egress"])), SHOP, CART)
    assert passes(policies(policy("shop", policyTypes=["Egress"])), BANK, SHOP)


def test_what_any_policy_allows_passes() -> None:
    closed = policy("shop", ingress=[])
    opened = policy("shop", ingress=[{"from": [OF_BANK]}])

    assert passes(policies(closed, opened), BANK, SHOP)
    assert not passes(policies(closed, opened), "192.0.2.1", SHOP)


def test_both_ends_must_allow_it() -> None:
    takes = policy("shop", ingress=[{"from": [OF_BANK]}])
    sends_nothing = policy("bank", policyTypes=["Egress"])

    assert not passes(policies(takes, sends_nothing), BANK, SHOP)


@pytest.mark.parametrize(
    ("peer", "lets_in"),
    [
        pytest.param({"podSelector": {}}, {CART.name}, id="all-of-its-own-namespace"),
        pytest.param({"podSelector": {"matchLabels": {"app": "web"}}}, set(), id="no-such-pod"),
        pytest.param({"namespaceSelector": {}}, {CART.name, BANK.name}, id="all-namespaces"),
        pytest.param(OF_BANK, {BANK.name}, id="another-namespace"),
        pytest.param(
            {**OF_BANK, "podSelector": {"matchLabels": {"app": "cart"}}}, set(),
            id="pods-of-another-namespace",
        ),
        pytest.param({"ipBlock": {"cidr": "10.240.2.0/24"}}, {CART.name}, id="a-network"),
        pytest.param(
            {"ipBlock": {"cidr": "10.240.0.0/16", "except": ["10.240.2.0/24"]}}, {BANK.name},
            id="a-network-without-a-part",
        ),
        pytest.param(
            {"ipBlock": {"cidr": "10.240.2.0/24", "except": ["10.240.0.0/16"]}}, set(),
            id="a-network-without-all-of-it",
        ),
        pytest.param({"ipBlock": {"cidr": "::/0"}}, set(), id="a-network-that-no-pod-is-in"),
    ],
)  # fmt: skip
def test_a_peer_is_a_set_of_pods_or_a_network(peer: Mapping[str, Any], lets_in: set[str]) -> None:
    found = policies(
        policy("shop", podSelector={"matchLabels": {"tier": "front"}}, ingress=[{"from": [peer]}])
    )

    assert {each.name for each in (CART, BANK) if passes(found, each, SHOP)} == lets_in


def test_a_namespace_that_is_not_known_is_no_peer() -> None:
    lacks = {"matchExpressions": [{"key": "barred", "operator": "DoesNotExist"}]}
    known = policies(policy("shop", ingress=[{"from": [{"namespaceSelector": lacks}]}]))

    assert passes(known, BANK, SHOP)
    assert not passes(replace(known, namespaces={"shop": {}}), BANK, SHOP)


@pytest.mark.parametrize(
    ("operator", "values", "is_selected"),
    [
        ("In", ["web"], True),
        ("In", ["cart"], False),
        ("NotIn", ["cart"], True),
        ("NotIn", ["web"], False),
        ("Exists", [], True),
        ("DoesNotExist", [], False),
    ],
)
def test_a_selector_has_expressions(operator: str, values: list[str], *, is_selected: bool) -> None:
    expression = {"key": "app", "operator": operator, "values": values}
    selector = {"matchExpressions": [expression]}

    assert passes(policies(policy("shop", podSelector=selector)), BANK, SHOP) is not is_selected


def test_a_label_that_is_absent_is_in_no_list_and_not_in_any() -> None:
    def closes(operator: str) -> bool:
        expression = {"key": "tier", "operator": operator, "values": ["front"]}
        return not passes(
            policies(policy("shop", podSelector={"matchExpressions": [expression]})), BANK, CART
        )

    assert closes("NotIn")
    assert not closes("In")


@pytest.mark.parametrize(
    ("port", "number", "protocol", "is_open"),
    [
        pytest.param({"port": 8080}, 8080, "TCP", True, id="a-number"),
        pytest.param({"port": 8080}, 8080, "UDP", False, id="another-protocol"),
        pytest.param({"port": 8000, "endPort": 8080}, 8080, "TCP", True, id="the-last-of-a-range"),
        pytest.param({"port": 8000, "endPort": 8079}, 8080, "TCP", False, id="past-a-range"),
        pytest.param({"protocol": "UDP"}, 1, "UDP", True, id="all-of-a-protocol"),
        pytest.param({"port": "http"}, 8080, "TCP", True, id="a-name"),
        pytest.param({"port": "http", "protocol": "UDP"}, 9090, "UDP", True, id="a-name-by-UDP"),
        pytest.param({"port": "grpc"}, 8080, "TCP", False, id="a-name-that-no-port-has"),
    ],
)
def test_a_port_has_a_number_a_range_or_a_name(
    port: Mapping[str, Any], number: int, protocol: str, *, is_open: bool
) -> None:
    found = policies(policy("shop", ingress=[{"ports": [port]}]))

    assert passes(found, BANK, SHOP, number, protocol) is is_open


def test_a_name_of_a_port_is_that_of_who_is_sent_to() -> None:
    found = policies(policy("shop", policyTypes=["Egress"], egress=[{"ports": [{"port": "http"}]}]))

    assert passes(found, CART, SHOP, 8080)
    assert passes(found, CART, BANK, 7070)
    assert not passes(found, CART, BANK, 8080)
    assert not passes(found, CART, "192.0.2.1", 8080)


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        pytest.param({"ingress": [{}], "flow": 1}, "flow is not known here", id="a-field"),
        pytest.param({"ingress": [{}, {"via": []}]}, "via is not known here", id="a-part-of-one"),
        pytest.param(
            {"ingress": [{}, {"ports": [{"protocol": "ICMP"}]}]}, "there is no protocol ICMP",
            id="a-protocol",
        ),
        pytest.param(
            {"ingress": [{}, {"from": [{"ipBlock": {"cidr": "everywhere"}}]}]}, "cannot be read",
            id="no-network",
        ),
        pytest.param(
            {"ingress": [{}, {"ports": [{"port": 9, "endPort": 8}]}]}, "no ports 9 to 8",
            id="an-empty-range",
        ),
        pytest.param(
            {
                "podSelector": {"matchExpressions": [{"key": "a", "operator": "Gt"}]},
                "ingress": [{}],
            },
            "there is no operator Gt",
            id="an-operator",
        ),
        pytest.param(
            {
                "ingress": [
                    {"from": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["192.0.2.1/32"] * 9}}],
                     "ports": [{"port": number} for number in range(1, 52)]}
                ]
            },
            "it has 510 parts; 500 is the limit",
            id="too-much",
        ),
    ],
)  # fmt: skip
def test_a_policy_that_is_not_understood_closes_what_it_selects(
    spec: Mapping[str, Any], problem: str
) -> None:
    found = policies(policy("shop", **spec))

    assert not passes(found, BANK, SHOP)
    assert passes(found, SHOP, BANK)
    (said,) = found.refused.values()
    assert problem in said


def test_each_node_has_the_rules_of_its_own_pods() -> None:
    found = policies(
        policy(
            "shop", policyTypes=["Ingress", "Egress"],
            ingress=[{"from": [{"podSelector": {}}], "ports": [{"port": 80, "endPort": 90}]}],
        )
    )  # fmt: skip

    table = table_of(found, "node1")

    assert (
        table
        == """\
add table bridge network-policies
delete table bridge network-policies
table bridge network-policies {
  chain from-pods {
    type filter hook prerouting priority filter; policy drop;
    iifname "uplink" accept
    ether type ip iifname . ip saddr { "veth10" . 10.240.1.10, "veth11" . 10.240.1.11 } accept
    ether type arp iifname . arp saddr ip { "veth10" . 10.240.1.10, "veth11" . 10.240.1.11 } accept
  }
  chain to-pods {
    type filter hook forward priority filter; policy drop;
    oifname "uplink" accept
    ether type arp accept
    ether type ip oifname . ip daddr { "veth10" . 10.240.1.10, "veth11" . 10.240.1.11 } accept
  }
}
add table inet network-policies
delete table inet network-policies
table inet network-policies {
  chain out-10-240-1-10 {
    ip daddr 10.240.1.10 return
    drop
  }
  chain in-10-240-1-10 {
    ip saddr 10.240.1.10 return
    ip saddr { 10.240.1.10, 10.240.2.10 } tcp dport 80-90 return
    drop
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    meta nfproto ipv6 drop
    ct state established,related accept
    ip saddr vmap { 10.240.1.10 : jump out-10-240-1-10 }
    ip daddr vmap { 10.240.1.10 : jump in-10-240-1-10 }
  }
}
"""
    )
    assert "10-240-1-10" not in table_of(found, "node2")


def test_a_node_without_pods_lets_none_send_or_take() -> None:
    table = table_of(policies(pods=[]), "node1")

    assert "{ }" not in table, "no set of nftables"
    assert table.count("policy drop;") == 2


def test_a_node_is_given_no_more_rules_than_it_can_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = [{"port": number} for number in range(1, 501)]
    many = policies(*[policy("bank", ingress=[{"ports": ports}]) for _ in range(50)])
    # It is judged before the work.
    monkeypatch.setattr(Policies, "allowed", None)

    with pytest.raises(Unavailable, match="node1 would have 25000 rules of policies"):
        table_of(many, "node1")


def test_a_name_of_a_port_is_a_rule_for_each_pod_that_has_it() -> None:
    named = [{"ports": [{"port": "http"}] * 3}]
    pods = [
        Pod("bank", f"p{n}", "node1", f"v{n}", f"10.240.{1 + n // 200}.{10 + n % 200}", {},
            (PodPort("http", "TCP", n),))
        for n in range(1, 160)
    ]  # fmt: skip

    with pytest.raises(Unavailable, match="rules of policies"):
        table_of(policies(policy("bank", egress=named), pods=pods), "node1")


def test_the_pods_of_a_selector_are_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pods = [
        Pod("shop", f"p{number}", "node1", f"veth{number}", f"10.240.1.{number}", {"app": "web"})
        for number in range(10, 110)
    ]
    looked = []
    monkeypatch.setattr(
        "local_cluster.network_policies.collapse_addresses",
        lambda found: looked.append(1) or collapse_addresses(found),
    )
    peers = [{"podSelector": {"matchLabels": {"app": "web"}}}]
    same = [policy("shop", ingress=[{"from": peers, "ports": [{"port": n}]}]) for n in (1, 2, 3)]

    table_of(policies(*same, pods=pods), "node1")

    assert len(looked) == 1


def test_many_exceptions_of_a_network_are_taken_out_at_once() -> None:
    excepted = [f"{20 + number % 200}.{number % 7}.{number % 256}.1/32" for number in range(490)]
    block = {"cidr": "0.0.0.0/0", "except": [*excepted, "20.0.0.0/16"]}
    found = policies(policy("shop", ingress=[{"from": [{"ipBlock": block}]}]))

    started = process_time()
    (allowed,) = found.allowed(SHOP, Direction.INGRESS) or ()
    assert process_time() - started < 1

    out = {*(ip_network(each) for each in excepted), ip_network("20.0.0.0/16")}
    left = sum(each.num_addresses for each in allowed.networks or ())
    assert left == 2**32 - sum(each.num_addresses for each in collapse_addresses(out))
    assert not any(passes(found, each.removesuffix("/32"), SHOP) for each in excepted[:5])
    assert passes(found, "20.1.0.2", SHOP)
