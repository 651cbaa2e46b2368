"""Catalog and drift over one environment with many services, as G13 asks them.

Both are built by their own `build` over SQLite at FULL and a surface in memory. Services come as
they do in life: by the ends of deployments, which each service splits into commands to itself.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import parse_qsl, urlsplit

from pydantic import BaseModel

from benchmarks.memory_app import MemoryParts
from function_apps.catalog import function_app as catalog_app
from function_apps.catalog import triggers as catalog_triggers
from function_apps.catalog.ports import CatalogApp
from function_apps.catalog.use_cases import scan_environments as catalog_scan
from function_apps.drift import function_app as drift_app
from function_apps.drift import triggers as drift_triggers
from function_apps.drift.ports import DriftApp
from function_apps.drift.use_cases import scan_environments as drift_scan
from local_cloud.storage import LocalStorage
from local_host.embedded_parts import EmbeddedHost
from shared.composition.service import Service
from shared.contracts.releases import ReleasedComponent
from shared.contracts.strategies import RolloutDefaults
from shared.kernel.clock import SystemClock
from shared.kernel.concurrency import bounded_map
from shared.kernel.context import Context
from shared.kernel.entropy import SystemEntropy
from shared.kernel.fence import Fence
from shared.messaging.dispatcher import Dispatcher, HandlerTable
from shared.surfaces.released_component import revision_spec
from shared.surfaces.spec import SiteSpec
from shared.web.collection import TOP_MAX
from shared.web.request import Request
from tests.kit.memory_cluster import MemoryCluster, MemoryRevision
from tests.kit.messages import envelope_of, taken
from tests.kit.service import CAUSE, SCOPE, TENANT, Sent
from tests.kit.told import ENVIRONMENT, ended, environment, released

A_DEPLOYMENT: Final = 25
"""Services that one deployment brings: a page of its split."""
AT_ONCE: Final = 16
TEAMS: Final = 100
SETTLED: Final = timedelta(seconds=200)
"""After this nothing on the surface is the platform's own work any more."""


class LaterClock(SystemClock):
    """The machine's clock, put forward instead of waiting."""

    later = timedelta()

    def now(self) -> datetime:
        return super().now() + self.later


@dataclass
class Consumer:
    """One service, the queue of what it sends itself, and how many messages it was given."""

    service: Service
    dispatcher: Dispatcher
    sent: Sent
    heard: int = 0

    @classmethod
    def of(cls, app: Any, tables: Sequence[HandlerTable], sent: Sent) -> Self:
        service: Service = app.service
        handlers = {kind: handler for table in tables for kind, handler in table.items()}
        dispatcher = Dispatcher(handlers, app, service.work, service.clock, service.entropy)
        return cls(service, dispatcher, sent)

    async def hear(self, payload: BaseModel) -> None:
        self.heard += 1
        await self.dispatcher.dispatch(envelope_of(payload, self.heard, self.service.clock.now()))
        own = taken(self.sent, f"runtime-{self.service.name}-commands")
        await bounded_map(own, self.dispatcher.dispatch, at_once=AT_ONCE)
        self.sent.messages.clear()  # what it told others


class LargeEnvironment:
    """*count* services, one instance each, in the folder *base*. Use after `filled`."""

    def __init__(self, base: Path, count: int) -> None:
        self.count = count
        self._clock, sent = LaterClock(), Sent()
        storage = LocalStorage(base / "storage", self._clock, in_memory=False)
        parts = MemoryParts(EmbeddedHost(self._clock, SystemEntropy(), sent, storage, base))
        parts.cluster.requests_per_s = 0.0
        self._parts = parts
        self.catalog: CatalogApp = catalog_app.build(parts.settings, parts)
        self.drift: DriftApp = drift_app.build(parts.settings, parts)
        self._consumers = [
            Consumer.of(self.catalog, (catalog_triggers.EVENTS, catalog_triggers.COMMANDS), sent),
            Consumer.of(self.drift, (drift_triggers.EVENTS, drift_triggers.COMMANDS), sent),
        ]

    async def filled(self) -> Self:
        """Release all services, and scan until nothing of it is news."""
        fence = Fence(1, "op-1", "1")
        await self._parts.surface.ensure_site(SiteSpec(ENVIRONMENT, TENANT, "shop", "test"), fence)
        await self._hear(environment(1))
        for first in range(0, self.count, A_DEPLOYMENT):
            numbers = range(first, min(first + A_DEPLOYMENT, self.count))
            units = [component_of(number) for number in numbers]
            for unit in units:
                run_component(self._parts.cluster, unit)
            await self._hear(ended(1 + first // A_DEPLOYMENT, units, at=self._clock.now()))
        await catalog_scan.scan_due_environments(self.catalog)
        for _ in range(3):  # the fence is news, then its end, then nothing
            await self.scan()
        return self

    async def _hear(self, payload: BaseModel) -> None:
        for consumer in self._consumers:
            await consumer.hear(payload)

    def tamper(self, one_of: int) -> int:
        """Change a hundredth of the services behind drift's back; return how many."""
        components = sorted(self._parts.cluster.sites[ENVIRONMENT].components.items())
        changed = components[one_of :: min(100, self.count)]
        for _, state in changed:
            revision = state.revisions[1]
            revision.spec = replace(revision.spec, command=("serve", "--changed"))
        return len(changed)

    async def scan(self) -> None:
        """Have drift compare the whole environment, later than all that was written."""
        self._clock.later += SETTLED
        assert await drift_scan.scan_due_environments(self.drift) == 1

    async def page(self, **query: str) -> Mapping[str, Any]:
        """Return what `GET /services` answers of this environment."""
        asked = {"environmentId": ENVIRONMENT, **query}
        ctx = Context(SCOPE, CAUSE, self._clock, SystemEntropy())
        answer = await catalog_triggers.get_services(Request(None, ctx, {}, asked), self.catalog)
        found: Mapping[str, Any] = json.loads(answer.content)
        return found

    async def whole(self) -> int:
        """Read all services by their pages, as `runtimectl status` does; return how many."""
        count, query = 0, {"top": str(TOP_MAX)}
        while True:
            page = await self.page(**query)
            count += len(page["value"])
            if page["nextLink"] is None:
                return count
            query = dict(parse_qsl(urlsplit(page["nextLink"]).query))


def run_component(cluster: MemoryCluster, unit: Mapping[str, Any]) -> None:
    """Have *unit* run in *cluster*, as if a deployment had brought it."""
    component = ReleasedComponent.model_validate(unit)
    spec = revision_spec(component, ENVIRONMENT, TENANT, RolloutDefaults(), None)
    state = cluster.component(spec.component)
    state.revisions[1], state.fence = MemoryRevision(spec), 1
    state.weights = {1: 100}
    cluster.resize(state.revisions[1])


def component_of(number: int) -> dict[str, Any]:
    """Return the unit of the service *number*."""
    return released(
        f"module-{number:05d}", 1, owner=f"team-{number % TEAMS}", replicas=1,
        command=["serve", str(number)], routing={"weights": {"1": 100}},
        environ={f"V{index}": f"{number}-{index}" for index in range(10)},
    )  # fmt: skip
