"""A question to a pod goes to that pod, whatever its path says: it is sent with our rights."""

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx2
import pytest
from pydantic import ValidationError

from shared.contracts.releases import ReleaseQuestion as Asked
from shared.contracts.values import Probe
from shared.kernel.errors import Invalid
from shared.surfaces.aks.cluster_api import ClusterApi
from shared.surfaces.aks.kinds import CONFIG_MAPS, PODS
from shared.surfaces.aks.proof import _release_of
from shared.surfaces.spec import ReleaseQuestion
from tests.surfaces.harness import TEMPLATE

POD = {"metadata": {"name": "web-r1-a", "namespace": "acme"}}
PROXY = "/api/v1/namespaces/acme/pods/web-r1-a:8080/proxy"
UP = "/../../../../../../../api/v1/namespaces/rival/configmaps/settings"


class Server:
    """An API server that answers everything with a release, and keeps what it was asked."""

    def __init__(self, base: str = "https://cluster.test") -> None:
        self.asked: list[str] = []
        self._connection = httpx2.AsyncClient(
            base_url=base, transport=httpx2.MockTransport(self._answer)
        )

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request.url.raw_path.decode())
        return httpx2.Response(200, json={"version": "1.0"})

    async def connect(self) -> Any:
        """Return what looks like lightkube's client as far as its connection."""
        return type("Client", (), {"_client": type("Inner", (), {"_client": self._connection})})


def ask(path: str, base: str = "https://cluster.test") -> tuple[str, list[str]]:
    async def main() -> tuple[str, list[str]]:
        server = Server(base)
        api = ClusterApi(server.connect)
        question = ReleaseQuestion(path, "version")
        return await _release_of(api, POD, TEMPLATE, question), server.asked

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        pytest.param("/version", "/version", id="plain"),
        pytest.param("/v?part=all&deep=", "/v?part=all&deep=", id="a-query"),
        pytest.param("/a b#c", "/a%20b%23c", id="quoted"),
        pytest.param("//twice", "//twice", id="two-slashes"),
        pytest.param("/%2e%2e/x", "/%2e%2e/x", id="dots-that-stay"),
        pytest.param("/é", "/%C3%A9", id="not-ascii"),
    ],
)
def test_what_a_release_names_is_asked_of_its_pod(path: str, asked: str) -> None:
    assert ask(path) == ("1.0", [PROXY + asked])


def test_a_cluster_may_be_below_a_path_of_its_host() -> None:
    assert ask("/version", "https://host.test/clusters/one")[1] == [
        "/clusters/one" + PROXY + "/version"
    ]


@pytest.mark.parametrize("path", [UP, "/x/../../y", "/.", "/a/./b", "/.."])
def test_a_path_that_leads_elsewhere_is_not_asked(path: str) -> None:
    async def main() -> list[str]:
        server, question = Server(), ReleaseQuestion(path, "version")
        with pytest.raises(Invalid, match="leads elsewhere"):
            await _release_of(ClusterApi(server.connect), POD, TEMPLATE, question)
        return server.asked

    assert asyncio.run(main()) == []


@pytest.mark.parametrize("name", ["../../rival/configmaps/settings", "a/b", "a?b", "a#b", "é"])
def test_a_name_is_one_part_of_a_path(name: str) -> None:
    assert CONFIG_MAPS.path("acme", name).count("/") == 6
    assert not {"?", "#"} & set(PODS.path("acme", name, "/log"))


@pytest.mark.parametrize(
    "path", [UP, "/..", "/x/../y", "/.", "/%2e%2e/x", "/a\\..\\b", "/x/.%2E?y"]
)
@pytest.mark.parametrize("kind", ["release", "probe"])
def test_no_command_names_a_path_with_dots(kind: str, path: str) -> None:
    made: Mapping[str, Any] = {
        "release": lambda: Asked(path=path, field="version"),
        "probe": lambda: Probe(path=path),
    }
    with pytest.raises(ValidationError, match="one or two dots"):
        made[kind]()


@pytest.mark.parametrize("path", ["/", "/.well-known/x", "/a..b", "/...", "/x?from=../y"])
def test_other_dots_are_parts_of_names(path: str) -> None:
    assert Probe(path=path).path == path
