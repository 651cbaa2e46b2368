"""The parts that every service has, built in one way."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shared.composition.azure import AzureParts
from shared.composition.embedded import installed_host
from shared.composition.parts import Parts
from shared.composition.settings import audience, issuers
from shared.durable.task_hub import TaskHub
from shared.kernel.concurrency import FairTurns
from shared.messaging.audit import AuditTrail
from shared.messaging.relay import Relay
from shared.messaging.service_parts import ServiceParts
from shared.messaging.sweep import SweepLog
from shared.messaging.unit_of_work import UnitOfWork
from shared.web.authentication import Authenticator
from shared.web.rate_limit import Rates, rates

WRITES_AT_ONCE: Final = 8
"""Of all tenants. More would end no sooner: they share one processor, and one disk."""


@dataclass(frozen=True, kw_only=True)
class Service(ServiceParts):
    """One service with its relay, task hub, authenticator and rates."""

    relay: Relay
    hub: TaskHub
    authenticator: Authenticator
    rates: Rates
    write_turns: FairTurns
    settings: Mapping[str, str]


def parts_for(settings: Mapping[str, str]) -> Parts:
    """Return the parts of the embedded host in whose process this runs, else those of Azure."""
    host = installed_host()
    return AzureParts(settings) if host is None else host.parts(settings)


def build_service(name: str, settings: Mapping[str, str], parts: Parts) -> Service:
    """Return the common parts of the service *name*.

    Raises:
        InvalidSetting: a setting is missing or names nothing that exists.
        PartNotSupported: the composition lacks a part.
    """
    trusted = issuers(settings)
    store, hub, sweeps = parts.store(name), TaskHub(), SweepLog()
    audit = AuditTrail(parts.table("audit"), name)
    public_name = name.replace("_", "-")
    relay = Relay(public_name, store, parts.sender(), hub, audit, parts.clock, sweeps)
    return Service(
        name=name,
        public_name=public_name,
        store=store,
        work=UnitOfWork(name, store, relay),
        relay=relay,
        hub=hub,
        audit=audit,
        authenticator=Authenticator(
            parts.keys(),
            issuers=trusted,
            audience=audience(settings),
            clock=parts.clock,
        ),
        rates=rates(settings, parts.clock),
        write_turns=FairTurns(WRITES_AT_ONCE),
        clock=parts.clock,
        entropy=parts.entropy,
        settings=settings,
        sweeps=sweeps,
    )
