"""One service over in-memory parts, for tests of use cases, activities and orchestrations."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from local_cloud.storage import LocalStorage
from local_host.embedded_parts import EmbeddedHost, EmbeddedParts
from shared.composition.service import Service, build_service
from shared.composition.settings import LOCAL, PROFILE, read_settings
from shared.kernel.clock import Clock
from shared.kernel.context import Cause, Context, Scope
from shared.kernel.ids import TenantId
from shared.messaging.broker import OutgoingMessage
from shared.messaging.unit_of_work import UnitOfWork
from shared.persistence.store import Store
from tests.kit.drive import RecordedStarts
from tests.kit.seeded_entropy import SeededEntropy
from tests.kit.virtual_time import LoopClock

TENANT = TenantId("acme")
SCOPE = Scope(TENANT, "user:ann")
CAUSE = Cause("user:ann", "request", "test", "trace-1", "corr-1")


@dataclass
class Sent:
    """The `MessageSender` port: keeps what was sent, by entity."""

    messages: list[tuple[str, OutgoingMessage]] = field(default_factory=list)

    async def send(self, entity: str, messages: Sequence[OutgoingMessage]) -> None:
        self.messages += [(entity, message) for message in messages]

    def bodies(self, message_type: str = "", since: int = 0) -> Sequence[Mapping[str, Any]]:
        """Return the envelopes sent after the first *since*, of one type when it is named."""
        decoded = [json.loads(message.body) for _, message in self.messages[since:]]
        return [each for each in decoded if message_type in {"", each["eventType"]}]

    def types(self) -> Sequence[str]:
        return [each["eventType"] for each in self.bodies()]


@dataclass
class Bench:
    """A service, and what left it."""

    service: Service
    sent: Sent
    starts: RecordedStarts
    storage: LocalStorage

    def ctx(self, scope: Scope = SCOPE, **cause: Any) -> Context:
        """Return the context of a request, its cause changed as given."""
        changed = replace(CAUSE, **cause)
        return Context(scope, changed, self.service.clock, self.service.entropy)


def memory_storage(clock: Clock) -> LocalStorage:
    return LocalStorage(Path("/nowhere"), clock, in_memory=True)


def bench(
    name: str,
    *,
    seed: int = 1,
    settings: Mapping[str, str] | None = None,
    around: Callable[[Store], Store] = lambda store: store,
) -> Bench:
    """Return the service *name* over empty in-memory parts, on the running loop's time.

    What is *around* its store is asked by its use cases, and not by its relay.
    """
    clock, entropy = LoopClock(), SeededEntropy(seed)
    storage, sent, starts = memory_storage(clock), Sent(), RecordedStarts()
    host = EmbeddedHost(clock, entropy, sent, storage, Path("/nowhere"))
    chosen = read_settings({PROFILE: LOCAL, **(settings or {})})
    whole = build_service(name, chosen, EmbeddedParts(host, chosen))
    relay = replace(whole.relay, sender=sent, orchestrations=starts)
    store = around(whole.store)
    service = Service(
        **{
            **vars(whole),
            "store": store,
            "relay": relay,
            "work": UnitOfWork(name, store, relay),
        }
    )
    return Bench(service, sent, starts, storage)
