"""An AKS cluster as the platform meets it: Azure Resource Manager and an API server, by https.

Both stand in for Azure's on loopback, with the certificate of a local authority, and take tokens of
the local token endpoint only, each for its own audience. The API server answers what a client asks
of any, `/version` and namespaces; a real one is that of `local_cluster`.
"""

import base64
import json
import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from local_cloud.callers import Callers
from local_cloud.certificates import LocalCertificates
from local_cloud.http_runner import HttpRunner
from local_cloud.token_endpoint.identities import LocalIdentities
from local_cloud.token_endpoint.server import TokenEndpoint
from shared.composition.cluster import open_cluster
from shared.composition.settings import read_settings
from shared.connections.loopback_ports import free_port
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.kernel.errors import Refused
from shared.surfaces.aks.cluster_access import AksSource, ClusterAccess

IDENTITY: Final = "deployments"
ARM: Final = "https://management.azure.com"
AKS: Final = "6dae42f8-4368-4678-94ff-3960e28e3630"
CLUSTER_ID: Final = (
    "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/shop"
    "/providers/Microsoft.ContainerService/managedClusters/shop-aks"
)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class AheadClock(SystemClock):
    """The machine's clock, and as many seconds ahead as a test has moved it."""

    ahead_s = 0.0

    def monotonic_s(self) -> float:
        return super().monotonic_s() + self.ahead_s


@dataclass
class StandIn:
    """An https server for one audience; what stands in `answers` it gives instead, once each."""

    handle: Handler
    callers: Callers | None
    """Whose tokens are taken; None: everybody is answered."""
    certificates: LocalCertificates
    asked: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    answers: deque[Handler | web.Response] = field(default_factory=deque)
    port: int = field(default_factory=lambda: free_port(SystemEntropy()))
    """Kept while it is stopped, so that it can come back."""
    client_authority: str | None = None
    """In PEM; with it, clients must show a certificate that it signed."""
    runner: HttpRunner | None = None

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    async def start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self.runner = HttpRunner(app)
        await self.runner.setup()
        tls = self.certificates.server_context()
        if self.client_authority is not None:
            tls.verify_mode = ssl.CERT_REQUIRED
            tls.load_verify_locations(cadata=self.client_authority)
        await web.TCPSite(self.runner, "127.0.0.1", self.port, ssl_context=tls).start()

    async def stop(self) -> None:
        if self.runner is not None:
            await self.runner.cleanup()
            self.runner = None

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.path_qs}")
        self.tokens.append(request.headers.get("Authorization", ""))
        if self.answers:
            answer = self.answers.popleft()
            return answer if isinstance(answer, web.Response) else await answer(request)
        try:
            if self.callers is not None:
                await self.callers.caller(request.headers.get("Authorization"))
        except Refused:
            return web.json_response({"error": {"code": "InvalidToken"}}, status=401)
        return await self.handle(request)


def refusal(status: int, code: str, **headers: str) -> web.Response:
    """Return an error as Azure Resource Manager words it."""
    body = {"error": {"code": code, "message": "s3cret words"}}
    return web.json_response(body, status=status, headers=headers)


@dataclass
class ManagedAks:
    """One cluster: a test changes `properties` and `kubeconfig`, which Azure then has."""

    arm: StandIn
    api: StandIn
    identities: LocalIdentities
    clock: AheadClock
    access: ClusterAccess
    properties: dict[str, Any] = field(default_factory=dict)
    kubeconfig: dict[str, Any] = field(default_factory=dict)

    @property
    def source(self) -> AksSource:
        source = self.access._source
        assert isinstance(source, AksSource)
        return source

    async def azure(self, request: web.Request) -> web.StreamResponse:
        path, version = request.path.lower(), request.query.get("api-version")
        assert version, "Azure Resource Manager asks for it"
        if (request.method, path) == ("GET", CLUSTER_ID.lower()):
            body: Any = {"id": CLUSTER_ID, "name": "shop-aks", "properties": self.properties}
            return web.json_response(body)
        if (request.method, path) == ("POST", f"{CLUSTER_ID}/listClusterUserCredential".lower()):
            assert request.query.get("format") == "exec"
            content = base64.b64encode(json.dumps(self.kubeconfig).encode()).decode()
            return web.json_response({"kubeconfigs": [{"name": "clusterUser", "value": content}]})
        return refusal(404, "ResourceNotFound")


