"""One app as Azure composes it, over Microsoft's SDKs; each of its connections is by a proxy.

Account, namespace, tables, blobs and the Durable extension are served in this process. Only what
has no adapter for Azure yet, surface and engine, is in memory.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

import azure.durable_functions as df
from aiohttp import web

from function_apps.catalog import function_app as catalog
from function_apps.configurations import function_app as configurations
from function_apps.deployments import function_app as deployments
from function_apps.drift import function_app as drift
from function_apps.environments import function_app as environments
from function_apps.health import function_app as health
from function_apps.scaling import function_app as scaling
from function_apps.secret_bindings import function_app as secret_bindings
from function_apps.tenants import function_app as tenants
from local_cloud.broker.broker import Broker
from local_cloud.broker.topology import DEAD_LETTER_SUFFIX
from local_cloud.listeners import (
    CosmosListener,
    Listener,
    ServiceBusListener,
    StorageListener,
    StoragePorts,
)
from local_cloud.runtime_topology import runtime_topology
from local_cloud.sqlite.database import MEMORY, Database
from local_cloud.storage import LocalStorage
from shared.composition.azure import AzureParts
from shared.composition.settings import (
    GATEWAY,
    ISSUER_KEYS,
    LOCAL,
    PROFILE,
    Settings,
    read_settings,
)
from shared.contracts.entities import RUNTIME_EVENTS, command_queue
from shared.contracts.storage import ARTIFACTS, AUDIT, CONTAINERS, DATABASE, TABLES
from shared.contracts.values import ComputeTargetKind
from shared.contracts.values import Service as ServiceName
from shared.infrastructure.port import InfrastructureEngine
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.messaging.audit import AuditTrail, Entry
from shared.messaging.broker import OutgoingMessage
from shared.messaging.dead_letters import RENEWED_FOR_S
from shared.messaging.entity_path import subscription_path
from shared.persistence.cosmos_account import CosmosAccount, string_parts
from shared.persistence.storage_account import StorageAccount
from shared.persistence.store import Delete, Document, Store, Upsert
from shared.surfaces.port import Surface
from shared.vault.port import SecretVault, Vaults
from shared.web.dead_letters import COMMANDS, EVENTS, PREFIX
from shared.web.issuer import AUDIENCE, DEV_ISSUER, LocalIssuer
from tests.kit.cosmos import KEY
from tests.kit.costs import is_of_the_relay
from tests.kit.cut_proxy import CutProxy
from tests.kit.durable_extension import DurableExtension
from tests.kit.memory_cluster import MemoryCluster
from tests.kit.memory_engine import MemoryCloud, memory_engine
from tests.kit.memory_surface import MemorySurface
from tests.kit.memory_vaults import MemoryVaults, platform_vault
from tests.kit.seeded_entropy import SeededEntropy
from tests.kit.service import TENANT
from tests.kit.service_bus_wire import ShiftedClock
from tests.kit.stores import HandClock, all_changes

APPS: Final[Mapping[str, Any]] = {
    "environments": environments,
    "deployments": deployments,
    "catalog": catalog,
    "health": health,
    "configurations": configurations,
    "secret_bindings": secret_bindings,
    "tenants": tenants,
    "scaling": scaling,
    "drift": drift,
}
_RATES: Final = (
    "RUNTIME_RATE_PER_S", "RUNTIME_RATE_BURST", "RUNTIME_WRITES_PER_S", "RUNTIME_WRITES_BURST",
    "RUNTIME_FOLLOWS_PER_S", "RUNTIME_FOLLOWS_BURST",
)  # fmt: skip
READ, BATCH, RELAY = "read", "batch", "relay"
COSMOS, BUS, TABLE, BLOB = "Cosmos DB", "Service Bus", "Table storage", "Blob storage"
DURABLE = "Durable"


class SetClock(HandClock):
    """A clock that a test sets; what is counted in intervals never goes back."""

    def __init__(self) -> None:
        super().__init__()
        self._passed_s = 0.0

    def set(self, at: datetime) -> None:
        self._passed_s += 60.0
        self.at = at

    def monotonic_s(self) -> float:
        return self._passed_s

    async def sleep(self, delay_s: float) -> None:
        self.pass_by(delay_s)

    def pass_by(self, seconds: float) -> None:
        super().pass_by(seconds)
        self._passed_s += seconds


class AcceptingBroker(Broker):
    """A namespace that remembers what it accepted."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.accepted: list[tuple[str, OutgoingMessage]] = []

    async def send(self, entity: str, messages: Sequence[OutgoingMessage]) -> None:
        await super().send(entity, messages)
        self.accepted += [(entity, message) for message in messages]


