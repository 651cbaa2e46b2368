"""LocalProcess for the apps: a thin client of the local agent, which alone touches workloads.

The agent listens on `agent.sock` in its state folder, which no workload reaches: on a port, one
could take its place when it has ended. It writes its token and its capabilities to `agent.json`,
readable by its own user only. It may end and start again at any time, then with another token.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter

from shared.kernel.clock import Clock
from shared.kernel.errors import Unavailable
from shared.kernel.fence import Fence
from shared.kernel.ids import EnvironmentId
from shared.kernel.observation import Reading, Unknown
from shared.persistence.plain_files import read_plain
from shared.persistence.unix_sockets import short_name
from shared.probing.bounded_body import BodyTooLong, read_bounded
from shared.surfaces.capabilities import Capabilities
from shared.surfaces.observed_state import LiveComponent, LiveProof, Site
from shared.surfaces.spec import RevisionSpec, SiteSpec, SurfaceComponent
from shared.surfaces.traffic import TrafficSample

RECORD: Final = "agent.json"
SOCKET: Final = "agent.sock"
INFRASTRUCTURE: Final = "environments"
"""Where the infrastructure of a state folder keeps its records, and the data folders."""
VOLUMES: Final = "volumes"
"""In that: of each environment its data folders, which the agent gives to instances."""
READ_WITHIN_S: Final = 30.0
WRITE_WITHIN_S: Final = 330.0
"""A run of an installer takes 300 s at most, and 15 s later a change is in force. The first install
on a machine is two runs, and each may wait for others: then the caller gets Unavailable, the agent
goes on, and the next call finds what it has done."""
STARTS_WITHIN_S: Final = 20.0
"""It takes 1 s; a starved machine may need longer."""
ANSWER_BYTES_MAX: Final = 64 * 2**20
"""An inventory with the counters of all its components, and the last lines of an instance."""
_POLL_INTERVAL_S: Final = 0.05
_OK: Final = 200
_UNAUTHENTICATED: Final = 401
_UNKNOWN: Final = 404
_STRANGE: Final = (
    "the local agent does not answer, or is of another version: see agent.log in the state folder;"
    " `runtimectl down` and `up` start another"
)


@dataclass(frozen=True)
class AgentRecord:
    """A running agent: its token, and what this machine can hold workloads to."""

    token: str
    pid: int
    capabilities: Capabilities


_RECORDS: Final = TypeAdapter(AgentRecord)


def write_record(record: AgentRecord) -> bytes:
    return _RECORDS.dump_json(record)


def read_record(state: Path) -> AgentRecord | None:
    """Return the agent that was started last below *state*; None where there is no record."""
    try:
        return _RECORDS.validate_json(read_plain(state / RECORD))
    except (OSError, ValueError):
        return None


class LocalProcess:
    """Surface and Sites of the agent of the folder *state*.

    *ensure_agent* starts the agent where none runs, and may be called often; an app that cannot
    start one gives a function that does nothing.
    """

    def __init__(self, state: Path, ensure_agent: Callable[[], None], clock: Clock) -> None:
        self._state = state
        self._ensure_agent = ensure_agent
        self._clock = clock
        self._record: AgentRecord | None = None

    def capabilities(self) -> Capabilities:
        record = self._record or read_record(self._state)
        if record is None:
            raise Unavailable("the local agent is not ready yet: see agent.log in the state folder")
        return record.capabilities

    async def observe(self, component: SurfaceComponent) -> Reading[LiveComponent]:
        return await self._read("observe", component=component)

    async def inventory(self, environment: EnvironmentId) -> Reading[tuple[LiveComponent, ...]]:
        return await self._read("inventory", environment=environment)

    async def prove(
        self, component: SurfaceComponent, revision: int | None = None
    ) -> Reading[tuple[LiveProof, ...]]:
        return await self._read("prove", component=component, revision=revision)

    async def traffic(self, component: SurfaceComponent) -> Reading[TrafficSample]:
        return await self._read("traffic", component=component)

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

    async def _read(self, method: str, **arguments: object) -> Reading[Any]:
        try:
            answer = await self._call(method, arguments, READ_WITHIN_S)
        except Unavailable as unavailable:
            return Unknown(unavailable.message)
        assert answer is not None, method
        return answer

    async def _write(self, method: str, **arguments: object) -> None:
        await self._call(method, arguments, WRITE_WITHIN_S)

    async def _call(
        self, method: str, arguments: Mapping[str, object], within_s: float
    ) -> Reading[Any] | None:
        """Return what *method* answered; while no agent answers, start one and ask again.

        Every method may be repeated, so a call that broke off is asked again as well.

        Raises:
            Refused, Unavailable: as the port, and Unavailable where no agent answers in time.
        """
        from shared.surfaces.agent_calls import CALLS, read_error  # noqa: PLC0415  20 ms, when used

        call = CALLS[method]
        body = call.write_arguments(arguments)
        give_up_at_s = self._clock.monotonic_s() + STARTS_WITHIN_S
        while True:
            self._record = self._record or await asyncio.to_thread(read_record, self._state)
            if self._record is not None:
                answer = await self._ask(self._record, method, body, within_s)
                if answer is not None:
                    status, content = answer
                    if status == _OK:
                        try:
                            return call.read_answer(content)
                        except ValueError as strange:
                            raise Unavailable(_STRANGE) from strange
                    if status == _UNKNOWN and not content.startswith(b"{"):
                        raise Unavailable(_STRANGE)  # it has no such method
                    raise read_error(content)
                self._record = None
            if self._clock.monotonic_s() >= give_up_at_s:
                raise Unavailable(_STRANGE)
            await asyncio.to_thread(self._ensure_agent)
            await self._clock.sleep(_POLL_INTERVAL_S)

    async def _ask(
        self, agent: AgentRecord, method: str, body: bytes, within_s: float
    ) -> tuple[int, bytes] | None:
        """Return the status and the body of the answer; None where that agent has ended.

        Raises:
            Unavailable: it answers too late, or too much.
        """
        import aiohttp  # noqa: PLC0415  100 ms at a cold start, which apps that do not ask are spared

        headers = {"Authorization": f"Bearer {agent.token}", "Content-Type": "application/json"}
        timeout = aiohttp.ClientTimeout(total=within_s)
        try:
            with short_name(self._state / SOCKET) as socket:
                # A session a call: one that is kept would outlive the host that asks.
                async with (
                    aiohttp.ClientSession(
                        connector=aiohttp.UnixConnector(socket),
                        timeout=timeout,
                        auto_decompress=False,
                    ) as session,
                    session.post(f"http://agent/v1/{method}", data=body, headers=headers) as answer,
                ):
                    content = await read_bounded(answer, at_most=ANSWER_BYTES_MAX)
                    # The next agent has the same socket and another token.
                    return None if answer.status == _UNAUTHENTICATED else (answer.status, content)
        except TimeoutError:
            late = f"the local agent did not answer {method} in {within_s:.0f} s"
            raise Unavailable(late) from None
        except BodyTooLong as long:
            raise Unavailable(f"the local agent answered {method}: {long}") from long
        except (aiohttp.ClientError, OSError):
            return None