async def kubernetes(request: web.Request) -> web.StreamResponse:
    """Answer as an API server does, of one namespace."""
    if request.path == "/api/v1/namespaces":
        items = [{"metadata": {"name": "default"}}]
        return web.json_response({"kind": "NamespaceList", "metadata": {}, "items": items})
    return status_of(404, "NotFound")


def status_of(status: int, reason: str) -> web.Response:
    """Return a refusal as an API server words it."""
    body = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    text = json.dumps({**body, "code": status, "reason": reason, "message": reason})
    return web.Response(
        status=status, body=text.encode(), headers={"Content-Type": "application/json"}
    )


def node_pool(name: str, **changed: Any) -> Mapping[str, Any]:
    """Return a pool as Azure words it."""
    return {
        "name": name,
        "mode": "System",
        "count": 3,
        "vmSize": "Standard_D4ds_v5",
        "osType": "Linux",
        "currentOrchestratorVersion": "1.37.2",
        "provisioningState": "Succeeded",
        "powerState": {"code": "Running"},
        **changed,
    }


def exec_user(server_id: str = AKS) -> Mapping[str, Any]:
    """Return the user that Azure's kubeconfig has in the format exec."""
    arguments = ["get-token", "--login", "devicecode", "--server-id", server_id]
    return {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1beta1",
            "args": [*arguments, "--tenant-id", "t", "--environment", "AzurePublicCloud"],
            "command": "kubelogin",
            "env": None,
            "provideClusterInfo": False,
        }
    }


def kubeconfig(server: str, ca_file: Path, user: Mapping[str, Any]) -> dict[str, Any]:
    authority = base64.b64encode(ca_file.read_bytes()).decode()
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "preferences": {},
        "current-context": "shop",
        "clusters": [
            {
                "name": "shop",
                "cluster": {"server": server, "certificate-authority-data": authority},
            }
        ],
        "contexts": [{"name": "shop", "context": {"cluster": "shop", "user": "clusterUser"}}],
        "users": [{"name": "clusterUser", "user": dict(user)}],
    }


def client_pair() -> tuple[str, str]:
    """Return a certificate that signs itself, and its key, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "platform")])
    now = SystemClock().now()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), pem.decode()


@asynccontextmanager
async def managed_aks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ManagedAks]:
    """Serve a cluster, and connect to it by its id as the managed identity of an app."""
    from azure.identity.aio import ManagedIdentityCredential

    clock, entropy = AheadClock(), SystemEntropy()
    identities = LocalIdentities(folder / "identities", clock, entropy)
    certificates = LocalCertificates(folder / "certificates", clock)
    certificates.server_context()
    tokens = TokenEndpoint(identities, [IDENTITY], 0)
    await tokens.start()
    for name, value in tokens.environ_of(IDENTITY).items():
        monkeypatch.setenv(name, value)
    api = StandIn(kubernetes, Callers(identities, (), [AKS], clock), certificates)
    arm = StandIn(kubernetes, Callers(identities, (), [ARM], clock), certificates)
    await api.start()
    await arm.start()
    settings = read_settings(
        {
            "RUNTIME_PROFILE": "local",
            "RUNTIME_AKS_CLUSTER_ID": CLUSTER_ID,
            "RUNTIME_CA_FILE": str(certificates.ca_file),
        }
    )
    credential = ManagedIdentityCredential()
    access = open_cluster(settings, lambda: credential, clock, arm_endpoint=arm.url)
    cluster = ManagedAks(arm, api, identities, clock, access)
    arm.handle = cluster.azure
    cluster.properties = {
        "provisioningState": "Succeeded",
        "powerState": {"code": "Running"},
        "kubernetesVersion": "1.37",
        "currentKubernetesVersion": "1.37.2",
        "fqdn": "localhost",
        "aadProfile": {"managed": True, "enableAzureRBAC": False},
        "disableLocalAccounts": True,
        "agentPoolProfiles": [node_pool("system")],
    }
    cluster.kubeconfig = kubeconfig(api.url, certificates.ca_file, exec_user())
    try:
        yield cluster
    finally:
        await access.close()
        await credential.close()
        await arm.stop()
        await api.stop()
        await tokens.stop()
