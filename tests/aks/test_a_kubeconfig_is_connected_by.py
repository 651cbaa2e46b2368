"""A cluster that a kubeconfig names is reached by each of its ways to show who we are."""

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from local_cloud.certificates import LocalCertificates
from shared.kernel.clock import SystemClock
from shared.kernel.errors import Unavailable
from shared.surfaces.aks import api_transport
from shared.surfaces.aks.cluster_access import (
    LOOKED_UP_EVERY_S,
    ClusterAccess,
    KubeconfigSource,
)
from tests.kit.managed_aks import (
    AheadClock,
    StandIn,
    client_pair,
    kubeconfig,
    kubernetes,
    status_of,
)

pytestmark = pytest.mark.real


@dataclass
class FileCluster:
    """An API server, and the file that says where it is."""

    api: StandIn
    path: Path
    clock: AheadClock
    access: ClusterAccess | None = None

    def write(self, user: dict[str, Any]) -> None:
        ca_file = self.api.certificates.ca_file
        self.path.write_text(json.dumps(kubeconfig(self.api.url, ca_file, user)))
        self.path.chmod(0o600)

    async def namespaces(self) -> list[str]:
        from lightkube.resources.core_v1 import Namespace

        if self.access is None:
            source = KubeconfigSource(self.path, None, self.clock)
            self.access = ClusterAccess(source, self.clock)
        client = await self.access.client()
        return [each.metadata.name async for each in client.list(Namespace)]


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[FileCluster]:
    certificates = LocalCertificates(tmp_path / "certificates", SystemClock())
    api = StandIn(kubernetes, None, certificates)
    served = FileCluster(api, tmp_path / "kubeconfig", AheadClock())
    await api.start()
    try:
        yield served
    finally:
        if served.access is not None:
            await served.access.close()
        await api.stop()


async def test_by_a_token(cluster: FileCluster) -> None:
    cluster.write({"token": "first"})

    assert await cluster.namespaces() == ["default"]
    assert cluster.api.tokens == ["Bearer first"]
    assert cluster.access is not None
    assert await cluster.access.managed_cluster() is None


async def test_by_a_token_in_a_file_that_is_replaced(cluster: FileCluster) -> None:
    file = cluster.path.with_name("token")
    file.write_text("first")
    cluster.write({"token": "stale", "tokenFile": "token"})
    await cluster.namespaces()

    file.write_text("second")
    cluster.api.answers.append(status_of(401, "Unauthorized"))

    assert await cluster.namespaces() == ["default"]
    assert cluster.api.tokens == ["Bearer first", "Bearer first", "Bearer second"]


async def test_by_a_certificate(cluster: FileCluster) -> None:
    certificate, key = client_pair()
    await cluster.api.stop()
    cluster.api.client_authority = certificate
    await cluster.api.start()
    encoded = [base64.b64encode(each.encode()).decode() for each in (certificate, key)]
    cluster.write(dict(zip(("client-certificate-data", "client-key-data"), encoded, strict=True)))

    assert await cluster.namespaces() == ["default"]
    assert cluster.api.tokens == [""]


async def test_a_cluster_that_came_back_with_another_authority_is_found_again(
    cluster: FileCluster,
) -> None:
    from httpx2 import ConnectError

    cluster.write({"token": "first"})
    await cluster.namespaces()
    assert cluster.access is not None
    former = await cluster.access.client()

    await cluster.api.stop()
    cluster.api.certificates = LocalCertificates(cluster.path.with_name("new"), SystemClock())
    await cluster.api.start()
    cluster.write({"token": "second"})
    with pytest.raises(ConnectError, match="certificate verify failed"):
        await cluster.namespaces()
    assert await cluster.access.client() is former
    cluster.clock.ahead_s += LOOKED_UP_EVERY_S

    assert await cluster.namespaces() == ["default"]
    assert cluster.api.tokens == ["Bearer first", "Bearer second"]


async def test_a_file_that_is_gone_for_a_while_is_waited_for(cluster: FileCluster) -> None:
    cluster.write({"token": "first"})
    source = KubeconfigSource(cluster.path, None, cluster.clock)
    cluster.access = ClusterAccess(source, cluster.clock)
    content = cluster.path.read_text()
    cluster.path.write_text("kind: Secret")

    with pytest.raises(Unavailable, match="no kubeconfig"):
        await cluster.namespaces()
    cluster.path.write_text(content)
    cluster.clock.ahead_s += 5

    assert await cluster.namespaces() == ["default"]


async def test_what_the_machine_says_of_proxies_does_not_count(
    cluster: FileCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    cluster.write({"token": "first"})

    assert await cluster.namespaces() == ["default"]


async def _stream(request: web.Request, line: bytes, times: int) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    try:
        for _ in range(times):
            await response.write(line)
    except ConnectionError:
        pass
    return response


EVENT = json.dumps(
    {"type": "ADDED", "object": {"metadata": {"name": "n", "resourceVersion": "1"}}}
).encode()


async def test_an_answer_is_bounded_and_a_watch_by_its_events(
    cluster: FileCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lightkube.resources.core_v1 import Namespace

    async def events(request: web.Request) -> web.StreamResponse:
        assert request.query["watch"] == "true"
        return await _stream(request, EVENT + b"\n", 30)

    async def endless(request: web.Request) -> web.StreamResponse:
        return await _stream(request, EVENT, 1000)

    monkeypatch.setattr(api_transport, "ANSWER_BYTES_MAX", 1000)
    cluster.write({"token": "first"})
    await cluster.namespaces()
    cluster.api.answers.extend([events, endless])
    assert cluster.access is not None
    client = await cluster.access.client()

    async def watch() -> None:
        async for kind, _ in client.watch(Namespace):
            assert kind == "ADDED"

    with pytest.raises(api_transport.AnswerTooLarge):
        await watch()
    assert len(cluster.api.asked) == 3, "the watch went on after its thirty events"
    cluster.api.answers.append(endless)
    with pytest.raises(api_transport.AnswerTooLarge):
        await cluster.namespaces()
