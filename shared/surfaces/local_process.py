"""LocalProcess for the apps: the surface of the local agent, which alone touches workloads, by RPC.

The agent listens on `agent.sock` in its state folder, which no workload reaches: on a port, one
could take its place when it has ended. It writes its token and its capabilities to `agent.json`,
readable by its own user only. It may end and start again at any time, then with another token.
"""

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter

from shared.kernel.clock import Clock
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Unavailable
from shared.kernel.fence import Fence
from shared.kernel.ids import EnvironmentId, TenantId
from shared.kernel.observation import Reading, Unknown
from shared.persistence.disk_errors import translated_errors
from shared.persistence.plain_files import read_plain, write_private
from shared.rpc.api import Api
from shared.rpc.client import SocketClient
from shared.surfaces.boundaries import Boundary, BoundarySpec
from shared.surfaces.capabilities import Capabilities, Feature
from shared.surfaces.isolation_attempts import LayerAttempts
from shared.surfaces.observed_state import Inventory, LiveComponent, LiveProof, Site
from shared.surfaces.properties import Properties
from shared.surfaces.spec import RevisionSpec, SiteSpec, SurfaceComponent
from shared.surfaces.traffic import TrafficSample

RECORD: Final = "agent.json"
SOCKET: Final = "agent.sock"
API_URL: Final = "api.url"
"""Where the API answers, from when its host or front end began to listen."""
ISSUER: Final = "issuer"
"""The folder with the key of this machine's issuer."""
INFRASTRUCTURE: Final = "environments"
"""Where the infrastructure of a state folder keeps its records, and the data folders."""
_OTHER_RELEASE: Final = "its agent is of an earlier release: `runtimectl down` and `up` end that"
VOLUMES: Final = "volumes"
"""In that: of each environment its data folders, which the agent gives to instances."""
_URL_MAX: Final = 512
READ_WITHIN_S: Final = 30.0
WRITE_WITHIN_S: Final = 330.0
"""A run of an installer takes 300 s at most, and 15 s later a change is in force. The first install
on a machine is two runs, and each may wait for others: then the caller gets Unavailable, the agent
goes on, and the next call finds what it has done."""


@dataclass(frozen=True)
class AgentRecord:
    """A running agent: its token, and what this machine can hold workloads to."""

    token: str
    pid: int
    capabilities: Capabilities
    knows: tuple[str, ...] = ()
    """The features that this agent's release knows; empty in a record of before they were kept."""


@cache
def _records() -> TypeAdapter[AgentRecord]:
    return TypeAdapter(AgentRecord)


def _agent_api() -> Api:
    from shared.surfaces.agent_calls import AGENT_API  # noqa: PLC0415  20 ms, when used

    return AGENT_API


def write_api_url(state: Path, url: str) -> None:
    """Keep below *state* where its API answers now. Raises Unavailable: it cannot be written."""
    with translated_errors(f"the state folder {state}"):
        write_private(state / API_URL, url.encode(), is_durable=False)


def read_api_url(state: Path) -> str | None:
    """Return where the API of *state* answers, or did last; None where none ever did."""
    try:
        return read_plain(state / API_URL, at_most=_URL_MAX).decode("ascii")
    except (OSError, ValueError):
        return None


def write_record(record: AgentRecord) -> bytes:
    return _records().dump_json(record)


def read_record(state: Path) -> AgentRecord | None:
    """Return the agent that was started last below *state*; None where there is no record.

    It may be of another release than this app. What only the agent knows the app never needs, and
    what only the app knows the agent lacks.
    """
    try:
        document = json.loads(read_plain(state / RECORD))
        lacks, knows = document["capabilities"]["lacks"], document.get("knows") or list(Feature)
        known = {name: why for name, why in lacks.items() if name in set(Feature)}
        document["capabilities"]["lacks"] = {
            **dict.fromkeys(set(Feature) - set(knows), _OTHER_RELEASE),
            **known,
        }
        return _records().validate_python(document)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


