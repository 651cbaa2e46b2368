"""What nodes of the session's cluster let pass follows the NetworkPolicies that it has."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, Final

import pytest

from tests.kit.kubernetes_cluster import KubernetesCluster, until
from tests.kit.patience import PATIENCE_S
from tests.kit.pod_cluster import PodCluster, pod_cluster

__all__ = ["pod_cluster"]

# A node of the cluster is switched off.
pytestmark = [
    pytest.mark.real, pytest.mark.long(minutes=1), pytest.mark.xdist_group("whole-cluster"),
]  # fmt: skip

PORT: Final = 8080
SERVER: Final = f"""
import http.server
http.server.HTTPServer(("", {PORT}), http.server.SimpleHTTPRequestHandler).serve_forever()
"""
SLEEPER: Final = "import threading; threading.Event().wait()"
HEARS: Final = """
import socket
s = socket.socket(type=socket.SOCK_DGRAM)
s.bind(("", 9999))
while (heard := s.recv(99)) != b"end":
    print(heard.decode(), flush=True)
"""
WRITES_ADDRESSES: Final = """
import socket, sys
hears, other, everybody = sys.argv[1:]
def datagram(source):
    text = b"of " + source.encode()
    udp = (9999).to_bytes(2) * 2 + (8 + len(text)).to_bytes(2) + bytes(2) + text
    head = bytes([0x45, 0, 0, 20 + len(udp), 0, 1, 0, 0, 64, 17, 0, 0])
    return head + socket.inet_aton(source) + socket.inet_aton(hears) + udp
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
s = socket.socket(type=socket.SOCK_DGRAM)
s.connect((hears, 9999))
own = s.getsockname()[0]
s = socket.socket(type=socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
for target in (everybody, "255.255.255.255"):
    s.sendto(b"broadcast", (target, 9999))
raw.sendto(datagram(other), (hears, 0))
raw.sendto(datagram(own), (hears, 0))
s.sendto(b"end", (hears, 9999))
"""
CONNECTS: Final = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=1).close()
    print("open")
except OSError:
    print("closed")
"""


@dataclass(frozen=True)
class Neighbours:
    """The namespace `shop` with a web server on each node, and `bank` with one who asks it."""

    pods: PodCluster
    shop: str
    bank: str

    @property
    def cluster(self) -> KubernetesCluster:
        return self.pods.cluster

    def pod(self, name: str, script: str, *words: str, node: str | None = None) -> dict[str, Any]:
        """Return a pod that runs *script*; it is ready when it serves, where it does."""
        container: dict[str, Any] = {
            "name": "main",
            "image": self.pods.isolation_image,
            "command": [*self.pods.command[:2], "-c", script, *words],
        }
        if script == SERVER:
            container["ports"] = [{"name": "http", "containerPort": PORT}]
            probe = {"tcpSocket": {"port": "http"}, "periodSeconds": 1, "failureThreshold": 1}
            container["readinessProbe"] = probe
        spec = {
            "containers": [container],
            "terminationGracePeriodSeconds": 0,
            "nodeName": node or self.cluster.record.nodes[0],
            "restartPolicy": "Always" if script == SERVER else "Never",
        }
        metadata = {"name": name, "labels": {"app": "web" if script == SERVER else "asker"}}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}

    def start(self, namespace: str, *pods: Mapping[str, Any]) -> None:
        self.cluster.apply(namespace, *pods)
        names = [f"pod/{each['metadata']['name']}" for each in pods]
        wait = ("wait", "--for=condition=Ready", f"--timeout={PATIENCE_S:.0f}s")
        self.cluster.kubectl(*wait, "--namespace", namespace, *names)

    def policy(self, namespace: str, name: str, **spec: Any) -> None:
        document = {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": name},
            "spec": {"podSelector": {}, **spec},
        }
        self.cluster.apply(namespace, document)

    def address(self, name: str, namespace: str = "") -> str:
        found = self.cluster.read("pod", name, "--namespace", namespace or self.shop)
        return str(found["status"]["podIP"])

    def asks(self, host: str, port: int = PORT) -> str:
        """Return whether the pod of the bank gets a connection: `open` or `closed`."""
        line = ("exec", "--namespace", self.bank, "asker", "--")
        words = (*self.pods.command[:2], "-c", CONNECTS, host, str(port))
        return self.cluster.kubectl(*line, *words).strip()

    def until_all_are(self, answer: str, hosts: list[str], port: int = PORT) -> None:
        """Wait until each of *hosts* answers the bank so."""
        until(lambda: {self.asks(each, port) for each in hosts} == {answer})


