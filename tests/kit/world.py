"""The whole system in one process on virtual time: the real host over memory, and what outlives it.

Host, broker, Durable engine, relay, dispatcher and services are the real ones; only the surface,
the engine's resources and the prober are the in-memory adapters that pass the contract suites. A
world can be killed at any write it makes: the host object and everything it held is dropped, all
that is durable stays, and `boot` starts another host over it.
"""

import asyncio
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from inspect import signature
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import azure.durable_functions as df
import azure.functions as func
from azure.functions.decorators import utils as binding_constructors

from function_apps.catalog import function_app as catalog
from function_apps.catalog.ports import CatalogRules
from function_apps.configurations import function_app as configurations
from function_apps.configurations.ports import LOCAL_RULES as CONFIGURATIONS_RULES
from function_apps.deployments import function_app as deployments
from function_apps.deployments.ports import DeploymentsRules
from function_apps.drift import function_app as drift
from function_apps.drift.ports import DriftRules
from function_apps.environments import function_app as environments
from function_apps.environments.ports import EnvironmentsRules
from function_apps.health import function_app as health
from function_apps.health.ports import HealthRules
from function_apps.scaling import function_app as scaling
from function_apps.scaling.ports import ScalingRules
from function_apps.secret_bindings import function_app as secret_bindings
from function_apps.secret_bindings.ports import LOCAL_RULES as SECRET_BINDINGS_RULES
from function_apps.tenants import function_app as tenants
from function_apps.tenants.ports import TenantsRules
from local_cloud.sqlite.database import MEMORY
from local_cloud.storage import LocalStorage
from local_host.embedded_parts import EmbeddedHost, EmbeddedParts
from local_host.host import Host, HostSettings
from local_host.model import App, HttpAnswer, HttpCall
from shared.composition.service import Service
from shared.composition.settings import ISSUER_KEYS, LOCAL, PROFILE, Settings, read_settings
from shared.contracts.health import ServiceHealth
from shared.contracts.metrics import MetricSource
from shared.contracts.values import ComputeTargetKind, ServiceId
from shared.durable.task_hub import TaskHub
from shared.git.port import GitRepositories
from shared.images.port import Images
from shared.infrastructure.port import InfrastructureEngine
from shared.kernel.errors import NotFound
from shared.metrics.port import Metrics
from shared.persistence.store import Document, Store
from shared.probing.result import ProbeResult
from shared.surfaces.port import Surface
from shared.vault.port import SecretVault, Vaults
from shared.web.issuer import AUDIENCE, DEV_ISSUER, LocalIssuer
from tests.kit.memory_cluster import MemoryCluster
from tests.kit.memory_engine import MemoryCloud, memory_engine
from tests.kit.memory_images import NO_IMAGES
from tests.kit.memory_passwords import MemoryPasswords
from tests.kit.memory_repositories import MemoryRepositories
from tests.kit.memory_surface import MemorySurface
from tests.kit.memory_vaults import MemoryVaults, platform_vault
from tests.kit.mortal import (
    Fate,
    MortalDatabase,
    MortalSender,
    MortalStore,
    MortalSurface,
    UnrulySender,
)
from tests.kit.seeded_entropy import SeededEntropy
from tests.kit.virtual_time import LoopClock

# azure.functions inspects the constructor of each binding that it makes. A world makes a thousand,
# of a few kinds, and a sweep of crashes starts hundreds of worlds.
setattr(binding_constructors, "inspect", SimpleNamespace(signature=cache(signature)))  # noqa: B010

TENANT = "acme"
SELDOM = timedelta(seconds=30)
"""Of timers that look at stored documents: worlds live for virtual hours."""
HOST_JSON: Mapping[str, Any] = {
    "version": "2.0",
    "extensions": {"http": {"routePrefix": ""}, "durableTask": {"hubName": "World"}},
}


class PassingProber:
    """Answers at once; an address that is listed as failing answers 503."""

    def __init__(self) -> None:
        self.failing: set[str] = set()

    async def probe(self, url: str, _timeout_s: float) -> ProbeResult:
        fails = any(part in url for part in self.failing)
        return ProbeResult(not fails, "503" if fails else "200", 3.0)


class InProcessHub(TaskHub):
    """The hub's own endpoints, called without a socket: what the library's client sends."""

    def __init__(self, world: "World") -> None:
        super().__init__()
        self._world = world
        self._rpc = ""

    def attach(self, client: df.DurableOrchestrationClient) -> None:
        url = client._orchestration_bindings.rpc_base_url
        self._rpc = "/" + url.split("/", 3)[3]

    async def start(
        self, orchestration: str, instance_id: str, argument: Mapping[str, Any]
    ) -> None:
        await self._post(f"orchestrators/{orchestration}/{instance_id}", json.dumps(argument))

    async def raise_event(self, instance_id: str, name: str) -> None:
        await self._post(f"instances/{instance_id}/raiseEvent/{name}", json.dumps("nudge"))

    async def _post(self, path: str, text: str) -> None:
        headers = (("content-type", "application/json"),)
        call = HttpCall("POST", self._rpc + path, "", headers, json.dumps(text).encode())
        answer = await self._world.host.handle(call)
        gone = answer.status in {404, 410} and "raiseEvent" in path
        exists = b"already exists" in answer.body
        assert answer.status <= 202 or gone or exists, (path, answer)


