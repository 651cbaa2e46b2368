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

from function_apps.catalog.ports import CatalogApp, CatalogRules
from function_apps.catalog.triggers import blueprint as catalog_blueprint
from function_apps.configurations.ports import LOCAL_RULES as CONFIGURATIONS_RULES
from function_apps.configurations.ports import ConfigurationsApp
from function_apps.configurations.triggers import blueprint as configurations_blueprint
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.triggers import blueprint as deployments_blueprint
from function_apps.drift.ports import DriftApp, DriftRules, webhook_rate
from function_apps.drift.triggers import blueprint as drift_blueprint
from function_apps.environments.ports import EnvironmentsApp
from function_apps.environments.triggers import blueprint as environments_blueprint
from function_apps.health.ports import HealthApp, HealthRules, no_metrics
from function_apps.health.triggers import blueprint as health_blueprint
from function_apps.scaling.ports import ScalingApp
from function_apps.scaling.ports import ScalingRules as ScalingNumbers
from function_apps.scaling.triggers import blueprint as scaling_blueprint
from function_apps.secret_bindings.ports import LOCAL_RULES as SECRET_BINDINGS_RULES
from function_apps.secret_bindings.ports import SecretBindingsApp
from function_apps.secret_bindings.triggers import blueprint as secret_bindings_blueprint
from function_apps.tenants.ports import (
    SIGNING_KEY,
    TenantsApp,
    TenantsRules,
)
from function_apps.tenants.triggers import blueprint as tenants_blueprint
from local_cloud.sqlite.database import MEMORY
from local_cloud.storage import LocalStorage
from local_host.embedded_parts import EmbeddedHost, EmbeddedParts
from local_host.host import Host, HostSettings
from local_host.model import App, HttpAnswer, HttpCall
from shared.composition.prod_policy import prod_policy
from shared.composition.service import Service, build_service
from shared.composition.settings import ISSUER_KEYS, LOCAL, PROFILE, Settings, read_settings
from shared.contracts.health import ServiceHealth
from shared.contracts.metrics import MetricSource
from shared.contracts.storage import (
    ARTIFACTS,
    AUDIT,
    AUDIT_HEADS,
    CONFIGURATION_REPORTS,
    DRIFT_SNAPSHOTS,
    HEALTH_SAMPLES,
    LOGS,
    SCALING_SAMPLES,
)
from shared.contracts.values import ComputeTargetKind, ServiceId
from shared.durable.task_hub import TaskHub
from shared.git.port import GitRepositories
from shared.kernel.errors import NotFound
from shared.messaging.audit_heads import HeadAnchors
from shared.messaging.unit_of_work import UnitOfWork
from shared.metrics.port import Metrics
from shared.metrics.surface_metrics import SurfaceMetrics
from shared.passwords.webhooks import SignedWebhooks
from shared.persistence.store import Document, Store
from shared.policies.prod_policy import ProdPolicy
from shared.probing.result import ProbeResult
from shared.surfaces.joined_readers import joined
from shared.surfaces.reader_ports import (
    attempt_readers,
    author_readers,
    boundary_readers,
    site_readers,
)
from shared.vault.signing_keys import SigningKeys
from shared.web.issuer import AUDIENCE, DEV_ISSUER, LocalIssuer
from shared.web.long_polls import Followers
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
        always = asyncio.Event()
        always.set()
        surface: Any = self._mortal(self.surface, always)
        deployed: Any = replace(surface, lists=self.lists_for_deployments)
        cluster: Any = self._mortal(self.cluster, always)
        kinds = (ComputeTargetKind.LOCAL_PROCESS, ComputeTargetKind.AKS)
        sites = dict(zip(kinds, (surface, cluster), strict=True))
        engine = memory_engine(self.infrastructure, sites)
        everywhere = joined([surface, cluster])
        self.services = {
            name: self._service(name)
            for name in (
                "environments",
                "deployments",
                "catalog",
                "health",
                "configurations",
                "secret_bindings",
                "tenants",
                "scaling",
                "drift",
            )
        }
        return [
            environments_blueprint(
                EnvironmentsApp(
                    self.services["environments"], engine, sites, prod_policy=self._policy()
                )
            ),
            deployments_blueprint(
                DeploymentsApp(
                    self.services["deployments"],
                    {**sites, ComputeTargetKind.LOCAL_PROCESS: deployed},
                    self.storage.blobs(ARTIFACTS),
                    self.storage.blobs(LOGS),
                    HeadAnchors(self.storage.table(AUDIT), self.storage.blobs(AUDIT_HEADS)),
                    NO_IMAGES,
                    AskedHealth(self),
                    prod_policy=self._policy(),
                )
            ),
            catalog_blueprint(CatalogApp(self.services["catalog"], everywhere, self.catalog_rules)),
            health_blueprint(
                HealthApp(
                    self.services["health"],
                    everywhere,
                    self.prober,
                    self.storage.table(HEALTH_SAMPLES),
                    HealthRules(observe_every=timedelta(seconds=5)),
                    metrics=self.metrics.__getitem__ if self.metrics else no_metrics,
                )
            ),
            configurations_blueprint(
                ConfigurationsApp(
                    self.services["configurations"],
                    self.storage.table(CONFIGURATION_REPORTS),
                    Followers(self.clock),
                    self.configurations_rules,
                )
            ),
            secret_bindings_blueprint(
                SecretBindingsApp(
                    self.services["secret_bindings"],
                    self.vaults,
                    self.passwords,
                    SignedWebhooks(self.clock),
                    replace(SECRET_BINDINGS_RULES, watch_every=SELDOM, due_check=SELDOM),
                )
            ),
            tenants_blueprint(
                TenantsApp(
                    self.services["tenants"],
                    boundary_readers(sites),
                    sites,
                    SigningKeys(platform_vault(self.vaults), SIGNING_KEY),
                    TenantsRules(prove_every=SELDOM),
                    attempts=attempt_readers(sites),
                )
            ),
            scaling_blueprint(
                ScalingApp(
                    self.services["scaling"],
                    sites,
                    {
                        MetricSource.SURFACE: SurfaceMetrics(everywhere, self.clock),
                        **self.metrics,
                    }.__getitem__,
                    self.storage.table(SCALING_SAMPLES),
                    ScalingNumbers(),
                    self._policy(),
                )
            ),
            drift_blueprint(
                DriftApp(
                    self.services["drift"],
                    everywhere,
                    site_readers(sites),
                    boundary_readers(sites),
                    author_readers(sites),
                    self.storage.table(DRIFT_SNAPSHOTS),
                    self.repositories,
                    self.vaults,
                    webhook_rate(self.clock),
                    DriftRules(),
                )
            ),
        ]

    def _service(self, name: str) -> Service:
        sender = self._sender()
        if self.is_unruly:
            sender = UnrulySender(sender, self.clock, SeededEntropy(7))
        host = EmbeddedHost(self.clock, self.entropy, sender, self.storage, Path("/nowhere"))
        settings = self._settings()
        whole = build_service(name, settings, EmbeddedParts(host, settings))
        hub = InProcessHub(self)
        store = self._store(whole.store, name)
        relay = replace(whole.relay, store=store, sender=sender, orchestrations=hub)
        work = UnitOfWork(name, store, relay)
        changed = {"store": store, "relay": relay, "work": work, "hub": hub}
        return Service(**{**vars(whole), **changed})

    def _settings(self) -> Settings:
        keys = f"{self._keys.name}/jwks.json"
        return read_settings({ISSUER_KEYS: keys, PROFILE: LOCAL, **self.app_settings})

    def _policy(self) -> ProdPolicy | None:
        return prod_policy(self._settings(), self.clock)

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
