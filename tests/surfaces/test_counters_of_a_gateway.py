"""Requests per revision, as the Envoy of a cluster's gateway counts them, and as they are read."""

import asyncio
import contextlib
import json
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from local_cluster import gateway, gateway_files
from local_cluster.gateway_parents import Listener
from local_cluster.gateway_routes import Backend, Rule
from shared.connections import envoy_documents
from shared.connections.loopback_ports import free_port
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.kernel.errors import Unavailable
from shared.surfaces import envoy_counters
from shared.surfaces.aks.gateway_counters import GatewayCounters
from shared.surfaces.aks.names import Installation
from shared.surfaces.capabilities import Feature
from tests.surfaces.harness import SHOP

OURS = Installation("ours")
NAMESPACE = OURS.namespace(SHOP.environment, SHOP.tenant)
GATEWAY = (NAMESPACE, "site")
Answer = Callable[[web.Request], Any]


@contextlib.asynccontextmanager
async def served(answer: Answer) -> AsyncIterator[int]:
    """Serve *answer* at every path; yield the port."""

    async def handle(request: web.Request) -> web.StreamResponse:
        answered: web.StreamResponse = answer(request)
        return answered

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port(SystemEntropy())
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield port
    finally:
        await runner.cleanup()


def counters(port: int) -> GatewayCounters:
    return GatewayCounters(f"http://127.0.0.1:{port}/{envoy_counters.PATH}", SystemClock())


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param(lambda _: web.Response(text="", status=503), "503", id="refused"),
        pytest.param(lambda _: web.Response(text=""), "started as ''", id="of-an-unknown-start"),
        pytest.param(lambda _: web.Response(body=b"x" * (3 << 20)), "BodyTooLong", id="too-long"),
        pytest.param(
            lambda _: web.Response(status=302, headers={"location": "/"}), "302", id="elsewhere"
        ),
    ],
)
def test_what_is_no_answer_is_unavailable(answer: Answer, reason: str) -> None:
    async def main() -> None:
        async with served(answer) as port:
            with pytest.raises(Unavailable, match=reason):
                await counters(port).read(OURS, SHOP)

    asyncio.run(main())


def test_a_gateway_that_is_away_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="cannot be read"):
        asyncio.run(counters(free_port(SystemEntropy())).read(OURS, SHOP))


@contextlib.contextmanager
def _envoy(folder: Path) -> Iterator[None]:
    program = gateway.command(folder)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(program, cwd=folder, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.kill()
            process.wait()


@pytest.mark.shows(Feature.REQUEST_COUNTERS, on="aks")
@pytest.mark.real
def test_each_revision_is_counted_since_the_start_of_the_gateway(tmp_path: Path) -> None:
    """With Envoy itself, in front of one server that stands for the pods of two revisions."""
    service = "module-shop"
    one, two, other = (
        Backend(NAMESPACE, f"{service}-r1", 80),
        Backend(NAMESPACE, f"{service}-r2", 80),
        Backend("elsewhere", f"{service}-r1", 80),
    )
    public = free_port(SystemEntropy())
    port = free_port(SystemEntropy(), {public})

    def write(name: str, document: Any) -> None:
        (tmp_path / name).write_text(json.dumps(document))

    def answer(request: web.Request) -> web.Response:
        return web.Response(status=500 if request.path == "/two" else 200)

    async def asked(path: str) -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{public}{path}") as answered,
        ):
            await answered.read()

    async def sample() -> Any:
        for _ in range(200):
            with contextlib.suppress(Unavailable):
                return await counters(port).read(OURS, SHOP)
            await SystemClock().sleep(0.05)
        raise AssertionError((tmp_path / "log").read_text())

    async def main() -> None:
        async with served(answer) as upstream:
            listener = Listener("http", public)
            rules = [
                Rule(
                    listener, ("*",), {"path": {"type": "Exact", "value": path}}, {backend: 1},
                    GATEWAY, "",
                )
                for path, backend in (("/one", one), ("/two", two), ("/other", other))
            ]  # fmt: skip
            backends = (one, two, other)
            for each in backends:
                hosts = [("127.0.0.1", upstream, True)]
                write(f"endpoints-{each.name}.json", envoy_documents.endpoints(each.name, hosts))
            write("clusters.json", gateway_files.clusters(backends, tmp_path))
            name = gateway_files.table_name(GATEWAY, public)
            table = gateway_files.routes(GATEWAY, public, rules, [listener])
            write(f"routes-{name}.json", table)
            places = {GATEWAY: ("127.0.0.1", [public])}
            write("listeners.json", gateway_files.listeners(places, tmp_path))
            write("boot.json", gateway_files.bootstrap(tmp_path, port))
            with _envoy(tmp_path):
                await sample()
                for path in ("/one", "/one", "/two", "/other"):
                    await asked(path)
                before = await sample()
            with _envoy(tmp_path):
                after = await sample()

        found = before.revisions
        assert {number: each.requests for number, each in found.items()} == {1: 2, 2: 1}
        assert (found[1].errors, found[2].errors) == (0, 1)
        assert before.epoch != after.epoch
        assert all(each.requests == 0 for each in after.revisions.values())

    asyncio.run(main())
