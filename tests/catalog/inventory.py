"""The catalog over in-memory parts, and what other services tell it."""

from dataclasses import dataclass

from pydantic import BaseModel

from function_apps.catalog.ports import CatalogApp
from function_apps.catalog.triggers import COMMANDS, EVENTS
from function_apps.catalog.use_cases import scan_environments
from shared.messaging.dispatcher import Dispatcher
from shared.messaging.envelope import Envelope
from shared.persistence.store import Document, Partition
from tests.kit.memory_cluster import MemoryCluster
from tests.kit.memory_surface import MemorySurface
from tests.kit.messages import envelope_of
from tests.kit.service import TENANT, Bench, bench
from tests.kit.told import KEY, WEB, service_of


@dataclass
class Catalog:
    bench: Bench
    world: MemoryCluster
    app: CatalogApp
    dispatcher: Dispatcher
    told: int = 0

    async def hear(self, payload: BaseModel, event_id: str | None = None) -> None:
        """Deliver *payload* under an event id of its own, or again under *event_id*."""
        self.told += 1
        envelope = envelope_of(payload, self.told, self.app.service.clock.now())
        if event_id is not None:
            envelope = envelope.model_copy(update={"event_id": event_id})
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
        looked = await scan_environments.scan_due_environments(self.app)
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
            while (page := await store.changes(feed_range, continuation)).documents:
                found += page.documents
                continuation = page.continuation
        return found


def catalog() -> Catalog:
    made = bench("catalog")
    world = MemoryCluster(made.service.clock, made.service.entropy)
    app = CatalogApp(made.service, MemorySurface(world))
    handlers = {**EVENTS, **COMMANDS}
    dispatcher = Dispatcher(
        handlers, app, made.service.work, made.service.clock, made.service.entropy
    )
    return Catalog(made, world, app, dispatcher)