@dataclass
class AskedHealth:
    """The `SoakVerdicts` port over health's own route, without a socket."""

    world: "World"

    async def ask(self, services: Sequence[ServiceId], *, token: str) -> Sequence[ServiceHealth]:
        said = []
        for service in services:
            headers = (("authorization", f"Bearer {token}"),)
            call = HttpCall("GET", f"/v1/runtime/services/{service}/health", "", headers, b"")
            answer = await self.world.host.handle(call)
            if answer.status != 200:
                raise NotFound(f"{service}: {answer.status}")
            said.append(ServiceHealth.model_validate_json(answer.body))
        return said


class WorldParts(EmbeddedParts):
    """The parts that the embedded host gives, over what outlives a host of *world*."""

    def __init__(
        self, world: "World", settings: Settings, surfaces: Mapping[ComputeTargetKind, Any]
    ) -> None:
        sender = world._sender()
        if world.is_unruly:
            sender = UnrulySender(sender, world.clock, SeededEntropy(7))
        host = EmbeddedHost(world.clock, world.entropy, sender, world.storage, Path("/nowhere"))
        super().__init__(host, settings)
        self._world, self._surfaces = world, surfaces

    def store(self, container: str) -> Store:
        store: Store = self._world._store(super().store(container), container)
        return store

    def surfaces(self) -> Mapping[ComputeTargetKind, Surface]:
        return self._surfaces

    def vault(self) -> SecretVault:
        return platform_vault(self._world.vaults)

    def vaults(self) -> Vaults:
        return self._world.vaults

    def engine(self) -> InfrastructureEngine:
        return memory_engine(self._world.infrastructure, self._surfaces)

    def images(self) -> Images:
        return NO_IMAGES

    def metrics(self, source: MetricSource) -> Metrics:
        found = self._world.metrics.get(source)
        return super().metrics(source) if found is None else found


