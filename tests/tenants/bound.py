"""Tenants over in-memory parts: what it is told, what it answers, and what it tells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from pydantic import BaseModel

from function_apps.tenants.ports import (
    LOCAL_RULES,
    SIGNING_KEY,
    InventoryReader,
    TenantsApp,
)
from function_apps.tenants.triggers import COMMANDS, EVENTS, ROUTES
from shared.contracts.environments import EnvironmentFacts
from shared.contracts.validation import read
from shared.contracts.values import ComputeTargetKind
from shared.kernel.context import ADMIN, Scope, idempotency_marker
from shared.kernel.ids import TenantId, tenant_binding_id
from shared.messaging.dispatcher import Dispatcher
from shared.messaging.outbox import Record
from shared.surfaces.capabilities import Feature
from shared.surfaces.reader_ports import BoundaryReader
from shared.vault.signing_keys import SigningKeys
from shared.web.request import Answer, Request
from tests.kit.memory_cluster import MemoryCluster
from tests.kit.memory_surface import MemorySurface
from tests.kit.memory_vaults import MemoryVaults, platform_vault
from tests.kit.messages import envelope_of
from tests.kit.service import TENANT, Bench, bench
from tests.kit.stores import all_changes
from tests.kit.told import ENVIRONMENT, KEY, environment
from tests.secret_bindings.bound import shown

ROOT: Final = "v1/runtime/tenant-bindings"
ONE: Final = f"{ROOT}/{{tenantBindingId}}"
BINDING: Final = tenant_binding_id(KEY, TENANT)
CONTENT: Final = {"environmentId": ENVIRONMENT}
GLOBEX: Final = TenantId("globex")
ABLE: Final = (
    Feature.NAMESPACES, Feature.QUOTAS, Feature.PRIVATE_FILES, Feature.OWN_USER,
)  # fmt: skip

_CALLER: Final = ("tenant", "permissions", "caller", "key")


def told(
    revision: int,
    *,
    isolation: Mapping[str, Any] | None = None,
    able: tuple[str, ...] = ABLE,
    **changes: Any,
) -> EnvironmentFacts:
    """Return an event of the environment: how far the binding's isolation is, what targets can."""
    event = environment(revision, gone=changes.pop("gone", False))
    target = {"kind": "LocalProcess", "capabilities": able}
    entry = [] if isolation is None else [{"bindingId": BINDING, **isolation}]
    content = {**event.model_dump(mode="json", by_alias=True), "computeTargets": [target]}
    return type(event).model_validate({**content, "isolation": entry, **changes})


@dataclass
class Tenants:
    bench: Bench
    app: TenantsApp
    dispatcher: Dispatcher
    cluster: MemoryCluster
    surface: MemorySurface
    heard: int = 0

    async def call(
        self,
        method: str,
        template: str,
        body: Mapping[str, Any] | None = None,
        *,
        tenant: TenantId = TENANT,
        permissions: frozenset[str] = frozenset({ADMIN}),
        caller: str = "user:ann",
        query: Mapping[str, str] | None = None,
        key: str | None = None,
        **path: Any,
    ) -> Answer:
        """Ask the handler of a route, its body read as the app reads it."""
        route = next(each for each in ROUTES if (each.method, each.template) == (method, template))
        content: Any = None if route.body is None else read(route.body, body)
        ctx = self.bench.ctx(Scope(tenant, caller, permissions))
        if key is not None:
            marker = idempotency_marker(f"{method} {template} {path}", key)
            cause = replace(ctx.cause, marker=marker, fingerprint=f"{query}{body}")
            ctx = replace(ctx, cause=cause)
        named = {name: str(value) for name, value in path.items()}
        request: Request[Any] = Request(content, ctx, named, query or {})
        return await route.handler(request, self.app)

    async def bind(self, **changes: Any) -> Mapping[str, Any]:
        as_who = {name: changes.pop(name) for name in _CALLER if name in changes}
        return shown(await self.call("POST", ROOT, {**CONTENT, **changes}, **as_who))

    async def enforced(self, **changes: Any) -> Mapping[str, Any]:
        """Bind the tenant, and tell that its isolation is in force."""
        asked = await self.bind(**changes)
        await self.hear(told(2, isolation={"revision": asked["revision"], "state": "Applied"}))
        return await self.binding()

    async def binding(self, identity: str = BINDING) -> Mapping[str, Any]:
        return shown(await self.call("GET", ONE, tenantBindingId=identity))

    async def change(self, what: str, **asked: Any) -> Mapping[str, Any]:
        """Suspend or resume the binding."""
        as_who = {name: asked.pop(name) for name in _CALLER if name in asked}
        path = {"tenantBindingId": asked.pop("binding", BINDING)}
        body = {"reason": "because", **asked}
        return shown(await self.call("POST", f"{ONE}/{what}", body, **as_who, **path))

    async def unbind(self, confirm: str | None = TENANT, **asked: Any) -> Mapping[str, Any]:
        as_who = {name: asked.pop(name) for name in _CALLER if name in asked}
        path = {"tenantBindingId": asked.pop("binding", BINDING)}
        query = {"reason": "left", **asked} | ({} if confirm is None else {"confirm": confirm})
        return shown(await self.call("DELETE", ONE, query=query, **as_who, **path))

    async def hear(
        self, payload: BaseModel, number: int | None = None, tenant: TenantId = TENANT
    ) -> None:
        self.heard += 1
        at = self.app.service.clock.now()
        envelope = envelope_of(payload, number or self.heard, at)
        await self.dispatcher.dispatch(envelope.model_copy(update={"tenant_id": tenant}))

    async def trail(self, tenant: TenantId) -> Sequence[Record]:
        """Return what the audit trail of *tenant* has of what its callers did, and to it."""
        return [each for each in await self.records(tenant) if each.actor.startswith("user:")]

    async def records(self, tenant: TenantId) -> Sequence[Record]:
        """Return all that the audit trail of *tenant* has."""
        await self.app.service.work.relay.relay_changes(await all_changes(self.app.service.store))
        return [each.record for each in await self.app.service.audit.entries(tenant)]

    def told(self) -> list[tuple[str, int]]:
        """Return status and revision of each event of a binding so far."""
        events = self.bench.sent.bodies("RuntimeTenantBound")
        return [(each["payload"]["status"], each["payload"]["revision"]) for each in events]


async def tenants(*, reads_boundaries: bool = False, **environment_changes: Any) -> Tenants:
    """Return the service, which has heard of its environment."""
    on = bench("tenants")
    clock, entropy = on.service.clock, on.service.entropy
    cluster = MemoryCluster(clock, entropy)
    boundaries: dict[ComputeTargetKind, BoundaryReader] = {}
    inventories: dict[ComputeTargetKind, InventoryReader] = {}
    surface = MemorySurface(cluster)
    if reads_boundaries:
        boundaries[ComputeTargetKind.LOCAL_PROCESS] = surface
        inventories[ComputeTargetKind.LOCAL_PROCESS] = surface
    keys = SigningKeys(platform_vault(MemoryVaults(clock, entropy)), SIGNING_KEY)
    app = TenantsApp(
        on.service, boundaries, inventories, keys, LOCAL_RULES,
        attempts={ComputeTargetKind.LOCAL_PROCESS: surface},
    )  # fmt: skip
    dispatcher = Dispatcher(
        {**EVENTS, **COMMANDS}, app, app.service.work, app.service.clock, app.service.entropy
    )
    made = Tenants(on, app, dispatcher, cluster, surface)
    await made.hear(told(1, **environment_changes))
    return made