class AgentSurface:
    """Surface, Sites and Boundaries by the agent of the folder *state*: see shared/rpc.

    *ensure_agent* starts the agent where none runs, and may be called often; an app that cannot
    start one gives a function that does nothing.
    """

    def __init__(self, state: Path, ensure_agent: Callable[[], None], clock: Clock) -> None:
        self._state = state
        self._agent = SocketClient(
            state / SOCKET,
            _agent_api,
            self._token,
            ensure_agent,
            clock,
            subject="the local agent",
            remedy="see agent.log in the state folder; `runtimectl down` and `up` start another",
        )

    def _token(self) -> str | None:
        record = read_record(self._state)
        return None if record is None else record.token

    def capabilities(self) -> Capabilities:
        record = read_record(self._state)
        if record is None:
            raise Unavailable("the local agent is not ready yet: see agent.log in the state folder")
        return record.capabilities

    async def observe(self, component: SurfaceComponent) -> Reading[LiveComponent]:
        return await self._read("observe", component=component)

    async def inventory(self, environment: EnvironmentId) -> Reading[Inventory]:
        return await self._read("inventory", environment=environment)

    async def prove(
        self, component: SurfaceComponent, revision: int | None = None
    ) -> Reading[tuple[LiveProof, ...]]:
        return await self._read("prove", component=component, revision=revision)

    async def traffic(self, component: SurfaceComponent) -> Reading[TrafficSample]:
        return await self._read("traffic", component=component)

    async def properties(self, component: SurfaceComponent) -> Reading[Mapping[int, Properties]]:
        return await self._read("properties", component=component)

    async def logs(
        self, component: SurfaceComponent, instance: str, tail: int
    ) -> Reading[tuple[str, ...]]:
        return await self._read("logs", component=component, instance=instance, tail=tail)

    async def kept_outputs(
        self, component: SurfaceComponent, revision: int
    ) -> Reading[tuple[str, ...]]:
        return await self._read("kept_outputs", component=component, revision=revision)

    async def read_site(self, environment: EnvironmentId) -> Reading[Site]:
        return await self._read("read_site", environment=environment)

    async def apply(self, spec: RevisionSpec, fence: Fence) -> None:
        await self._write("apply", spec=spec, fence=fence)

    async def scale(
        self, component: SurfaceComponent, revision: int, replicas: int, fence: Fence
    ) -> None:
        await self._write(
            "scale", component=component, revision=revision, replicas=replicas, fence=fence
        )

    async def set_weights(
        self, component: SurfaceComponent, weights: Mapping[int, int], fence: Fence
    ) -> None:
        await self._write("set_weights", component=component, weights=weights, fence=fence)

    async def remove(self, component: SurfaceComponent, revision: int, fence: Fence) -> None:
        await self._write("remove", component=component, revision=revision, fence=fence)

    async def ensure_site(self, spec: SiteSpec, fence: Fence) -> None:
        await self._write("ensure_site", spec=spec, fence=fence)

    async def delete_site(self, environment: EnvironmentId, fence: Fence) -> None:
        await self._write("delete_site", environment=environment, fence=fence)

    async def ensure_boundary(self, spec: BoundarySpec, fence: Fence) -> None:
        await self._write("ensure_boundary", spec=spec, fence=fence)

    async def read_boundary(
        self, environment: EnvironmentId, tenant: TenantId
    ) -> Reading[Boundary]:
        return await self._read("read_boundary", environment=environment, tenant=tenant)

    async def delete_boundary(
        self, environment: EnvironmentId, tenant: TenantId, fence: Fence
    ) -> None:
        await self._write("delete_boundary", environment=environment, tenant=tenant, fence=fence)

    async def attempt_isolation(
        self, environment: EnvironmentId, tenant: TenantId
    ) -> Reading[tuple[LayerAttempts, ...]]:
        return await self._read("attempt_isolation", environment=environment, tenant=tenant)

    async def _read(self, method: str, **arguments: object) -> Reading[Any]:
        try:
            reading: Reading[Any] = await self._agent.call(method, arguments, READ_WITHIN_S)
        except Unavailable as unavailable:
            return Unknown(unavailable.message)
        return reading

    async def _write(self, method: str, **arguments: object) -> None:
        await self._agent.call(method, arguments, WRITE_WITHIN_S)