@pytest.fixture
def neighbours(pod_cluster: PodCluster, namespace: str) -> Iterator[Neighbours]:
    cluster = pod_cluster.cluster
    if not cluster.record.policies:
        pytest.skip("nothing of this machine's clusters enforces network policies")
    bank = f"{namespace}-bank"
    cluster.kubectl("create", "namespace", bank)
    try:
        yield Neighbours(pod_cluster, namespace, bank)
    finally:
        cluster.kubectl("delete", "namespace", bank, "--wait=false")


def test_pods_are_reached_as_the_policies_of_the_moment_say(neighbours: Neighbours) -> None:
    shop, bank, cluster = neighbours.shop, neighbours.bank, neighbours.cluster
    first, second = cluster.record.nodes[:2]
    servers = [
        neighbours.pod(f"web-{number}", SERVER, node=node)
        for number, node in enumerate((first, second), start=1)
    ]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": PORT}]},
    }
    neighbours.start(shop, *servers)
    cluster.apply(shop, service)
    neighbours.start(bank, neighbours.pod("asker", SLEEPER))
    at = [neighbours.address(name) for name in ("web-1", "web-2")]
    by_service = cluster.read("service", "web", "--namespace", shop)["spec"]["clusterIP"]
    api = cluster.record.server.rpartition("/")[2].split(":")

    neighbours.until_all_are("open", [*at, by_service])

    neighbours.policy(shop, "closed", policyTypes=["Ingress"])
    neighbours.until_all_are("closed", [*at, by_service])
    # The probes of a kubelet come through, also to a pod that starts now.
    neighbours.start(shop, neighbours.pod("web-3", SERVER, node=second))
    assert neighbours.asks(neighbours.address("web-3")) == "closed"

    of_bank = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": bank}}}
    opening = {"from": [of_bank], "ports": [{"port": "http"}]}
    neighbours.policy(shop, "opened", policyTypes=["Ingress"], ingress=[opening])
    neighbours.until_all_are("open", [*at, by_service])

    with cluster.switched_off(second):
        neighbours.until_all_are("closed", at[1:])
    cluster.kubectl("delete", "networkpolicy", "opened", "--namespace", shop)
    neighbours.start(shop, neighbours.pod("web-4", SERVER, node=second))
    assert neighbours.asks(neighbours.address("web-4")) == "closed"

    # What a pod sends is closed before it runs.
    assert neighbours.asks(api[0], int(api[1])) == "open"
    neighbours.policy(bank, "silent", policyTypes=["Egress"])
    neighbours.until_all_are("closed", [api[0]], int(api[1]))
    cluster.apply(bank, neighbours.pod("at-once", CONNECTS, *api))
    ended = ("wait", "--for=jsonpath={.status.phase}=Succeeded", f"--timeout={PATIENCE_S:.0f}s")
    cluster.kubectl(*ended, "--namespace", bank, "pod/at-once")
    assert cluster.kubectl("logs", "at-once", "--namespace", bank) == "closed\n"

    cluster.kubectl("delete", "networkpolicy", "--all", "--namespace", shop)
    cluster.kubectl("delete", "networkpolicy", "--all", "--namespace", bank)
    neighbours.until_all_are("open", [at[0], by_service])

    # A pod is told what is for its address, by whose address it says.
    neighbours.start(shop, neighbours.pod("hears", HEARS))
    hears = neighbours.address("hears")
    subnet = ip_network(f"{hears}/20", strict=False)
    writer = neighbours.pod("writes", WRITES_ADDRESSES, hears, at[0], str(subnet.broadcast_address))
    may = {"runAsUser": 0, "capabilities": {"add": ["NET_RAW"]}}
    writer["spec"]["containers"][0]["securityContext"] = may
    cluster.apply(bank, writer)
    cluster.kubectl(*ended, "--namespace", shop, "pod/hears")
    heard = cluster.kubectl("logs", "hears", "--namespace", shop)
    assert heard == f"of {neighbours.address('writes', bank)}\n"
