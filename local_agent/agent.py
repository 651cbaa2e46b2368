"""The agent of one state folder, as a kubelet is of a node: it alone touches workloads.

It supervises them and answers the apps over HTTP. Its end stops no workload: the next agent takes
them over.

    <state>/agent.lock    held while an agent runs
    <state>/agent.sock    where it answers
    <state>/agent.json    its token and capabilities: see shared/surfaces/local_process.py
    <state>/surface/      what it keeps: see state_files.py
    <state>/vaults/       the secrets, which the host or the local cloud writes
    <state>/blobs/artifacts/   the archives, which the host writes where they are in no account
    <state>/environments/volumes/<environment>/   its data folders, which the host makes
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Final

from local_agent.agent_lock import LOCK, LOCK_DESCRIPTOR, LOG, AgentRunning, held_lock, read_owner
from local_agent.artifacts import ArchiveSource
from local_agent.removed_state import end_processes_of
from local_agent.sandbox_means import tried_means
from local_agent.sandbox_order import unfit_place
from local_agent.secret_values import SecretSource
from local_agent.state_files import write_atomically
from local_agent.surface import LocalProcessSurface
from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy
from shared.persistence.bounded_logs import keep_bounded
from shared.persistence.held_paths import first_removed
from shared.persistence.lock_files import write_owner
from shared.rpc.server import served
from shared.surfaces.agent_calls import AGENT_API
from shared.surfaces.capabilities import Feature
from shared.surfaces.local_process import RECORD, SOCKET, AgentRecord, write_record

_RESTART_AFTER_S: Final = 1.0
_LOG: Final = logging.getLogger(__name__)


class UnfitPlace(Exception):
    """No state folder may be there; the message says why."""


class StateRemoved(Exception):
    """The folder of this agent is gone, or another stands in its place."""


async def run(
    state: Path,
    archives: ArchiveSource,
    secrets: SecretSource,
    clock: Clock,
    entropy: Entropy,
    *,
    is_locked: bool,
) -> None:
    """Supervise the workloads below *state* and answer the apps, until canceled.

    *is_locked*: who started this process took the lock and passed it on.

    Raises:
        AgentRunning: another process does.
        StateRemoved: *state* was removed; what it started was ended.
        UnfitPlace: workloads cannot start from there.
    """
    if unfit := unfit_place(state, tried_means()):
        raise UnfitPlace(unfit)
    with _sole_agent(state, is_locked=is_locked):
        surface = LocalProcessSurface(state / "surface", archives, secrets, clock, entropy)
        async with _announced(state, surface, entropy):
            await _supervise_until_removed(state, surface, clock)


async def _supervise_until_removed(state: Path, surface: LocalProcessSurface, clock: Clock) -> None:
    """Supervise until canceled, or until *state* is removed: then nothing that was started stays.

    Raises:
        StateRemoved.
    """
    work = [
        asyncio.ensure_future(keep_supervising(surface, clock)),
        asyncio.ensure_future(keep_bounded(partial(logs_of, state), clock)),
    ]
    try:
        removed = await first_removed([state, state / LOCK], clock)
    finally:
        for each in work:
            each.cancel()
        await asyncio.wait(work)
    ended = await end_processes_of(state, clock)
    raise StateRemoved(
        f"{removed} was removed or replaced: the agent ends, and has ended its {ended} processes"
    )


async def keep_supervising(surface: LocalProcessSurface, clock: Clock) -> None:
    """Supervise *surface* forever: a defect is logged, and the supervision restarts."""
    while True:
        try:
            await surface.supervise()
        except Exception:  # noqa: BLE001  after any defect, workloads still need a supervisor
            _LOG.exception("supervision failed; it restarts in %s s", _RESTART_AFTER_S)
            await clock.sleep(_RESTART_AFTER_S)


def logs_of(state: Path) -> Sequence[Path]:
    """Return the logs of the agent and of the proxies."""
    return [state / LOG, *state.glob("surface/sites/*/edge/envoy.log")]


@contextmanager
def _sole_agent(state: Path, *, is_locked: bool) -> Iterator[None]:
    if is_locked:
        os.set_inheritable(LOCK_DESCRIPTOR, False)
        write_owner(LOCK_DESCRIPTOR, os.getpid())
        yield
        return
    with held_lock(state) as lock:
        if lock is None:
            raise AgentRunning(
                f"another agent (pid {read_owner(state) or 'unknown'}) runs for {state}:"
                f" `runtimectl down --state {quote(str(state))}` ends it, with its workloads"
            )
        write_owner(lock, os.getpid())
        yield


@asynccontextmanager
async def _announced(
    state: Path, surface: LocalProcessSurface, entropy: Entropy
) -> AsyncIterator[None]:
    """Answer the apps on the socket of the folder, under a token that the record gives them."""
    token = entropy.uuid().hex + entropy.uuid().hex
    async with served(AGENT_API, surface, token, state / SOCKET):
        record = AgentRecord(token, os.getpid(), surface.capabilities(), tuple(Feature))
        await asyncio.to_thread(write_atomically, state / RECORD, write_record(record))
        yield