class World:
    """Everything that outlives a host.

    `surface` is what runs on this machine, `cluster` in a cluster, `infrastructure` what was built.
    """

    def __init__(
        self,
        *,
        seed: int = 1,
        requests_per_s: float = 0.0,
        is_unruly: bool = False,
        app_settings: Mapping[str, str] | None = None,
    ) -> None:
        """*is_unruly*: messages come several times, late and out of order."""
        self.is_unruly = is_unruly
        self.app_settings = app_settings or {}
        self.clock, self.entropy = LoopClock(), SeededEntropy(seed)
        self.database = MortalDatabase(MEMORY)
        self.storage = LocalStorage(Path("/nowhere"), self.clock, in_memory=True)
        self.surface = MemoryCluster(self.clock, self.entropy, requests_per_s=requests_per_s)
        self.cluster = MemoryCluster(self.clock, self.entropy, requests_per_s=requests_per_s)
        self.cluster.behaviours = self.surface.behaviours
        self.infrastructure = MemoryCloud()
        self.vaults = MemoryVaults(self.clock, SeededEntropy(seed))
        self.repositories: GitRepositories = MemoryRepositories(self.clock)
        self.passwords = MemoryPasswords(SeededEntropy(seed), {"orders-db"})
        self.prober = PassingProber()
        self.configurations_rules = CONFIGURATIONS_RULES
        self.catalog_rules = CatalogRules()
        self.metrics: dict[MetricSource, Metrics] = {}
        """Providers of measurements beside the surface's own."""
        self.fate = Fate()
        self.lists_for_deployments = asyncio.Event()
        self.lists_for_deployments.set()
        self._keys = tempfile.TemporaryDirectory(prefix="keys-")
        self.issuer = LocalIssuer(
            Path(self._keys.name), DEV_ISSUER, AUDIENCE, self.clock, SeededEntropy(seed)
        )
        self.services: dict[str, Service] = {}
        self.host: Host

    async def boot(self, fate: Fate | None = None) -> None:
        """Start a host over what there is, to die as *fate* has it."""
        self.fate = fate or Fate()
        self.database.fate = self.fate
        self.infrastructure.around_write = self.fate.at
        app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
        for bound in self._blueprints():
            app.register_functions(bound)
        self.host = Host(
            [App("runtime", register=app, host_json=HOST_JSON, values={"CosmosDB": "embedded"})],
            HostSettings(threads=0, environ={}),
            folder=Path("/nowhere"),
            database=self.database,
            storage=self.storage,
            clock=self.clock,
            entropy=self.entropy,
        )
        await self.host.start()
        refused = [str(each) for app in self.host.apps for each in app.refusals]
        refused += [str(app.problem) for app in self.host.apps if app.problem]
        assert not refused, refused

    async def kill(self) -> None:
        """Drop the host as SIGKILL would: every task of its ends, nothing is written any more."""
        self.fate.is_dead = True
        me = asyncio.current_task()
        for _ in range(100):
            others = [each for each in asyncio.all_tasks() if each is not me]
            if not others:
                return
            for each in others:
                each.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(*others, return_exceptions=True)

    async def stop(self) -> None:
        await self.kill()
        self._keys.cleanup()

    def _blueprints(self) -> list[df.Blueprint]:
        """Build each app as its own composition does, and give it this world's edges and rules."""
        settings, always = self._settings(), asyncio.Event()
        always.set()
        surfaces = {
            ComputeTargetKind.LOCAL_PROCESS: self._mortal(self.surface, always),
            ComputeTargetKind.AKS: self._mortal(self.cluster, always),
        }
        watched = replace(
            surfaces[ComputeTargetKind.LOCAL_PROCESS], lists=self.lists_for_deployments
        )
        for_deployments = {**surfaces, ComputeTargetKind.LOCAL_PROCESS: watched}
        changes: Sequence[tuple[Any, Mapping[str, Any]]] = (
            (environments, {"rules": EnvironmentsRules()}),
            (
                deployments,
                {
                    "rules": DeploymentsRules(),
                    "surfaces": for_deployments,
                    "verdicts": AskedHealth(self),
                },
            ),
            (catalog, {"rules": self.catalog_rules}),
            (
                health,
                {"rules": HealthRules(observe_every=timedelta(seconds=5)), "prober": self.prober},
            ),
            (configurations, {"rules": self.configurations_rules}),
            (
                secret_bindings,
                {
                    "rules": replace(SECRET_BINDINGS_RULES, watch_every=SELDOM, due_check=SELDOM),
                    "passwords": self.passwords,
                },
            ),
            (tenants, {"rules": TenantsRules(prove_every=SELDOM)}),
            (scaling, {"rules": ScalingRules()}),
            (drift, {"rules": DriftRules(), "repositories": self.repositories}),
        )
        blueprints = []
        for module, changed in changes:
            built = module.build(settings, WorldParts(self, settings, surfaces))
            service = self._service(built.service)
            self.services[service.name] = service
            blueprints.append(module.blueprint(replace(built, service=service, **changed)))
        return blueprints

    def _service(self, built: Service) -> Service:
        """Return *built* with a task hub that needs no socket."""
        hub = InProcessHub(self)
        relay = replace(built.relay, orchestrations=hub)
        return replace(built, hub=hub, relay=relay, work=replace(built.work, relay=relay))

    def _settings(self) -> Settings:
        keys = f"{self._keys.name}/jwks.json"
        return read_settings({ISSUER_KEYS: keys, PROFILE: LOCAL, **self.app_settings})

    def _mortal(self, cluster: MemoryCluster, lists: asyncio.Event) -> Any:
        return MortalSurface(MemorySurface(cluster, has_vault=True), self.fate, lists)

    def _store(self, inner: Store, name: str) -> Any:
        return MortalStore(inner, name, self.fate)

    def _sender(self) -> Any:
        return MortalSender(self.fate)

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        tenant: str = TENANT,
        roles: Sequence[str] = ("Runtime.Admin",),
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Any]:
        """Send one request as *tenant* and return status and decoded body."""
        answer = await self.send(method, path, body, tenant=tenant, roles=roles, headers=headers)
        return answer.status, json.loads(answer.body) if answer.body else None

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        tenant: str = TENANT,
        roles: Sequence[str] = ("Runtime.Admin",),
        headers: Mapping[str, str] | None = None,
    ) -> HttpAnswer:
        """Send one request as *tenant* and return the whole answer."""
        token = self.issuer.token(tenant, "ann", roles)
        sent = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        content = body if isinstance(body, bytes) else b""
        if body is not None and not content:
            content = json.dumps(body).encode()
        where, _, query = path.partition("?")
        if "://" in where:  # a link that an answer gave
            where = "/" + where.split("/", 3)[3]
        call = HttpCall(method, where, query, tuple((sent | dict(headers or {})).items()), content)
        return await self.host.handle(call)

    async def until(
        self, holds: Callable[[], Any], *, within_s: float = 3600.0, every_s: float = 1.0
    ) -> Any:
        """Return the first true result of *holds* (sync or async), or fail the test."""
        give_up_at = self.clock.monotonic_s() + within_s
        while True:
            found = holds()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return found
            assert self.clock.monotonic_s() < give_up_at, f"not within {within_s} s: {holds}"
            await self.clock.sleep(every_s)

    async def documents(self, service: str) -> list[Document]:
        """Return every document of a service's container, by partition and id."""
        store = self.storage.store("runtime", service)
        found: list[Document] = []
        for feed_range in await store.feed_ranges():
            continuation = None
            while (page := await store.changes(feed_range, continuation)).documents:
                found += page.documents
                continuation = page.continuation
        return sorted(found, key=lambda each: (each.partition.values, each.id))
