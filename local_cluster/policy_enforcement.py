"""Has the nodes of a cluster do what NetworkPolicies ask for: the filter of each is current.

A node's plugin (`pod_plugin.py`) says which address a new pod has, and the pod starts when its
rules are in force. What changes later, a policy, a label, a pod, changes the filters of all nodes.
"""

import asyncio
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

from local_cluster.cluster_folder import ClusterFolder
from local_cluster.kubernetes_api import Document, administrator
from local_cluster.network_policies import Pod, PodPort, Policies
from local_cluster.nodes import Node
from local_cluster.packet_filter import table_of
from local_cluster.watches import Changes, Key, WatchedObjects
from shared.kernel.clock import Clock
from shared.kernel.errors import UNREADABLE, Unavailable
from shared.persistence.unix_sockets import short_name

_PATHS: Final = {
    "policies": "/apis/networking.k8s.io/v1/networkpolicies",
    "namespaces": "/api/v1/namespaces",
    "pods": "/api/v1/pods",
}
_IN_FORCE_WITHIN_S: Final = 10.0
"""The plugin waits a little longer, and hears why."""
_NFT_WITHIN_S: Final = 10.0
_LISTED_WITHIN_S: Final = 5.0
_AGAIN_AFTER_S: Final = 1.0
_REQUEST_BYTES_MAX: Final = 4096
_log = logging.getLogger(__name__)

Found = Mapping[str, Mapping[Key, Document]]
"""The objects of the API server, by the names of `_PATHS`."""


@dataclass(frozen=True)
class Sandbox:
    """What a pod has while it is on a node: an address. A pod may have one after the other."""

    node: str
    started_as: int
    """The first process of the node then: after its end the sandbox is gone as well."""
    uid: str
    address: str
    link: str
    """The pod's port of the bridge of its node."""


