"""Engines with what is around them: each can be opened again, as after a restart of its host."""

import asyncio
from pathlib import Path
from typing import Protocol

from local_cloud.infrastructure.child_evaluator import ChildEvaluator
from local_cloud.infrastructure.embedded import embedded_engine
from local_cloud.infrastructure.endpoint import serve_engine
from shared.contracts.values import ComputeTargetKind
from shared.infrastructure.inputs import (
    ComputeTargetInput,
    DataResourceInput,
    EnvironmentInputs,
)
from shared.infrastructure.port import InfrastructureEngine, StackName
from shared.infrastructure.remote_engine import RemoteEngine
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.kernel.errors import Conflict
from shared.kernel.fence import Fence
from shared.kernel.ids import EnvironmentId
from shared.surfaces.spec import SiteSpec
from tests.kit.environment_vaults import local_vaults
from tests.kit.memory_cluster import MemoryCluster
from tests.kit.memory_engine import MemoryCloud, memory_engine
from tests.kit.memory_surface import MemorySurface
from tests.kit.seeded_entropy import SeededEntropy
from tests.kit.virtual_time import LoopClock

STACK = StackName("env-abcdefghijkl")
FENCE = Fence(1, "op-environments-abcdefghijkl-0000000000000001", "update")
LATER = Fence(2, "op-environments-abcdefghijkl-0000000000000002", "update")
LAST = Fence(3, "op-environments-abcdefghijkl-0000000000000003", "update")


def inputs(*volumes: str, protected: str = "", **changed: object) -> EnvironmentInputs:
    given: dict[str, object] = {
        "tenant_id": "acme",
        "project_id": "proj-shop",
        "environment_id": "env-abcdefghijkl",
        "name": "test",
        "stage": "test",
        "region": "local",
        "isolation_model": "shared",
        "trace_id": "trace-1",
        "compute_targets": (ComputeTargetInput("LocalProcess"),),
        "data_resources": tuple(
            DataResourceInput(name, "LocalFolder", protected=name == protected) for name in volumes
        ),
    }
    return EnvironmentInputs(**{**given, **changed})


class Installation(Protocol):
    def open(self) -> InfrastructureEngine: ...

    def refuse_site(self, *, refused: bool) -> None:
        """From now on the site's provider refuses every write, or no longer."""
        ...

    def delay_site(self) -> asyncio.Event:
        """Let each run stand at its creation of the site until the returned event is set."""
        ...

    def names(self) -> set[str]:
        """Return the names of the real resources that exist."""
        ...


class InMemory:
    def __init__(self) -> None:
        self.cloud = MemoryCloud()

    def open(self) -> InfrastructureEngine:
        return memory_engine(self.cloud)

    def refuse_site(self, *, refused: bool) -> None:
        self.cloud.refusing = {"site": Conflict("the site is locked")} if refused else {}

    def delay_site(self) -> asyncio.Event:
        return self.cloud.delayed.setdefault("site", asyncio.Event())

    def names(self) -> set[str]:
        return {each.name for each in self.cloud.resources.values()}


class LockableSites(MemorySurface):
    is_locked = False
    delay: asyncio.Event | None = None

    async def ensure_site(self, spec: SiteSpec, fence: Fence) -> None:
        if self.delay is not None:
            await self.delay.wait()
        if self.is_locked:
            raise Conflict("the site is locked")
        await super().ensure_site(spec, fence)

    async def delete_site(self, environment: EnvironmentId, fence: Fence) -> None:
        if self.is_locked:
            raise Conflict("the site is locked")
        await super().delete_site(environment, fence)


EVALUATOR = ChildEvaluator(timeout_s=600.0)
"""Patient: importing the Azure provider takes long while other tests use the processors."""
"""One for all tests: equal inputs are evaluated once."""


class Embedded:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cluster = MemoryCluster(SystemClock(), SeededEntropy(1))
        self.sites = LockableSites(self.cluster)

    def open(self) -> InfrastructureEngine:
        return embedded_engine(
            self.folder,
            {ComputeTargetKind.LOCAL_PROCESS: self.sites},
            local_vaults(self.folder),
            LoopClock(),
            SeededEntropy(1),
            evaluator=EVALUATOR,
        )

    def refuse_site(self, *, refused: bool) -> None:
        self.sites.is_locked = refused

    def delay_site(self) -> asyncio.Event:
        self.sites.delay = asyncio.Event()
        return self.sites.delay

    def names(self) -> set[str]:
        volumes = {
            f"data-{path.name}"
            for path in self.folder.glob("volumes/*/*")
            if path.is_dir() and not path.name.startswith(".")
        }
        has_site = any(site.spec is not None for site in self.cluster.sites.values())
        return volumes | ({"site"} if has_site else set())


class Served(Embedded):
    """The embedded engine behind a socket, as apps in other processes have it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._tasks: list[asyncio.Task[None]] = []

    def open(self) -> InfrastructureEngine:
        engine = super().open()
        self._tasks.append(asyncio.get_running_loop().create_task(self._serve(engine)))
        return RemoteEngine(self.folder, SystemClock())

    async def _serve(self, engine: InfrastructureEngine) -> None:
        async with serve_engine(engine, self.folder, SystemEntropy()):
            await asyncio.Event().wait()
