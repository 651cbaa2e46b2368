"""A pod starts behind all policies that were there before it, and under no other pod's name.

The enforcement is the real one; the API server, `nsenter` and `nft` are played.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

import pytest

from local_cluster import policy_enforcement
from local_cluster.cluster_folder import ClusterFolder
from local_cluster.nodes import Node
from local_cluster.policy_enforcement import PolicyEnforcement
from shared.kernel.clock import SystemClock
from shared.kernel.errors import Unavailable
from shared.persistence.unix_sockets import short_name

NODES: Final = {"node1": 1, "node2": 2}
NSENTER: Final = """#!/bin/sh
NETWORK=${1#--net=/proc/}; export NETWORK=${NETWORK%%/*}; shift; exec "$@"
"""
NFT: Final = """#!/bin/sh
cd "$(dirname "$0")"; cat > tried$NETWORK
test ! -e broken$NETWORK && mv tried$NETWORK table$NETWORK || exit 1
test ! -e slow$NETWORK || exec sleep 60
"""
KINDS: Final = {"networkpolicies": "policies", "namespaces": "namespaces", "pods": "pods"}


class PlayedApi:
    """Lists what there is, and tells watches what they are to hear."""

    def __init__(self) -> None:
        self.version = 10
        self.objects: dict[str, dict[str, Mapping[str, Any]]] = {k: {} for k in KINDS.values()}
        self.heard: dict[str, asyncio.Queue[bytes]] = {k: asyncio.Queue() for k in KINDS.values()}
        self.lists_policies = True

    async def get(self, path: str) -> Mapping[str, Any]:
        kind = KINDS[path.rpartition("/")[2]]
        if kind == "policies" and not self.lists_policies:
            raise Unavailable("the API server is busy")
        items = list(self.objects[kind].values())
        return {"metadata": {"resourceVersion": str(self.version)}, "items": items}

    async def watch(self, path: str, version: str) -> AsyncIterator[bytes]:
        while True:
            yield await self.heard[KINDS[path.rpartition("/")[2]]].get()

    def put(self, kind: str, document: Mapping[str, Any], *, is_told: bool = True) -> bytes:
        """Write *document*, and return what a watch is told of it, at once or *is_told* later."""
        self.version += 1
        metadata = {**document["metadata"], "resourceVersion": str(self.version)}
        written = {**document, "metadata": metadata}
        self.objects[kind][metadata["name"]] = written
        event = json.dumps({"type": "MODIFIED", "object": written}).encode()
        if is_told:
            self.heard[kind].put_nowait(event)
        return event


class Nodes:
    """Two nodes and what their kernels were given."""

    def __init__(self, folder: Path, api: PlayedApi, socket: Path) -> None:
        self.api = api
        self._folder = folder
        self._socket = socket

    def table(self, node: str) -> str:
        path = self._folder / f"table{NODES[node]}"
        return path.read_text() if path.exists() else ""

    def becomes(self, state: str, node: str) -> None:
        """Have nft of *node* fail from now on (`broken`), or not end (`slow`)."""
        (self._folder / f"{state}{NODES[node]}").touch()

    def is_well(self, node: str) -> None:
        for state in ("broken", "slow"):
            (self._folder / f"{state}{NODES[node]}").unlink(missing_ok=True)

    def starts(self, name: str, node: str, address: str, app: str = "") -> asyncio.Task[str]:
        """Make the pod *name* and ask for its start, which ends with the problem of it."""
        self.label(name, app or name)
        return asyncio.create_task(
            self._ask(container=name, node=node, uid=name, address=address, link=f"veth-{name}")
        )

    def label(self, name: str, app: str) -> None:
        metadata = {"name": name, "namespace": "shop", "uid": name, "labels": {"app": app}}
        self.api.put("pods", {"metadata": metadata, "spec": {"containers": []}})

    async def ends(self, name: str) -> None:
        await self._ask(removed=name)

    async def _ask(self, **request: str) -> str:
        with short_name(self._socket) as path:
            reader, writer = await asyncio.open_unix_connection(path)
        writer.write(json.dumps(request).encode() + b"\n")
        answer = json.loads(await reader.readline())
        writer.close()
        return str(answer["problem"])


def closed(name: str, app: str, **spec: Any) -> Mapping[str, Any]:
    selector = {"matchLabels": {"app": app}}
    return {
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"podSelector": selector, "policyTypes": ["Ingress"], **spec},
    }


@pytest.fixture
async def nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Nodes]:
    for name, text in (("nsenter", NSENTER), ("nft", NFT)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(policy_enforcement, "_AGAIN_AFTER_S", 0.05)
    monkeypatch.setattr(policy_enforcement, "_NFT_WITHIN_S", 0.5)
    api = PlayedApi()

    @asynccontextmanager
    async def administrator(*_: object) -> AsyncIterator[PlayedApi]:
        yield api

    monkeypatch.setattr(policy_enforcement, "administrator", administrator)
    folder = ClusterFolder(tmp_path / "cluster")
    folder.nodes.mkdir(parents=True)
    played = [SimpleNamespace(plan=SimpleNamespace(name=n), init=i) for n, i in NODES.items()]
    enforcement = PolicyEnforcement(
        folder, cast("list[Node]", played), "", str(tmp_path / "nft"), SystemClock()
    )
    found = Nodes(tmp_path, api, folder.policies_socket)
    await until(lambda: all(map(found.table, NODES)))
    yield found
    await enforcement.stop()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await SystemClock().sleep(0.01)


@pytest.mark.parametrize(("state", "node"), [("broken", "node2"), ("slow", "node1")])
async def test_what_was_half_done_is_undone(nodes: Nodes, state: str, node: str) -> None:
    nodes.api.put("policies", closed("closed", "web"))
    assert not await nodes.starts("a", "node1", "10.240.1.10", "web")
    assert not await nodes.starts("b", "node2", "10.240.2.10")
    assert "in-10-240-1-10" in nodes.table("node1")

    nodes.becomes(state, node)
    nodes.label("a", "quarantine")
    await until(lambda: "in-10-240-1-10" not in nodes.table("node1"))
    nodes.label("a", "web")

    await until(lambda: "in-10-240-1-10" in nodes.table("node1"))


async def test_an_address_means_no_former_pod_when_its_next_one_starts(nodes: Nodes) -> None:
    from_web = [{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}]}]
    nodes.api.put("policies", closed("closed", "b", ingress=from_web))
    assert not await nodes.starts("a", "node1", "10.240.1.10", "web")
    assert not await nodes.starts("b", "node2", "10.240.2.10")
    await until(lambda: "ip saddr { 10.240.1.10 } return" in nodes.table("node2"))

    nodes.becomes("broken", "node2")
    await nodes.ends("a")
    evil = nodes.starts("evil", "node1", "10.240.1.10")
    other = nodes.starts("other", "node1", "10.240.1.11")
    await until(lambda: "veth-evil" in nodes.table("node1"))

    assert not await other, "its address was nobody's"
    assert not evil.done()
    nodes.is_well("node2")
    assert not await evil
    assert "ip saddr { 10.240.1.10 } return" not in nodes.table("node2")


async def test_a_policy_that_no_watch_told_of_is_in_force_when_a_pod_starts(nodes: Nodes) -> None:
    before = nodes.api.put("policies", closed("closed", "other"), is_told=False)
    nodes.api.put("policies", closed("closed", "web"), is_told=False)

    assert not await nodes.starts("a", "node1", "10.240.1.10", "web")
    assert "in-10-240-1-10" in nodes.table("node1")

    # What a watch tells late is older than that.
    assert not await nodes.starts("b", "node1", "10.240.1.11")
    nodes.api.heard["policies"].put_nowait(before)
    await nodes.ends("b")
    await until(lambda: "veth-b" not in nodes.table("node1"))
    assert "in-10-240-1-10" in nodes.table("node1")


async def test_no_pod_starts_while_policies_cannot_be_listed(nodes: Nodes) -> None:
    nodes.api.lists_policies = False
    starting = nodes.starts("a", "node1", "10.240.1.10")
    # The nodes are kept current by what is known.
    await until(lambda: "veth-a" in nodes.table("node1"))
    assert not starting.done()

    nodes.api.lists_policies = True
    assert not await starting


async def test_what_a_defect_ends_is_begun_anew(nodes: Nodes) -> None:
    nodes.api.heard["pods"].put_nowait(b"7")  # no event: nobody foresees it
    nodes.api.put("policies", closed("closed", "web"))
    nodes.api.heard["pods"].put_nowait(b"7")

    assert not await nodes.starts("a", "node1", "10.240.1.10", "web")
    assert "in-10-240-1-10" in nodes.table("node1")
