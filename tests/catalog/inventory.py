"""The catalog over in-memory parts, and what other services tell it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel

from function_apps.catalog.ports import CatalogApp
from function_apps.catalog.triggers import COMMANDS, EVENTS
from function_apps.catalog.use_cases import observing
from shared.contracts.catalog import CatalogDefaults
from shared.contracts.deployments import (
    DeploymentEnded,
    RuntimeDeploymentCompleted,
    RuntimeDeploymentRolledBack,
)
from shared.contracts.environments import (
    EnvironmentFacts,
    RuntimeEnvironmentDecommissioned,
    RuntimeEnvironmentProvisioned,
)
from shared.kernel.clock import EPOCH, isoformat
from shared.kernel.fence import Fence
from shared.kernel.ids import (
    EnvironmentId,
    EnvironmentKey,
    ModuleId,
    ServiceId,
    TenantId,
    module_key,
    service_id,
)
from shared.kernel.scope import PlatformScope
from shared.messaging.dispatcher import Dispatcher
from shared.messaging.envelope import Envelope
from shared.persistence.store import Document, Partition
from shared.surfaces.memory import MemorySurface, MemoryWorld
from shared.surfaces.spec import Component, RevisionSpec, SiteSpec
from tests.kit.service import TENANT, Bench, bench

KEY = EnvironmentKey("a" * 12)
ENVIRONMENT = EnvironmentId(f"env-{KEY}")
WEB = ModuleId("module-web")
DIGEST = "sha256:" + "1" * 64
SWEEP = PlatformScope("timer:catalog_observe_due")


def service_of(module: str = WEB) -> ServiceId:
    return service_id(KEY, module_key(TENANT, ModuleId(module)))


def deployment_of(number: int) -> str:
    return f"dep-{KEY}-{number:016d}"


def released(module: str = WEB, revision: int = 1, **changes: Any) -> dict[str, Any]:
    """Return a component of a release unit, as JSON."""
    return {
        "moduleId": module,
        "serviceId": service_of(module),
        "releaseRevision": revision,
        "componentType": "gateway",
        "version": f"{revision}.0",
        "digest": DIGEST,
        "computeTarget": "LocalProcess",
        "endpoint": "http://shop.test/",
        "port": 8080,
        "probes": {"readiness": {"path": "/health"}},
        "replicas": 2,
        "owner": "team-web",
        **changes,
    }


def ended(
    number: int,
    components: Sequence[dict[str, Any]],
    *,
    at: datetime | None = None,
    rolled_back: bool = False,
    modules: Sequence[str] = (),
    removed: Sequence[str] = (),
) -> DeploymentEnded:
    """Return the end of the deployment *number*, by default *number* minutes after the epoch."""
    payload = RuntimeDeploymentRolledBack if rolled_back else RuntimeDeploymentCompleted
    named = [each["moduleId"] for each in components]
    return payload.model_validate(
        {
            "aggregateId": deployment_of(number),
            "revision": 9,
            "deploymentId": deployment_of(number),
            "environmentId": ENVIRONMENT,
            "projectId": "proj-web",
            "stage": "test",
            "kind": "release",
            "releaseRef": f"v{number}",
            "strategy": "canary",
            "status": "RolledBack" if rolled_back else "Completed",
            "modules": [*named, *modules],
            "releaseUnit": {"components": list(components), "removed": list(removed)},
            "endedAt": isoformat(at or EPOCH + timedelta(minutes=number)),
        }
    )


def environment(revision: int, *, gone: bool = False, generation: int = 1) -> EnvironmentFacts:
    payload = RuntimeEnvironmentDecommissioned if gone else RuntimeEnvironmentProvisioned
    return payload.model_validate(
        {
            "aggregateId": ENVIRONMENT,
            "revision": revision,
            "environmentId": ENVIRONMENT,
            "ownerTenantId": TENANT,
            "name": "shop",
            "stage": "test",
            "region": "local",
            "isolationModel": "shared",
            "status": "Decommissioned" if gone else "Provisioned",
            "generation": generation,
            "computeTargets": [],
            "pulumiStackRef": "stack",
        }
    )


@dataclass
class Catalog:
    bench: Bench
    world: MemoryWorld
    app: CatalogApp
    dispatcher: Dispatcher
    told: int = 0

    async def hear(self, payload: BaseModel, event_id: str | None = None) -> None:
        """Deliver *payload* under an event id of its own, or again under *event_id*."""
        self.told += 1
        envelope = Envelope(
            event_id=event_id or f"evt-00000000-0000-4000-8000-{self.told:012d}",
            event_type=type(payload).__name__,
            tenant_id=TENANT,
            project_id="proj-web",
            module_id=None,
            trace_id="trace-1",
            correlation_id="corr-1",
            causation_id=None,
            occurred_at=self.app.service.clock.now(),
            payload=json.loads(payload.model_dump_json(by_alias=True)),
        )
        await self.dispatcher.dispatch(envelope)

    def commands(self) -> list[Envelope]:
        """Take what catalog has sent to itself so far."""
        found = [
            Envelope.model_validate_json(message.body)
            for entity, message in self.bench.sent.messages
            if entity == "runtime-catalog-commands"
        ]
        kept = [each for each in self.bench.sent.messages if each[0] != "runtime-catalog-commands"]
        self.bench.sent.messages[:] = kept
        return found

    async def settle(self) -> None:
        """Hand over what catalog sends itself until nothing is left."""
        while commands := self.commands():
            for each in commands:
                await self.dispatcher.dispatch(each)

    async def hear_all(self, *payloads: BaseModel) -> None:
        for each in payloads:
            await self.hear(each)
        await self.settle()

    async def sweep(self, after_s: float = 60.0) -> int:
        await self.app.service.clock.sleep(after_s)
        looked = await observing.observe_due(self.app, SWEEP)
        await self.settle()
        return looked

    async def documents(self, module: str = WEB) -> list[Document]:
        partition = Partition(TENANT, KEY, service_of(module))
        found = [each for each in await self.everything() if each.partition == partition]
        return sorted(found, key=lambda each: each.id)

    async def everything(self) -> list[Document]:
        store = self.app.service.store
        found: list[Document] = []
        for feed_range in await store.feed_ranges():
            continuation = None
            while (page := await store.changes(feed_range, continuation)).changes:
                found += [each.document for each in page.changes]
                continuation = page.continuation
        return found

    async def run(self, module: str = WEB, revision: int = 1, replicas: int = 2) -> None:
        """Have the module run on the surface."""
        surface = MemorySurface(self.world)
        site = SiteSpec(ENVIRONMENT, TENANT, "shop", "test")
        await surface.ensure_site(site, Fence(1, "op-1", "1"))
        component = Component(ENVIRONMENT, TenantId(TENANT), ModuleId(module))
        spec = RevisionSpec(component, revision, "1.0", DIGEST, ("serve",), replicas=replicas)
        await surface.apply(spec, Fence(1, "op-1", "2"))

    def vanish(self, *modules: str) -> None:
        """Take modules off the surface behind everybody's back."""
        for module in modules:
            component = Component(ENVIRONMENT, TenantId(TENANT), ModuleId(module))
            del self.world.sites[ENVIRONMENT].components[component]


def catalog() -> Catalog:
    made = bench("catalog")
    world = MemoryWorld(made.service.clock, made.service.entropy)
    app = CatalogApp(made.service, MemorySurface(world), CatalogDefaults())
    handlers = {**EVENTS, **COMMANDS}
    dispatcher = Dispatcher(
        handlers, app, made.service.work, made.service.clock, made.service.entropy
    )
    return Catalog(made, world, app, dispatcher)