class CountedStore:
    """Counts what its app asks of the store that it stands for."""

    def __init__(self, inner: Store, calls: Counter[str]) -> None:
        self._inner, self._calls = inner, calls

    def __getattr__(self, name: str) -> Any:
        asked = getattr(self._inner, name)

        async def ask(*arguments: Any, **options: Any) -> Any:
            is_batch = name == "batch"
            is_relay = is_batch and is_of_the_relay(arguments[1])
            self._calls[RELAY if is_relay else BATCH if is_batch else READ] += 1
            return await asked(*arguments, **options)

        return ask


class WireParts(AzureParts):
    """Azure's parts, with a surface and an engine in memory."""

    def __init__(self, settings: Settings, clock: SetClock) -> None:
        super().__init__(settings)
        self.clock, self.entropy = clock, SeededEntropy(1)
        self.world = MemoryCluster(clock, self.entropy)
        self.cloud = MemoryCloud()
        self.calls: Counter[str] = Counter()
        self.opened = MemoryVaults(clock, self.entropy)

    def store(self, container: str) -> Store:
        counted: Any = CountedStore(super().store(container), self.calls)
        return counted

    def surfaces(self) -> Mapping[ComputeTargetKind, Surface]:
        return {ComputeTargetKind.LOCAL_PROCESS: MemorySurface(self.world)}

    def engine(self) -> InfrastructureEngine:
        return memory_engine(self.cloud)

    def vault(self) -> SecretVault:
        return platform_vault(MemoryVaults(self.clock, self.entropy))

    def vaults(self) -> Vaults:
        return self.opened

    async def disconnect(self) -> None:
        """Close the connections to the account and to storage; they are opened when next used."""
        await self._account.close()
        await self._storage.close()

    async def close(self) -> None:
        await self.disconnect()
        await self._messages.close()


@dataclass(frozen=True)
class Delivery:
    """A message as a Service Bus trigger gives it to its function."""

    message: OutgoingMessage

    @property
    def application_properties(self) -> Mapping[str, Any]:
        return self.message.application_properties

    @property
    def content_type(self) -> str:
        return self.message.content_type

    def get_body(self) -> bytes:
        return self.message.body


class Gateway:
    """Answers GET with what it is given, by path, as the gateway of all apps would."""

    def __init__(self) -> None:
        self.answers: Mapping[str, str] = {}
        self.port = 0
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = int(self._runner.addresses[0][1])
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        return web.json_response(text=self.answers[request.path])


@dataclass
class Wires:
    """An app with its endpoints, and the proxies between them."""

    service: str
    clock: SetClock
    storage: LocalStorage
    files: LocalStorage
    """Tables and blobs."""
    broker: AcceptingBroker
    broker_clock: ShiftedClock
    extension: DurableExtension
    proxies: Mapping[str, CutProxy]
    parts: WireParts
    issuer: LocalIssuer
    gateway: Gateway
    functions: Mapping[str, Callable[..., Any]]

    async def run(self, function: str, **arguments: Any) -> Any:
        """Run a function of the app as its host does."""
        proxy = self.proxies.get(DURABLE)
        client = DurableExtension.binding_value(proxy.port if proxy else self.extension.port)
        return await self.functions[f"{self.service}_{function}"](**arguments, client=client)

    async def documents(self) -> list[Document]:
        return await all_changes(self.storage.store(DATABASE, self.service))

    async def restore(self, documents: Sequence[Document], blobs: Mapping[str, bytes]) -> None:
        """Have *documents* and *blobs* and no others, and nothing sent or started."""
        store = self.storage.store(DATABASE, self.service)
        for each in await self.documents():
            await store.batch(each.partition, [Delete(each.id)])
        for each in documents:
            await store.batch(each.partition, [Upsert(each.id, each.body)])
        await self._restore_blobs(blobs)
        self.broker.accepted.clear()
        self.extension.begin(each.body["operation_id"] for each in documents if is_open(each))
        await self.files.table(AUDIT).delete_before(f"{self.service}|{TENANT}", "~")
        self.parts.calls.clear()
        for proxy in self.proxies.values():
            proxy.forget()

    def end_locks(self) -> None:
        """Have the locks of messages run out, as they do some time after their client is gone."""
        self.broker_clock.ahead_s += 2 * RENEWED_FOR_S

    async def give_up(self, message: OutgoingMessage, *, is_command: bool) -> str:
        """Have *message*, and no other, as a dead letter of the app; return its id."""
        service = ServiceName(self.service)
        queue, topic = (
            command_queue(service),
            subscription_path(RUNTIME_EVENTS, service.public_name),
        )
        self.end_locks()
        for path in (queue, topic, f"{queue}{DEAD_LETTER_SUFFIX}", f"{topic}{DEAD_LETTER_SUFFIX}"):
            while self.broker.peek(path):
                for left in await self.broker.lock(path, 1000):
                    await self.broker.complete(left)
                await SystemClock().sleep(0.01)
        path, word = (queue, COMMANDS) if is_command else (topic, EVENTS)
        await Broker.send(self.broker, queue if is_command else RUNTIME_EVENTS, [message])
        (received,) = await self.broker.lock(path, 1)
        await self.broker.dead_letter(received, "Defect")
        (letter,) = self.broker.peek(f"{path}{DEAD_LETTER_SUFFIX}")
        return f"{PREFIX}{service.public_name}-{word}-{letter.sequence_number}"

    async def _restore_blobs(self, blobs: Mapping[str, bytes]) -> None:
        container = self.files.blobs(ARTIFACTS)
        there = {each.name for each in await container.list_stored("")}
        for name in there - blobs.keys():
            await container.delete(name)
        for name in blobs.keys() - there:
            await container.put(name, _chunk(blobs[name]))

    async def entries(self) -> Sequence[Entry]:
        """Return the audit trail of the tenant, which must be unbroken."""
        audit = AuditTrail(self.files.table(AUDIT), self.service)
        assert await audit.verify(TENANT) is None
        return await audit.entries(TENANT, limit=1000)


