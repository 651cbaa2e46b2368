"""A pod of a `live` module follows its configuration by what the platform gives it."""

import asyncio
import json
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from cli.client import Client
from cli.failure import Failure
from local_cluster.cluster_folder import Form
from shared.composition.cluster_settings import (
    CLUSTER_ISSUER,
    GATEWAY_COUNTERS,
    INSTALLATION,
    KUBECONFIG,
)
from shared.composition.settings import CA_FILE, GATEWAY
from shared.kernel.clock import SystemClock
from shared.surfaces.aks.cluster_access import ClusterAccess, KubeconfigSource
from shared.surfaces.aks.cluster_api import ClusterApi
from shared.surfaces.aks.names import MODULE as MODULE_LABEL
from shared.surfaces.aks.names import Installation
from shared.web.issuer import AUDIENCE
from tests.kit.kubernetes_cluster import kubernetes_cluster
from tests.kit.patience import PATIENCE_S
from tests.kit.pod_cluster import PodCluster, pod_cluster
from tests.kit.real_system import RealSystem
from tests.surfaces.aks_harness import make_installation, remove_installation
from tests.system.test_a_live_module_brings_nothing import CLIENT, SERVER

__all__ = ["kubernetes_cluster", "pod_cluster"]
pytestmark = [pytest.mark.real, pytest.mark.long]
MODULE: Final = "module-greeting"
IMPORTS: Final = ("contextlib", "os", "sys", "time", "typing", "urllib.request")


@contextmanager
def relay(host: str, port: int) -> Iterator[str]:
    """Yield a URL at *host*, which pods reach, that leads to *port* of this machine."""

    def pump(source: socket.socket, sink: socket.socket) -> None:
        try:
            while piece := source.recv(65536):
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return  # either end has gone

    class Relayed(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection(("127.0.0.1", port)) as inner:
                back = threading.Thread(target=pump, args=(inner, self.request), daemon=True)
                back.start()
                pump(self.request, inner)
                back.join()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server((host, 0), Relayed) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{host}:{server.server_address[1]}"
        server.shutdown()


@contextmanager
def installation(pods: PodCluster) -> Iterator[Installation]:
    async def with_api(act: Any, *words: Any) -> Any:
        access = ClusterAccess(
            KubeconfigSource(pods.cluster.kubeconfig, None, SystemClock()), SystemClock()
        )
        try:
            return await act(ClusterApi(access.client), *words)
        finally:
            await access.close()

    made = asyncio.run(with_api(make_installation))
    try:
        yield made
    finally:
        asyncio.run(with_api(remove_installation, made))


class Following:
    """An environment on the cluster, and a module there that says what it was given."""

    def __init__(self, system: RealSystem, client: Client, pods: PodCluster, digest: str) -> None:
        self.system, self.client, self.pods, self.digest = system, client, pods, digest
        body = {
            "name": "shop", "projectId": "proj-web", "stage": "test", "region": "local",
            "computeTargets": [{"kind": "AKS"}],
        }  # fmt: skip
        made = client.write("POST", "/v1/runtime/environments", body).body
        self.environment = made["environmentId"]
        self.until(f"/v1/runtime/environments/{self.environment}", {"Provisioned"})
        self.version = 0

    def until(self, path: str, statuses: set[str]) -> Any:
        def reached() -> Any:
            found = self.client.get(path).body
            return found if found["status"] in statuses else None

        return self.system.until(reached, within_s=PATIENCE_S)

    def publish(self, greeting: str) -> None:
        scope = {"layer": "module", "environmentId": self.environment, "moduleId": MODULE}
        values = {"greeting": greeting}
        body = {"scope": scope, "values": values, "expectedVersion": self.version}
        self.system.until(lambda: self._published(body))
        self.version += 1

    def _published(self, body: dict[str, Any]) -> bool:
        """Publish once configurations has heard of the environment."""
        try:
            self.client.write("POST", "/v1/runtime/configurations", body)
        except Failure as refused:
            if refused.code != "EnvironmentNotProvisioned":
                raise
            return False
        return True

    def deploy(self) -> Any:
        component = {
            "moduleId": MODULE, "componentType": "microservice", "version": "1",
            "image": f"{self.pods.image}@{self.digest}", "command": list(self.pods.command),
            "port": 8080, "computeTarget": "AKS", "configurationMode": "live",
            "configurationDelivery": [], "probes": {"readiness": {"path": "/"}},
        }  # fmt: skip
        body = {
            "environmentId": self.environment, "releaseRef": "greeting-1",
            "gate": {"window": "PT1S", "minSamples": 1, "deadline": "PT5S"},
            "strategy": {"kind": "canary", "steps": [{"weight": 100}]},
            "components": [component],
        }  # fmt: skip
        made = self.client.write("POST", "/v1/runtime/deployments", body).body["deploymentId"]
        ended = {"Completed", "RolledBack", "Failed", "Cancelled"}
        return self.until(f"/v1/runtime/deployments/{made}", ended)

    @property
    def pod(self) -> dict[str, Any]:
        found = self.pods.cluster.read("pods", "-A", "-l", f"{MODULE_LABEL}={MODULE}")["items"]
        (pod,) = [each for each in found if "deletionTimestamp" not in each["metadata"]]
        return dict(pod)

    def said(self) -> str:
        metadata = self.pod["metadata"]
        where = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}:8080/proxy/"
        return self.pods.cluster.kubectl("get", "--raw", where)

    def token(self, *words: str, namespace: str | None = None, audience: str = AUDIENCE) -> str:
        """Return a token of the account of the pod; bound to what *words* say."""
        pod = self.pod
        place = namespace or pod["metadata"]["namespace"]
        account = pod["spec"]["serviceAccountName"]
        asked = ("create", "token", account, "--namespace", place, "--audience", audience)
        return self.pods.cluster.kubectl(*asked, *words).strip()

    def answered(self, token: str, path: str = "effective-configuration", **more: str) -> str:
        """Return the greeting that *token* is answered, or the code of its refusal."""
        query = {"environmentId": self.environment, "moduleId": MODULE, **more}
        with closing(Client(self.system.url, token)) as asking:
            try:
                found = asking.get(f"/v1/runtime/{path}", query).body
            except Failure as refused:
                return str(refused.code)
            return str(found["values"]["greeting"])


