"""What every one of the nine services is made of, and how it is composed from settings.

A composition root asks `compose` for its `Service`, adds its own ports, and binds its triggers.
Settings are app settings (environment variables in Azure). `RUNTIME_STORE` is `embedded` (a part of
the embedding host) or a Cosmos DB account endpoint that managed identity opens.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared.durable.binding import TaskHub
from shared.embedding import Embedding, required_embedding
from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy
from shared.messaging.audit import AuditTrail
from shared.messaging.relay import Relay
from shared.messaging.unit_of_work import UnitOfWork
from shared.persistence.store import Store
from shared.web.authentication import Authenticator, FileKeys
from shared.web.issuer import AUDIENCE, DEV_ISSUER
from shared.web.rate_limit import RateLimit, rate_limit

DATABASE: Final = "runtime"
DEV_KEYS: Final = "issuer/jwks.json"


@dataclass(frozen=True)
class Service:
    """One service's store, write path, relay, task hub, audit trail and authenticator.

    `name` is the Python name (`secret_bindings`), `outside_name` what ids and queues say.
    """

    name: str
    store: Store
    work: UnitOfWork
    relay: Relay
    hub: TaskHub
    audit: AuditTrail
    authenticator: Authenticator
    rate_limit: RateLimit
    clock: Clock
    entropy: Entropy
    settings: Mapping[str, str]
    folder: Path

    @property
    def outside_name(self) -> str:
        return self.name.replace("_", "-")


def is_local(settings: Mapping[str, str]) -> bool:
    """Return whether the profile with the short waits was chosen, for work on one machine."""
    return settings.get("RUNTIME_PROFILE", "local") == "local"


def compose(name: str, settings: Mapping[str, str]) -> Service:
    """Return the parts of the service *name* as *settings* choose them.

    Raises:
        Invalid: a setting is missing or names nothing that exists.
    """
    return assemble(name, settings, required_embedding())


def assemble(name: str, settings: Mapping[str, str], parts: Embedding) -> Service:
    """Return the parts of the service *name* over what an embedding host offers."""
    store = parts.storage.store(DATABASE, name)
    hub = TaskHub()
    audit = AuditTrail(parts.storage.table("audit"), name)
    relay = Relay(store, parts.sender, hub, audit, parts.clock)
    keys = FileKeys(Path(settings.get("RUNTIME_ISSUER_KEYS") or parts.folder / DEV_KEYS))
    return Service(
        name=name,
        store=store,
        work=UnitOfWork(name, store, relay, parts.clock, parts.entropy),
        relay=relay,
        hub=hub,
        audit=audit,
        authenticator=Authenticator(
            keys,
            issuers=settings.get("RUNTIME_ISSUERS", DEV_ISSUER).split(),
            audience=settings.get("RUNTIME_AUDIENCE", AUDIENCE),
            clock=parts.clock,
        ),
        rate_limit=rate_limit(settings, parts.clock),
        clock=parts.clock,
        entropy=parts.entropy,
        settings=settings,
        folder=parts.folder / name,
    )