def functions_of(blueprint: df.Blueprint) -> Mapping[str, Callable[..., Any]]:
    """Return the functions that a host would find, by name."""
    app = df.DFApp()
    app.register_functions(blueprint)
    return {each.get_function_name(): each.get_user_function() for each in app.get_functions()}


@asynccontextmanager
async def wired(service: str, folder: Path, *, is_proxied: bool = True) -> AsyncIterator[Wires]:
    """Serve what *service* needs, and connect it; *folder* has the issuer's key and the blobs."""
    clock, machine, entropy = SetClock(), SystemClock(), SystemEntropy()
    documents = LocalStorage(folder, clock, in_memory=True)
    files = LocalStorage(folder / "storage", machine, in_memory=False)
    ahead = ShiftedClock()
    broker = AcceptingBroker(Database(MEMORY), runtime_topology(), clock=ahead, entropy=entropy)
    cosmos = CosmosListener(documents, 0, KEY)
    bus = ServiceBusListener(broker, 0, KEY, clock=machine, entropy=entropy)
    storage = StorageListener(files, StoragePorts(), KEY, clock=machine, entropy=entropy)
    extension, gateway = DurableExtension(), Gateway()
    async with AsyncExitStack() as opened:
        for each in (broker, cosmos, bus, storage):
            await each.start()
            opened.push_async_callback(each.stop)
        await opened.enter_async_context(extension)
        await opened.enter_async_context(gateway)
        await _declare(service, cosmos.connection, storage.connection)
        ports = {
            name: _port(url)
            for each in (cosmos, bus, storage)
            for name, url in each.addresses.items()
        }
        ports = {**ports, DURABLE: extension.port} if is_proxied else {}
        proxies = {
            name: await opened.enter_async_context(CutProxy(port)) for name, port in ports.items()
        }
        issuer = LocalIssuer(folder, DEV_ISSUER, AUDIENCE, clock, entropy)
        issuer.token(TENANT, "ann", [])  # the first one makes the key
        settings = read_settings(
            {
                PROFILE: LOCAL,
                **dict.fromkeys(_RATES, "1e9"),
                ISSUER_KEYS: str(folder / "jwks.json"),
                GATEWAY: f"http://127.0.0.1:{gateway.port}",
                **{each.setting: _through(each, proxies) for each in (cosmos, bus, storage)},
            }
        )
        parts = WireParts(settings, clock)
        opened.push_async_callback(parts.close)
        app = APPS[service].build(settings, parts)
        functions = functions_of(APPS[service].blueprint(app))
        yield Wires(
            service, clock, documents, files, broker, ahead, extension, proxies, parts, issuer,
            gateway, functions,
        )  # fmt: skip


async def _declare(service: str, account: str, storage: str) -> None:
    """Make what the infrastructure program makes in Azure."""
    endpoint, key = string_parts(account)
    documents, files = CosmosAccount(endpoint, key=key), StorageAccount(connection_string=storage)
    await documents.create(DATABASE, service)
    await documents.close()
    for table in TABLES:
        await files.create_table(table)
    for container in CONTAINERS:
        await files.create_container(container)
    await files.close()


def _port(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None, url
    return port


def _through(listener: Listener, proxies: Mapping[str, CutProxy]) -> str:
    """Return what an app is given that reaches *listener* by the proxies before it."""
    connection = listener.connection
    for name, url in listener.addresses.items():
        if name in proxies:
            connection = connection.replace(f":{_port(url)}", f":{proxies[name].port}")
    return connection


def is_open(document: Document) -> bool:
    """Return whether *document* is of an operation that runs."""
    body = document.body
    return body.get("type") == "operation" and body["status"] in {"NotStarted", "Running"}


async def _chunk(content: bytes) -> AsyncIterator[bytes]:
    yield content
