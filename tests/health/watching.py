"""Health over in-memory parts: what it is told, what its prober and its surface show."""

from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from function_apps.health.model.probe_target import ProbeTarget
from function_apps.health.ports import HealthApp
from function_apps.health.repository import TARGETS
from function_apps.health.triggers import COMMANDS, EVENTS
from function_apps.health.use_cases import queries, sweep
from shared.contracts.health import ServiceHealth
from shared.kernel.context import Context
from shared.messaging.dispatcher import Dispatcher
from shared.messaging.envelope import Envelope
from shared.persistence.store import Document, Partition
from shared.probing.health_body import ReportedHealth
from shared.probing.result import DENIED, ProbeResult
from tests.kit.memory_cluster import MemoryCluster
from tests.kit.memory_surface import MemorySurface
from tests.kit.messages import envelope_of
from tests.kit.service import TENANT, Bench, bench
from tests.kit.told import KEY, WEB, service_of

QUEUE = "runtime-health-commands"


@dataclass
class Prober:
    """Answers 200 but for what is listed; remembers what it was asked and how many at once."""

    world: MemoryCluster
    failing: set[str] = field(default_factory=set)
    code: str = "503"
    """Of the answer that fails; a word where there is none."""
    may_ask: bool = True
    """Whether instances are in a network that it may ask."""
    reported: ReportedHealth | None = None
    takes_s: float = 0.0
    asked: list[tuple[str, float]] = field(default_factory=list)
    now_asking: int = 0
    most_at_once: int = 0

    async def probe(self, url: str, timeout_s: float) -> ProbeResult:
        self.asked.append((url, timeout_s))
        self.now_asking += 1
        self.most_at_once = max(self.most_at_once, self.now_asking)
        await self.world.clock.sleep(self.takes_s)
        self.now_asking -= 1
        if not self.may_ask:
            return ProbeResult(passed=False, code=DENIED, latency_ms=0.0)
        fails = any(part in url for part in self.failing)
        return ProbeResult(not fails, self.code if fails else "200", 3.0, self.reported)


@dataclass
class Health:
    bench: Bench
    world: MemoryCluster
    prober: Prober
    app: HealthApp
    dispatcher: Dispatcher
    heard: int = 0

    @property
    def ctx(self) -> Context:
        return self.bench.ctx()

    async def hear(self, payload: BaseModel, event_id: str | None = None) -> None:
        """Deliver *payload* under an event id of its own, or again under *event_id*."""
        self.heard += 1
        envelope = envelope_of(payload, self.heard, self.app.service.clock.now())
        if event_id is not None:
            envelope = envelope.model_copy(update={"event_id": event_id})
        await self.dispatcher.dispatch(envelope)

    async def hear_all(self, *payloads: BaseModel) -> None:
        for each in payloads:
            await self.hear(each)
            await self.settle()

    async def settle(self) -> None:
        """Hand over what health has sent itself."""
        sent = self.bench.sent.messages
        mine = [message for entity, message in sent if entity == QUEUE]
        sent[:] = [each for each in sent if each[0] != QUEUE]
        for message in mine:
            await self.dispatcher.dispatch(Envelope.model_validate_json(message.body))

    async def sweep(self, after_s: float = 30.0) -> int:
        await self.app.service.clock.sleep(after_s)
        return await sweep.probe_due_services(self.app)

    async def delete_old_samples(self) -> int:
        return await sweep.delete_old_samples(self.app)

    async def document(self, module: str = WEB) -> Document | None:
        partition = Partition(TENANT, KEY, service_of(module))
        return await self.app.service.store.read(partition, "target")

    async def target(self, module: str = WEB) -> ProbeTarget:
        document = await self.document(module)
        assert document is not None, module
        return TARGETS.decode(document.body)

    async def health(self, module: str = WEB) -> ServiceHealth:
        return await queries.get_health(service_of(module), self.ctx, self.app)

    def told(self) -> list[dict[str, Any]]:
        return [each["payload"] for each in self.bench.sent.bodies("HealthCheckCompleted")]


def health(**changes: Any) -> Health:
    made = bench("health")
    world = MemoryCluster(made.service.clock, made.service.entropy)
    prober = Prober(world)
    samples = made.storage.table("healthsamples")
    app = HealthApp(made.service, MemorySurface(world), prober, samples, **changes)
    dispatcher = Dispatcher(
        {**EVENTS, **COMMANDS}, app, made.service.work, made.service.clock, made.service.entropy
    )
    return Health(made, world, prober, app, dispatcher)
