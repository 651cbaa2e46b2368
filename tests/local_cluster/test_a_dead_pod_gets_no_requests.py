"""Pods that take no connection, as those of a dead node, cost a request time and no failure."""

import asyncio
import json
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from local_cluster import gateway_files
from local_cluster.gateway import command
from local_cluster.gateway_parents import Listener
from local_cluster.gateway_routes import Backend, Rule
from shared.connections import envoy_documents
from shared.connections.loopback_ports import free_port
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.persistence.unix_sockets import short_name
from tests.kit.patience import PATIENCE_S

pytestmark = pytest.mark.real

WEB: Final = Backend("shops", "web", 80)
SITE: Final = ("shops", "site")
DEAD: Final = ("127.0.1.1", "127.0.1.2")
ALIVE: Final = "127.0.1.3"


@contextmanager
def black_hole(host: str, port: int) -> Iterator[None]:
    """Listen so that the kernel answers nobody who connects: as many wait already as may."""
    with ExitStack() as opened:
        listener = opened.enter_context(socket.socket())
        listener.bind((host, port))
        listener.listen(0)
        for _ in range(2):
            waiting = opened.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex((host, port))
        yield


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            await writer.drain()
    except (EOFError, OSError):
        writer.close()


class Gateway:
    """The Envoy of a local cluster with one backend of three pods, two of them dead."""

    def __init__(self, folder: Path, port: int, pods_port: int) -> None:
        self._folder = folder
        self._url = f"http://127.0.0.1:{port}/"
        listener = Listener("http", port)
        rule = Rule(listener, ("*",), {}, {WEB: 1}, SITE, "")
        routes = gateway_files.routes(SITE, port, [rule], [listener])
        instances = [(host, pods_port, True) for host in (*DEAD, ALIVE)]
        documents: Mapping[str, Any] = {
            "boot.json": gateway_files.bootstrap(folder, free_port(SystemEntropy(), {port})),
            "clusters.json": gateway_files.clusters([WEB], folder),
            f"endpoints-{WEB.name}.json": envoy_documents.endpoints(WEB.name, instances),
            f"routes-{gateway_files.table_name(SITE, port)}.json": routes,
            "listeners.json": gateway_files.listeners({SITE: ("127.0.0.1", [port])}, folder),
        }
        for name, document in documents.items():
            (folder / name).write_text(json.dumps(document))

    async def until_it_listens(self) -> None:
        give_up_at_s = SystemClock().monotonic_s() + PATIENCE_S
        while not (self._folder / gateway_files.ADMIN).exists() or not await self.hosts():
            assert SystemClock().monotonic_s() < give_up_at_s, "Envoy did not start"
            await SystemClock().sleep(0.05)

    async def send(self, count: int) -> Sequence[int]:
        """Send *count* requests at once; return their statuses."""
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

            async def status() -> int:
                async with session.get(self._url) as response:
                    return response.status

            return await asyncio.gather(*(status() for _ in range(count)))

    async def hosts(self) -> Mapping[str, Mapping[str, Any]]:
        """Return what Envoy knows of each pod, by address; empty before it listens."""
        try:
            shown = await self._shown("clusters?format=json")
        except aiohttp.ClientError:
            return {}
        return {
            host["address"]["socket_address"]["address"]: host
            for cluster in shown["cluster_statuses"]
            if cluster["name"] == WEB.name
            for host in cluster.get("host_statuses", ())
        }

    async def exclusions(self) -> int:
        """Return how often Envoy has excluded a pod for a while."""
        filtered = "filter=ejections_enforced_total"
        (counter,) = (await self._shown(f"stats?format=json&{filtered}"))["stats"]
        return int(counter["value"])

    async def _shown(self, path: str) -> Mapping[str, Any]:
        with short_name(self._folder / gateway_files.ADMIN) as socket_path:
            async with (
                aiohttp.ClientSession(connector=aiohttp.UnixConnector(socket_path)) as session,
                session.get(f"http://envoy/{path}") as response,
            ):
                shown: Mapping[str, Any] = await response.json(content_type=None)
                return shown


def connections(host: Mapping[str, Any]) -> int:
    """Return how many Envoy has begun to *host*."""
    return next(int(each["value"]) for each in host["stats"] if each["name"] == "cx_total")


async def send_while_excluded(gateway: Gateway) -> tuple[Sequence[int], Sequence[int]]:
    """Send requests; return their statuses, and how many connections to each of DEAD were begun.

    Envoy takes a pod back after a while, and excludes it again once it took no connection: where
    that comes in between, they are sent again.
    """
    give_up_at_s = SystemClock().monotonic_s() + PATIENCE_S
    while True:
        assert SystemClock().monotonic_s() < give_up_at_s, "pods come back again and again"
        excluded, before = await gateway.exclusions(), await gateway.hosts()
        statuses = await gateway.send(60)
        after = await gateway.hosts()
        if await gateway.exclusions() == excluded:
            return statuses, [connections(after[host]) - connections(before[host]) for host in DEAD]


async def test_no_request_fails_and_the_dead_are_asked_no_more(tmp_path: Path) -> None:
    port, pods_port = free_port(SystemEntropy()), free_port(SystemEntropy())
    gateway = Gateway(tmp_path, port, pods_port)
    served = await asyncio.start_server(answer, ALIVE, pods_port)
    with ExitStack() as holes:
        for host in DEAD:
            holes.enter_context(black_hole(host, pods_port))
        envoy = await asyncio.create_subprocess_exec(*command(tmp_path), cwd=tmp_path)
        try:
            await gateway.until_it_listens()

            first = await gateway.send(60)

            known, excluded = await gateway.hosts(), await gateway.exclusions()
            later, asked = await send_while_excluded(gateway)
        finally:
            envoy.kill()
            await envoy.wait()
            served.close()
    assert set(first) == {200}
    assert excluded >= len(DEAD)
    assert "failed_outlier_check" not in known[ALIVE]["health_status"]
    assert set(later) == {200}
    assert asked == [0, 0]
