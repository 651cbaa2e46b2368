"""All that a cluster says of Deployments and pods while a test goes on, as a watch tells it."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from shared.kernel.clock import SystemClock
from shared.surfaces.aks.cluster_api import ClusterApi, Object
from shared.surfaces.aks.kinds import DEPLOYMENTS, PODS, Kind
from shared.surfaces.aks.scalers import owner_of
from shared.surfaces.scaling import ReplicasOwner
from tests.kit.patience import PATIENCE_S


@dataclass(frozen=True)
class State:
    """A Deployment after one change."""

    replicas: int
    available: int
    managers: frozenset[str]
    """Of the number of replicas."""
    owner: ReplicasOwner


@dataclass
class Watched:
    """All that the cluster says of Deployments and pods, from before there is any."""

    api: ClusterApi
    labels: Mapping[str, str]
    history: dict[str, list[State]] = field(default_factory=lambda: defaultdict(list))
    """Of each Deployment by its name, until it is deleted."""
    pods: dict[str, Object] = field(default_factory=dict)

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        tasks = []
        for kind, take in ((DEPLOYMENTS, self._note_deployment), (PODS, self._note_pod)):
            _, version = await self.api.list_all(kind, self.labels, keep=lambda each: each)
            tasks.append(asyncio.create_task(self._follow(kind, version, take)))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(*tasks)

    async def _follow(self, kind: Kind, version: str, take: Callable[[str, Object], None]) -> None:
        while True:
            changes = self.api.changes_since(kind, self.labels, version, 300)
            async with aclosing(changes) as opened:
                async for event, found in opened:
                    version = found["metadata"]["resourceVersion"]
                    if event != "BOOKMARK":
                        take(event, found)

    def _note_pod(self, event: str, pod: Object) -> None:
        name = pod["metadata"]["name"]
        if event == "DELETED":
            self.pods.pop(name, None)
        else:
            self.pods[name] = pod

    def _note_deployment(self, event: str, found: Object) -> None:
        metadata = found["metadata"]
        if event == "DELETED" or "deletionTimestamp" in metadata:
            return
        managers = frozenset(
            entry["manager"]
            for entry in metadata["managedFields"]
            if "f:replicas" in entry["fieldsV1"].get("f:spec", {})
        )
        available = int(found["status"].get("availableReplicas", 0))
        state = State(int(found["spec"]["replicas"]), available, managers, owner_of(found))
        self.history[metadata["name"]].append(state)


async def until(holds: Callable[[], Any]) -> None:
    clock = SystemClock()
    give_up_at_s = clock.monotonic_s() + PATIENCE_S
    while not holds():
        assert clock.monotonic_s() < give_up_at_s, "it never came"
        await clock.sleep(0.05)
