"""Requests of a real client go to the pods that an HTTPRoute names, by its weights."""

import http.client
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import pytest

from tests.kit.kubernetes_cluster import KubernetesCluster, until
from tests.kit.patience import PATIENCE_S
from tests.kit.web_deployments import web_server

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("whole-cluster")]

HOST = "shop.internal"
PATH = "/v2/_catalog"
"""Which no probe asks for, so that the logs of pods count what the client sent."""
GATEWAY = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "Gateway",
    "metadata": {"name": "site"},
    "spec": {
        "gatewayClassName": "local",
        "listeners": [{"name": "http", "protocol": "HTTP", "port": 8080}],
    },
}


def route(stable: int, canary: int) -> Mapping[str, Any]:
    weights = {"stable": stable, "canary": canary}
    backends = [{"name": name, "port": 80, "weight": weight} for name, weight in weights.items()]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "shop"},
        "spec": {
            "parentRefs": [{"name": "site"}],
            "hostnames": [HOST],
            "rules": [{"backendRefs": backends}],
        },
    }


class Site:
    """Two releases of one application behind a Gateway."""

    def __init__(self, cluster: KubernetesCluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace

    def start(self, image: str) -> None:
        releases = [each for name in ("stable", "canary") for each in web_server(name, image)]
        self._cluster.apply(self._namespace, GATEWAY, *releases)
        for name in ("stable", "canary"):
            self.kubectl("rollout", "status", f"deployment/{name}", f"--timeout={PATIENCE_S:.0f}s")

    def weigh(self, stable: int, canary: int) -> None:
        """Set the weights, and return when the Gateway has them in force."""
        self._cluster.apply(self._namespace, route(stable, canary))
        until(self._is_in_force)

    def send(self, count: int) -> list[int]:
        """Send requests on one connection each; return their statuses."""
        gateway = self._cluster.read("gateway", "site", "--namespace", self._namespace)
        address = gateway["status"]["addresses"][0]["value"]
        return [_status(address) for _ in range(count)]

    def answered(self, name: str) -> int:
        """Return how many requests the pods of a release have answered."""
        words = ("logs", "--selector", f"app={name}", "--tail=-1", "--prefix=false")
        return self.kubectl(*words).count(PATH)

    def kubectl(self, *words: str) -> str:
        return self._cluster.kubectl(*words, "--namespace", self._namespace)

    def _is_in_force(self) -> bool:
        found = self._cluster.read("httproute", "shop", "--namespace", self._namespace)
        return any(
            (condition["type"], condition["status"]) == ("Accepted", "True")
            and condition["observedGeneration"] == found["metadata"]["generation"]
            for parent in found.get("status", {}).get("parents", ())
            for condition in parent["conditions"]
        )


def _status(address: str) -> int:
    with closing(http.client.HTTPConnection(address, 8080, timeout=5)) as connection:
        connection.request("GET", PATH, headers={"Host": HOST})
        return connection.getresponse().status


@pytest.fixture
def site(real_cluster: KubernetesCluster, namespace: str, server_image: str) -> Site:
    site = Site(real_cluster, namespace)
    site.start(server_image)
    return site


@pytest.mark.long
def test_a_canary_gets_its_share_and_then_all(site: Site) -> None:
    site.weigh(stable=80, canary=20)

    assert set(site.send(200)) == {200}
    assert site.answered("stable") + site.answered("canary") == 200
    assert 12 <= site.answered("canary") <= 68, "five standard deviations about 40"

    before = site.answered("stable")
    site.weigh(stable=0, canary=100)

    assert set(site.send(50)) == {200}
    assert site.answered("stable") == before


@pytest.mark.long
def test_no_request_fails_while_pods_are_replaced(site: Site) -> None:
    site.weigh(stable=100, canary=0)

    site.kubectl("rollout", "restart", "deployment/stable")
    statuses: list[int] = []
    while "successfully" not in _progress(site):
        statuses += site.send(20)

    assert len(statuses) >= 20
    assert set(statuses) == {200}


def _progress(site: Site) -> str:
    return site.kubectl("rollout", "status", "deployment/stable", "--watch=false")