def test_it_follows_each_publish_and_its_token_is_good_for_nothing_else(
    pod_cluster: PodCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = pod_cluster.cluster
    if cluster.record.form is not Form.ROOT:
        pytest.skip("pods reach this machine where their nodes are in a network of it")
    program = SERVER.replace("from live_configuration import LiveConfiguration\n", "")
    program = CLIENT.read_text() + program.replace("127.0.0.1", "0.0.0.0")
    digest = pod_cluster.push(program, tmp_path / "live", *IMPORTS)
    server = cluster.record.server
    host = urlsplit(server).hostname or ""
    system = RealSystem(tmp_path / "state")
    with installation(pod_cluster) as own, relay(host, system.port) as url:
        for name, value in {
            KUBECONFIG: str(pod_cluster.platform),
            INSTALLATION: own.name,
            "RUNTIME_GATEWAY_CLASS": cluster.record.gateway_class or "",
            GATEWAY_COUNTERS: cluster.record.counters or "",
            "RUNTIME_IMAGE_RULES": json.dumps({"*": {"registries": ["127.0.0.1:*"]}}),
            GATEWAY: url,
            CLUSTER_ISSUER: server,
            CA_FILE: str(cluster.folder.certificate("ca")),
            "RUNTIME_ISSUER_NETWORKS": f"{host}/32",
            "RUNTIME_GATEWAY_NETWORKS": pod_cluster.gateway_networks,
            "RUNTIME_PLATFORM_NETWORKS": f"{host}/32",
        }.items():
            monkeypatch.setenv(name, value)
        with system.running(), closing(system.client()) as client:
            shop = Following(system, client, pod_cluster, digest)
            shop.publish("hello")
            deployed = shop.deploy()
            assert deployed["status"] == "Completed", deployed["reason"]
            system.until(lambda: shop.said() == "hello")

            shop.publish("hi")
            system.until(lambda: shop.said() == "hi")

            pod = shop.pod["metadata"]
            bound = ("--bound-object-kind", "Pod", "--bound-object-name", pod["name"])
            token = shop.token(*bound)
            assert shop.answered(token, instance=pod["name"]) == "hi"
            assert shop.answered(token, instance="another") == "ScopeMissing"
            assert shop.answered(token, moduleId="module-other") == "ScopeMissing"
            assert shop.answered(token, environmentId="env-abcdefghijkl") == "ScopeMissing"
            assert shop.answered(token, "configurations") == "ScopeMissing"
            assert shop.answered(shop.token(*bound, audience="another")) == "WrongAudience"
            assert shop.answered(shop.token()) == "UnmappedToken"
            cluster.kubectl("create", "serviceaccount", shop.pod["spec"]["serviceAccountName"])
            assert shop.answered(shop.token(namespace="default")) == "UnmappedToken"
