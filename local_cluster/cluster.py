"""Starts a cluster and keeps it running: certificates, control plane, nodes, and its record."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from local_cluster import fake_nodes
from local_cluster.binaries import Binaries
from local_cluster.cluster_folder import ClusterFolder, ClusterRecord, Form
from local_cluster.control_plane import FIRST_SERVICE, Addresses, ControlPlane
from local_cluster.credentials import write_credentials
from local_cluster.forms import Choice
from local_cluster.gateway import GatewayDataPlane, make_class
from local_cluster.gateway_routes import GATEWAY_CLASS
from local_cluster.image_registry import LOOPBACK, ImageRegistry, kept_port
from local_cluster.issuer_keys import publish_keys
from local_cluster.kubernetes_api import KubernetesApi, administrator
from local_cluster.leftovers import remove_leftovers
from local_cluster.network import ClusterNetwork, claim
from local_cluster.node_plan import NodePlan, node_name, plan_of
from local_cluster.nodes import Node
from local_cluster.pause_image import write_pause_archive
from local_cluster.policy_enforcement import PolicyEnforcement
from local_cluster.programs import Program, RunningProgram, tail
from local_cluster.resource_definitions import are_served, make_definitions
from shared.connections.loopback_ports import free_port
from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy
from shared.kernel.errors import Unavailable
from shared.surfaces import envoy_counters

STARTED_WITHIN_S: Final = 90.0
"""Of one component or of all nodes; it takes 1 to 4 s on a machine with nothing else to do."""
_POLL_INTERVAL_S: Final = 0.05


@dataclass(frozen=True)
class ClusterSettings:
    binaries: Binaries
    choice: Choice
    nodes: int
    published: tuple[int, ...] = ()
    """Of a cluster in a user namespace: the ports of API server, registry and counters."""


class Cluster:
    """A cluster that keeps its state in *folder*; what an earlier one left there goes first."""

    def __init__(
        self, folder: ClusterFolder, settings: ClusterSettings, clock: Clock, entropy: Entropy
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._clock = clock
        self._entropy = entropy
        self._programs: list[RunningProgram] = []
        self._nodes: list[Node] = []
        self._registry: ImageRegistry | None = None
        self._gateways: GatewayDataPlane | None = None
        self._enforcement: PolicyEnforcement | None = None

    @property
    def logs(self) -> Sequence[Path]:
        """The files to which its components write."""
        return [*self._folder.logs.glob("*.log"), *self._folder.nodes.glob("*/*.log")]

    async def start(self) -> None:
        """Start everything; return when its nodes are ready.

        Raises:
            Unavailable: a part did not start; the message has its last output.
        """
        await remove_leftovers(self._folder, self._clock)
        await asyncio.to_thread(self._folder.logs.mkdir, mode=0o700, parents=True, exist_ok=True)
        form = self._settings.choice.form
        has_nodes = form is not Form.KWOK
        network = await asyncio.to_thread(claim, self._folder.path) if has_nodes else None
        addresses = self._addresses(network)
        await asyncio.to_thread(self._write_credentials, addresses, network)
        counters_port = self._counters_port(addresses)
        await self._start_registry(addresses, counters_port)
        if network is not None:
            await self._start_nodes(network, addresses)
        async with administrator(self._folder, addresses.server) as api:
            await self._start_control_plane(addresses, api)
            self._start_enforcement(addresses)
            if network is None:
                await fake_nodes.make_nodes(api, self._settings.nodes)
            await asyncio.gather(
                self._make_kinds(api),
                publish_keys(api),
                self._until(lambda: self._are_ready(api), "nodes", self._nodes_log()),
            )
            if network is not None:
                await make_class(api, self._clock)
                self._gateways = GatewayDataPlane(
                    self._folder, network, addresses.server, counters_port, self._clock
                )
        self._folder.write_record(
            ClusterRecord(
                form=form,
                lacks=self._settings.choice.lacks,
                server=self._server(addresses),
                kubeconfig=str(self._folder.kubeconfig),
                nodes=self._names(),
                network=None if network is None else str(network.subnet),
                gateway_class=None if network is None else GATEWAY_CLASS,
                policies=self._enforcement is not None,
                gateway_networks=None if network is None else f"{network.address}/32",
                counters=None if network is None else _counters_url(counters_port),
                registry=None if self._registry is None else self._registry.address,
            )
        )

    async def stop(self) -> tuple[str, ...]:
        """End everything; return what is left on this machine, in words."""
        for each in (self._gateways, self._enforcement):
            if each is not None:
                await each.stop()
        await asyncio.gather(
            *(node.stop() for node in self._nodes), *(each.stop() for each in self._programs)
        )
        return await remove_leftovers(self._folder, self._clock)

    def _addresses(self, network: ClusterNetwork | None) -> Addresses:
        host = "127.0.0.1" if network is None else str(network.address)
        ports: set[int] = set()
        published = self._settings.published[:1]
        while len(ports) < 3:  # noqa: PLR2004  of the API server, of etcd, and of its peers
            ports.add(free_port(self._entropy, ports))
        etcd, peer, api = sorted(ports)
        if published:
            return Addresses(host, published[0], etcd, peer, binds="0.0.0.0")  # noqa: S104  inside
        return Addresses(host, api, etcd, peer)

    def _server(self, addresses: Addresses) -> str:
        """Return the URL of the API server for clients of this machine."""
        host = LOOPBACK if self._settings.published else addresses.host
        return f"https://{host}:{addresses.api_port}"

    def _names(self) -> tuple[str, ...]:
        return tuple(node_name(number) for number in range(1, self._settings.nodes + 1))

    def _write_credentials(self, addresses: Addresses, network: ClusterNetwork | None) -> None:
        numbers = range(1, self._settings.nodes + 1) if network is not None else ()
        nodes = {node_name(n): str(network.node_address(n)) for n in numbers} if network else {}
        write_credentials(
            self._folder, addresses.server, nodes, (addresses.host, FIRST_SERVICE, LOOPBACK),
            self._clock.now(),
            outside=self._server(addresses),
        )  # fmt: skip

    def _counters_port(self, addresses: Addresses) -> int:
        published = self._settings.published[2:]
        return published[0] if published else free_port(self._entropy, addresses.ports)

    async def _start_registry(self, addresses: Addresses, counters_port: int) -> None:
        runtime = self._settings.binaries.runtime
        if runtime is None:
            return
        published = self._settings.published[1:]
        taken = {*addresses.ports, counters_port}
        port = published[0] if published else kept_port(self._folder, self._entropy, taken)
        registry = ImageRegistry(runtime / "registry", self._folder, port)
        hosts = sorted({LOOPBACK, addresses.host})
        for program in await asyncio.to_thread(registry.programs, hosts):
            self._run(program)
        self._registry = registry

    async def _start_nodes(self, network: ClusterNetwork, addresses: Addresses) -> None:
        plans = await asyncio.to_thread(self._plans, network, addresses)
        if self._registry is not None:
            for plan in plans:
                await asyncio.to_thread(self._registry.write_way, plan)
        self._nodes = [
            Node(number, plan, network, self._folder, self._clock)
            for number, plan in enumerate(plans, start=1)
        ]

    def _plans(self, network: ClusterNetwork, addresses: Addresses) -> Sequence[NodePlan]:
        binaries = self._settings.binaries
        assert binaries.runtime is not None, "the form `root` has a runtime"
        image = self._folder.nodes / "pause.tar"
        write_pause_archive(binaries.runtime / "pause", image)
        return [
            plan_of(
                self._folder, network, number, addresses.api_port,
                kubebox=binaries.kubebox, runtime=binaries.runtime, images=[image],
                has_nft=binaries.nft is not None,
                enforces_policies=self._settings.choice.enforces_policies,
                has_groups=self._settings.choice.form is Form.ROOT,
            )
            for number in range(1, self._settings.nodes + 1)
        ]  # fmt: skip

    def _start_enforcement(self, addresses: Addresses) -> None:
        """Before the nodes are ready, as their first pods wait for it."""
        nft = self._settings.binaries.nft
        if self._settings.choice.enforces_policies and nft is not None:
            self._enforcement = PolicyEnforcement(
                self._folder, self._nodes, addresses.server, nft, self._clock
            )

    async def _start_control_plane(self, addresses: Addresses, api: KubernetesApi) -> None:
        has_nodes = self._settings.choice.form is not Form.KWOK
        plane = ControlPlane(
            self._settings.binaries.kubebox, self._folder, addresses, has_nodes=has_nodes,
            issuer=self._server(addresses),
        )  # fmt: skip
        self._start("etcd", plane.etcd())
        # It waits for etcd by itself, and so starts sooner than one that is started after it.
        api_server = self._start("kube-apiserver", plane.api_server())
        await self._until(api.is_ready, "the API server", api_server)
        controllers = self._start("kube-controller-manager", plane.controllers())
        self._start("kube-scheduler", plane.scheduler())
        if not has_nodes:
            self._start("kwok", plane.kwok(fake_nodes.STAGES))

        async def has_accounts() -> bool:
            path = "/api/v1/namespaces/default/serviceaccounts/default"
            return await api.get(path) is not None

        await self._until(has_accounts, "the controllers", controllers)

    async def _make_kinds(self, api: KubernetesApi) -> None:
        await make_definitions(api)
        log = self._folder.logs / "kube-apiserver.log"
        await self._until(lambda: are_served(api), "kinds of Gateways and scaling", log)

    def _start(self, name: str, command: Sequence[str]) -> Path:
        """Run a component from now on; return its log."""
        log = self._folder.logs / f"{name}.log"
        self._run(Program(name, command, log))
        return log

    def _run(self, program: Program) -> None:
        self._programs.append(RunningProgram(program, self._folder.path, self._clock))

    def _nodes_log(self) -> Path:
        return self._folder.logs / (f"{node_name(1)}.log" if self._nodes else "kwok.log")

    async def _are_ready(self, api: KubernetesApi) -> bool:
        ready = {
            node["metadata"]["name"]
            for node in await api.items("/api/v1/nodes")
            for condition in node["status"].get("conditions") or ()
            if condition["type"] == "Ready" and condition["status"] == "True"
        }
        return ready >= set(self._names())

    async def _until(self, holds: Callable[[], Awaitable[bool]], what: str, log: Path) -> None:
        deadline_s = self._clock.monotonic_s() + STARTED_WITHIN_S
        while not await _holds(holds):
            if self._clock.monotonic_s() > deadline_s:
                raise Unavailable(f"{what} did not get ready; the end of {log}:\n{tail(log)}")
            await self._clock.sleep(_POLL_INTERVAL_S)


def _counters_url(port: int) -> str:
    return f"http://{LOOPBACK}:{port}/{envoy_counters.PATH}"


async def _holds(question: Callable[[], Awaitable[bool]]) -> bool:
    try:
        return await question()
    except Unavailable:  # the API server serves some kinds a moment later than others
        return False
