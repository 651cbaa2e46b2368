"""The embedded engine for apps in other processes: see shared/infrastructure/remote_engine.py."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from local_cloud.infrastructure.embedded import embedded_engine
from local_cloud.infrastructure.step_engine import StepEngine
from shared.composition.cluster import Clusters
from shared.composition.identity import Identity
from shared.composition.settings import Settings
from shared.contracts.values import ComputeTargetKind
from shared.infrastructure.engine_calls import ENGINE_API
from shared.infrastructure.port import InfrastructureEngine
from shared.infrastructure.remote_engine import RECORD, SOCKET
from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy
from shared.persistence.plain_files import write_private
from shared.rpc.server import served
from shared.surfaces.local_process import INFRASTRUCTURE, AgentSurface
from shared.surfaces.port import Sites
from shared.vault.port import Vaults


def engine_of(
    agent_folder: Path, settings: Settings, vaults: Vaults, clock: Clock, entropy: Entropy
) -> StepEngine:
    """Return the engine that makes resources at the agent of *agent_folder*.

    Those in a cluster are made in the one that *settings* name, if they do.

    Raises:
        InvalidSetting: its kubeconfig cannot be used.
    """
    agent = AgentSurface(agent_folder, _start_no_agent, clock)
    identity = Identity(settings.client_id, takes_sign_in=True)
    sites: dict[ComputeTargetKind, Sites] = {
        ComputeTargetKind.LOCAL_PROCESS: agent,
        **Clusters(clock).surfaces(settings, identity),
    }
    return embedded_engine(agent_folder / INFRASTRUCTURE, sites, vaults, clock, entropy)


@asynccontextmanager
async def serve_engine(
    engine: InfrastructureEngine, folder: Path, entropy: Entropy
) -> AsyncIterator[None]:
    """Answer the calls of `RemoteEngine` on *folder* by *engine* while inside."""
    token = entropy.uuid().hex + entropy.uuid().hex
    async with served(ENGINE_API, engine, token, folder / SOCKET):
        write_private(folder / RECORD, json.dumps({"token": token}).encode())
        yield


def _start_no_agent() -> None:
    """Do nothing: whoever runs this cloud runs the agent."""