class PolicyEnforcement:
    """Keeps the filters of *nodes* current until `stop`, by the program *nft*."""

    def __init__(
        self, folder: ClusterFolder, nodes: Sequence[Node], server: str, nft: str, clock: Clock
    ) -> None:
        self._folder = folder
        self._nodes = {node.plan.name: node for node in nodes}
        self._server = server
        self._nft = nft
        self._clock = clock
        self._changes = Changes()
        self._sandboxes: dict[str, Sandbox] = {}
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._pods: dict[str, Document] = {}
        """By uid, as they were seen last: one that was deleted may still run for a moment."""
        self._in_force: dict[str, tuple[int, str]] = {}
        """Of each node: as which process it was given which table."""
        self._owners: dict[tuple[str, int], frozenset[tuple[str, str]]] = {}
        """Of each node and process: whose address each is there, or was until an attempt ends."""
        self._given: tuple[Policies, Mapping[str, int]] | None = None
        """What all nodes have: most of what a pod does changes nothing of it."""
        self._refused: Mapping[Key, str] = {}
        self._running = asyncio.create_task(self._run())

    async def stop(self) -> None:
        self._running.cancel()
        await asyncio.wait({self._running})

    async def _run(self) -> None:
        while True:
            try:
                await self._follow()
            except Exception as defect:  # noqa: BLE001  whatever it is, no policy may stay away
                _log.error("network policies are followed anew", exc_info=defect)
                await self._clock.sleep(_AGAIN_AFTER_S)

    async def _follow(self) -> None:
        with short_name(self._folder.policies_socket) as path:
            listener = await asyncio.start_unix_server(self._answer, path, limit=_REQUEST_BYTES_MAX)
        try:
            async with (
                administrator(self._folder, self._server) as api,
                asyncio.TaskGroup() as all_,
            ):
                watched = {
                    kind: WatchedObjects(api, path, self._changes.tell, self._clock)
                    for kind, path in _PATHS.items()
                }
                for each in watched.values():
                    all_.create_task(each.follow())
                while True:
                    await self._changes.next()
                    if all(each.is_known for each in watched.values()):
                        await self._try(watched)
        finally:
            listener.close()

    async def _try(self, watched: Mapping[str, WatchedObjects]) -> None:
        try:
            await self._pass(watched)
        except Exception as failed:  # noqa: BLE001  whatever it is, the next pass may do it
            is_foreseen = isinstance(failed, Unavailable)
            _log.warning("network policies are tried again: %r", failed, exc_info=not is_foreseen)
            await self._clock.sleep(_AGAIN_AFTER_S)
            self._changes.tell()

    async def _pass(self, watched: Mapping[str, WatchedObjects]) -> None:
        startable, problem = await self._startable(watched)
        found = {kind: dict(each.objects) for kind, each in watched.items()}
        await self._bring_into_force(found, startable)
        if problem is not None:
            raise problem

    async def _startable(
        self, watched: Mapping[str, WatchedObjects]
    ) -> tuple[AbstractSet[str], Unavailable | None]:
        """Return who waits and may start by what is known now, and why nobody may.

        A policy that was there before a pod is in force before it starts; a watch may be late.
        """
        waiting = set(self._waiting)
        try:
            async with asyncio.timeout(_LISTED_WITHIN_S):
                for kind in ("policies", "namespaces") if waiting else ():
                    await watched[kind].list_now()
        except Unavailable as failed:
            return frozenset(), failed
        except TimeoutError:
            return frozenset(), Unavailable("the API server lists no policies in time")
        return waiting, None

    async def _bring_into_force(self, found: Found, startable: AbstractSet[str]) -> None:
        """Give each node its table; then *startable* start, if their addresses mean no others."""
        self._forget_ended()
        sandboxes = dict(self._sandboxes)
        self._remember(found["pods"].values())
        pods = {
            container: _pod(self._pods[each.uid], each)
            for container, each in sandboxes.items()
            if each.uid in self._pods
        }
        namespaces = {name: _labels(each) for (_, name), each in found["namespaces"].items()}
        policies = Policies(found["policies"], namespaces, tuple(pods.values()))
        inits = {name: node.init for name, node in self._nodes.items() if node.init is not None}
        if (policies, inits) == self._given:
            return self._let_start(startable & pods.keys())
        self._given = None  # from here on nodes differ, also when this fails
        self._say_refused(policies.refused)
        self._owners = {key: self._owners.get(key, frozenset()) for key in inits.items()}
        owners = frozenset((sandboxes[key].address, sandboxes[key].uid) for key in pods)
        given: set[str] = set()
        failures = []
        for node, init in inits.items():
            try:
                table = await asyncio.to_thread(table_of, policies, node)
                self._owners[node, init] |= owners
                await self._set(node, init, table)
            except Unavailable as failed:  # the other nodes have theirs
                failures.append(failed)
            else:
                self._owners[node, init] = owners
                given.add(node)
                self._let_start(
                    key for key in startable & pods.keys()
                    if pods[key].node in given and self._is_free(sandboxes[key])
                )  # fmt: skip
        if failures:
            raise failures[0]
        self._given = policies, inits
        return None

    def _let_start(self, containers: Iterable[str]) -> None:
        for container in containers:
            waiting = self._waiting.get(container)
            if waiting is not None and not waiting.done():
                waiting.set_result(None)

    def _is_free(self, sandbox: Sandbox) -> bool:
        """Return whether no node takes the address of *sandbox* for that of another pod."""
        return not any(
            address == sandbox.address and uid != sandbox.uid
            for owners in self._owners.values()
            for address, uid in owners
        )

    def _forget_ended(self) -> None:
        """Keep the sandboxes whose node is the same as when they were made."""
        self._sandboxes = {
            container: each
            for container, each in self._sandboxes.items()
            if self._nodes[each.node].init == each.started_as
        }

    def _remember(self, pods: Iterable[Document]) -> None:
        has_sandbox = {each.uid for each in self._sandboxes.values()}
        current = {pod["metadata"]["uid"]: pod for pod in pods}
        self._pods = {
            uid: pod for uid, pod in {**self._pods, **current}.items() if uid in has_sandbox
        }

    async def _set(self, node: str, init: int, table: str) -> None:
        """Give *node* its table, where it has another. Raises Unavailable."""
        if self._in_force.get(node) == (init, table):
            return
        self._in_force.pop(node, None)  # one that does not end in time may have done it
        process = await asyncio.create_subprocess_exec(
            "nsenter", f"--net=/proc/{init}/ns/net", self._nft, "-f", "-",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(_NFT_WITHIN_S):
                _, complaint = await process.communicate(table.encode())
        except TimeoutError:
            raise Unavailable(f"nft does not end on {node}") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            text = complaint.decode(errors="replace").strip()
            raise Unavailable(f"nft refuses the table of {node}: {text[:500]}")
        self._in_force[node] = init, table

    def _say_refused(self, refused: Mapping[Key, str]) -> None:
        for (namespace, name), problem in refused.items() - self._refused.items():
            _log.error(
                "the NetworkPolicy %s of %s closes what it selects, and allows nothing: %s",
                name, namespace, problem,
            )  # fmt: skip
        self._refused = refused

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        problem = ""
        try:
            async with asyncio.timeout(_IN_FORCE_WITHIN_S):
                await self._do(json.loads(await reader.readline()))
        except TimeoutError:
            problem = "the network policies of the pod are not in force in time"
        except UNREADABLE as odd:
            problem = f"this is no request of a node: {odd!r}"
        with suppress(OSError):
            writer.write(json.dumps({"problem": problem}).encode() + b"\n")
            await writer.drain()
            writer.close()

    async def _do(self, request: Mapping[str, str]) -> None:
        if (removed := request.get("removed")) is not None:
            if self._sandboxes.pop(removed, None) is not None:
                self._changes.tell()
            return
        container, address = request["container"], str(IPv4Address(request["address"]))
        node = self._nodes[request["node"]]
        if node.init is None:
            raise ValueError("its node does not run")
        # Whoever had the address before has it no more.
        self._sandboxes = {
            key: each for key, each in self._sandboxes.items() if each.address != address
        }
        self._sandboxes[container] = Sandbox(
            node.plan.name, node.init, request["uid"], address, request["link"]
        )
        self._waiting[container] = waiting = asyncio.get_running_loop().create_future()
        self._changes.tell()
        try:
            await waiting
        except asyncio.CancelledError:
            self._sandboxes.pop(container, None)
            raise
        finally:
            self._waiting.pop(container, None)


def _pod(pod: Document, sandbox: Sandbox) -> Pod:
    metadata = pod["metadata"]
    spec = pod.get("spec") or {}
    # A sidecar is an init container that stays.
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    ports = tuple(
        PodPort(port["name"], port.get("protocol", "TCP"), port["containerPort"])
        for container in containers
        for port in container.get("ports") or ()
        if "name" in port
    )
    return Pod(
        metadata["namespace"], metadata["name"], sandbox.node, sandbox.link, sandbox.address,
        _labels(pod), ports,
    )  # fmt: skip


def _labels(found: Document) -> Mapping[str, str]:
    return found["metadata"].get("labels") or {}
