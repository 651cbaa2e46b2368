"""The step engine over a cloud in memory, for tests and the simulator.

A second engine over the same `MemoryCloud` is the same installation after a restart of its host.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from local_cloud.infrastructure.embedded import site_providers
from local_cloud.infrastructure.provider import ComponentProvider, LiveResource
from local_cloud.infrastructure.state import StackState
from local_cloud.infrastructure.step_engine import StepEngine
from shared.contracts.values import ComputeTargetKind
from shared.infrastructure.graph import Graph, Node, Resource, Unresolved, Urn, reference, resolve
from shared.infrastructure.inputs import LOCAL_TARGET, EnvironmentInputs
from shared.infrastructure.local_program import (
    ENVIRONMENT,
    PROJECT,
    SERVER,
    SITES,
    VOLUME,
    OutputOf,
    declarations,
    outputs,
)
from shared.infrastructure.port import MonthlyCost, StackName
from shared.kernel.clock import Clock
from shared.kernel.errors import PlanRefused, Stale, Violation
from shared.kernel.fence import Fence, StaleFence
from shared.kernel.observation import Absent, Present, Reading, Unknown
from shared.surfaces.port import Sites
from tests.kit.virtual_time import LoopClock


def nothing(_point: str) -> None:
    """Let every write pass."""


@dataclass
class MemoryCloud:
    """What outlives a process: the resources, the recorded states, and what was written.

    `around_write` is called with the write's name before it and after it took effect; what it
    raises is a crash at that point. `refusing`, `unreadable` and `delayed` hold resource names; a
    put of a delayed one waits for its event.
    """

    resources: dict[Urn, Resource] = field(default_factory=dict)
    states: dict[StackName, StackState] = field(default_factory=dict)
    tokens: dict[Urn, int] = field(default_factory=dict)
    writes: list[str] = field(default_factory=list)
    refusing: dict[str, Exception] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)
    delayed: dict[str, asyncio.Event] = field(default_factory=dict)
    around_write: Callable[[str], None] = nothing

    def write(self, name: str, effect: Callable[[], None]) -> None:
        """Do *effect*, noted as *name*."""
        self.around_write(f"before {name}")
        effect()
        self.writes.append(name)
        self.around_write(f"after {name}")


class MemoryStates:
    """StackStates in a MemoryCloud."""

    def __init__(self, cloud: MemoryCloud) -> None:
        self._cloud = cloud

    async def load(self, stack: StackName) -> StackState:
        return self._cloud.states.get(stack, StackState(stack))

    async def save(self, state: StackState) -> StackState:
        now = self._cloud.states.get(state.stack, StackState(state.stack))
        if now.version != state.version:
            raise Stale(f"stack {state.stack}: expected {state.version}, stored {now.version}")
        saved = replace(state, version=state.version + 1)
        self._cloud.write(
            f"save {state.stack}", lambda: self._cloud.states.update({state.stack: saved})
        )
        return saved


class MemoryResources:
    """A provider whose resources are entries of a MemoryCloud."""

    def __init__(self, cloud: MemoryCloud, outputs: Callable[[Resource], dict[str, str]]) -> None:
        self._cloud = cloud
        self._outputs = outputs

    def check(self, _node: Node, _place: str) -> Sequence[Violation]:
        return ()

    def monthly_cost(self, _node: Node) -> MonthlyCost | None:
        return MonthlyCost(0.0, "EUR", "nothing in memory is metered")

    async def put(self, resource: Resource, fence: Fence) -> LiveResource:
        if resource.name in self._cloud.delayed:
            await self._cloud.delayed[resource.name].wait()
        self._require_newest(resource, fence)
        verb = "update" if resource.urn in self._cloud.resources else "create"
        self._cloud.write(f"{verb} {resource.name}", lambda: self._store(resource, fence.token))
        return self._live(resource)

    async def read(self, resource: Resource) -> Reading[LiveResource]:
        if resource.name in self._cloud.unreadable:
            return Unknown(f"{resource.name} does not answer")
        stored = self._cloud.resources.get(resource.urn)
        return Absent() if stored is None else Present(self._live(stored))

    async def delete(self, resource: Resource, fence: Fence) -> None:
        self._require_newest(resource, fence)
        self._cloud.write(
            f"delete {resource.name}", lambda: self._remove(resource.urn, fence.token)
        )

    def _store(self, resource: Resource, token: int) -> None:
        self._cloud.resources[resource.urn] = Resource(
            resource.urn, resource.type, resource.name, resource.properties
        )
        self._cloud.tokens[resource.urn] = token

    def _remove(self, urn: Urn, token: int) -> None:
        self._cloud.resources.pop(urn, None)
        self._cloud.tokens[urn] = token

    def _require_newest(self, resource: Resource, fence: Fence) -> None:
        highest = self._cloud.tokens.get(resource.urn, 0)
        if fence.token < highest:
            raise StaleFence(resource.name, fence, highest)
        if resource.name in self._cloud.refusing:
            raise self._cloud.refusing[resource.name]

    def _live(self, resource: Resource) -> LiveResource:
        return LiveResource(resource.properties, dict(self._outputs(resource)))


class InProcessEvaluator:
    """Evaluates the local program as plain Python; the Azure one needs Pulumi."""

    async def evaluate(self, stack: StackName, inputs: EnvironmentInputs) -> Graph:
        if not inputs.is_local:
            raise PlanRefused(
                "the in-memory engine knows the local program only",
                target="/computeTargets",
            )
        return local_graph(stack, inputs)


def memory_engine(
    cloud: MemoryCloud,
    sites: Mapping[ComputeTargetKind, Sites] | None = None,
    clock: Clock | None = None,
) -> StepEngine:
    """Return an engine over *cloud*; with *sites*, what it provisions is there to deploy to."""
    in_memory = {SITES[LOCAL_TARGET][0]: MemoryResources(cloud, _site_outputs)}
    return StepEngine(
        InProcessEvaluator(),
        MemoryStates(cloud),
        {
            ENVIRONMENT: ComponentProvider(),
            VOLUME: MemoryResources(cloud, _volume_outputs),
            SERVER: MemoryResources(cloud, _server_outputs),
            **(site_providers(sites) if sites else in_memory),
        },
        clock or LoopClock(),
    )


def _site_outputs(site: Resource) -> dict[str, str]:
    return {"id": site.properties["site"], "endpoint": f"http://{site.properties['site']}.local"}


def _volume_outputs(volume: Resource) -> dict[str, str]:
    path = f"/{volume.properties['site']}/volumes/{volume.properties['volume']}"
    return {"id": path, "path": path}


def _server_outputs(server: Resource) -> dict[str, str]:
    port = {"host": "127.0.0.1", "port": "20001", "database": "0", "verifier": "its-verifier"}
    return {**_volume_outputs(server), **port}


def urn(stack: str, project: str, resource_type: str, name: str) -> Urn:
    return Urn(f"urn:pulumi:{stack}::{project}::{resource_type}::{name}")


def references(value: object) -> set[Unresolved]:
    """Return every reference in *value*, however deep."""
    targets: set[Unresolved] = set()

    def note(to: Unresolved) -> Unresolved:
        targets.add(to)
        return to

    resolve(value, note)
    return targets


def local_graph(stack: str, inputs: EnvironmentInputs) -> Graph:
    """Return the graph of the local program, without Pulumi."""
    types: dict[str, str] = {}
    urns: dict[str, Urn] = {}
    nodes = []
    for declaration in declarations(inputs):
        prefix = f"{types[declaration.parent]}$" if declaration.parent else ""
        types[declaration.name] = prefix + declaration.type
        urns[declaration.name] = urn(stack, PROJECT, types[declaration.name], declaration.name)
        properties = _with_references(declaration.properties, urns)
        needed = {to.urn for to in references(properties)}
        if declaration.parent:
            needed.add(urns[declaration.parent])
        nodes.append(
            Node(
                urns[declaration.name], declaration.type, declaration.name, properties,
                tuple(sorted(needed)), declaration.protected, declaration.replace_on,
                declaration.ignore,
            )
        )  # fmt: skip
    return Graph(tuple(nodes), _with_references(outputs(inputs), urns))


def _with_references(value: Any, urns: Mapping[str, Urn]) -> Any:
    match value:
        case OutputOf(name, output):
            return reference(urns[name], output)
        case Mapping():
            return {key: _with_references(inner, urns) for key, inner in value.items()}
        case list():
            return [_with_references(inner, urns) for inner in value]
        case _:
            return value
