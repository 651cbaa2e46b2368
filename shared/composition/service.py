"""The parts that every service has, built in one way."""

from collections.abc import Callable, Collection, Mapping
from typing import Final

from shared.composition.azure import AzureParts
from shared.composition.embedded import installed_host, is_embedded
from shared.composition.parts import Parts
from shared.composition.settings import (
    EVERY_APP,
    InvalidSetting,
    Need,
    Settings,
    read_settings,
    tenancy,
)
from shared.composition.telemetry_settings import TELEMETRY
from shared.contracts.storage import AUDIT
from shared.durable.task_hub import TaskHub
from shared.kernel.concurrency import FairTurns
from shared.kernel.dataclass import dataclass
from shared.messaging.audit import AuditTrail
from shared.messaging.dead_letters import DeadLetters
from shared.messaging.relay import Relay
from shared.messaging.service_parts import ServiceParts
from shared.messaging.sweep import SweepLog
from shared.messaging.unit_of_work import UnitOfWork
from shared.telemetry.exporters import PROMETHEUS, telemetry
from shared.web.authentication import Authenticator
from shared.web.rate_limit import RateLimit, Rates

WRITES_AT_ONCE: Final = 8
"""Of all tenants. More would end no sooner: they share one processor, and one disk."""


@dataclass(frozen=True, kw_only=True)
class Service(ServiceParts):
    """One service with its relay, task hub, authenticator, rates and dead letters."""

    relay: Relay
    hub: TaskHub
    authenticator: Authenticator
    rates: Rates
    write_turns: FairTurns
    dead_letters: Callable[[], DeadLetters]
    """Opens those of the namespace, for an operator who asks."""


def composition(
    environ: Mapping[str, str], needs: Collection[Need] = EVERY_APP
) -> tuple[Settings, Parts]:
    """Return the settings of an app and its parts.

    Those are the embedded host's where there is one around it and no connection is named, else
    Azure's, which need the connections *needs*.

    Raises:
        InvalidSetting: with all that is wrong in *environ*.
    """
    settings, parts = _parts(environ, needs)
    if settings.telemetry:
        from shared.composition.recorded_parts import recorded_parts  # noqa: PLC0415  if configured

        parts = recorded_parts(parts)
    return settings, parts


def _parts(environ: Mapping[str, str], needs: Collection[Need]) -> tuple[Settings, Parts]:
    host = installed_host()
    if host is not None:
        settings = read_settings(environ)
        if not settings.has_connections:
            return settings, host.parts(settings)
    settings = read_settings(environ, needs)
    if PROMETHEUS in settings.telemetry and not is_embedded():
        raise InvalidSetting(
            f"{TELEMETRY}={PROMETHEUS}: figures are read from the embedded host only; expected"
            " otlp or applicationinsights",
            target=TELEMETRY,
        )
    return settings, AzureParts(settings)


def build_service(name: str, settings: Settings, parts: Parts) -> Service:
    """Return the common parts of the service *name*.

    Raises:
        PartNotSupported: the composition lacks a part.
        ExporterNotInstalled: a package of an exporter is missing.
    """
    store, hub, sweeps = parts.store(name), TaskHub(), SweepLog()
    audit = AuditTrail(parts.table(AUDIT), name)
    public_name = name.replace("_", "-")
    recorder = telemetry(
        settings.exporters,
        public_name,
        parts.clock,
        parts.entropy,
        host_has_spans=parts.host_has_spans,
    )
    relay = Relay(public_name, store, parts.sender(), hub, audit, parts.clock, sweeps, recorder)
    return Service(
        name=name,
        public_name=public_name,
        store=store,
        work=UnitOfWork(name, store, relay, settings.retention),
        relay=relay,
        hub=hub,
        audit=audit,
        authenticator=Authenticator(
            parts.keys(),
            issuers=settings.issuers,
            audience=settings.audience,
            tenancy=tenancy(settings),
            clock=parts.clock,
        ),
        rates=Rates(
            RateLimit(settings.rate_per_s, int(settings.rate_burst), parts.clock, "requests"),
            RateLimit(settings.writes_per_s, int(settings.writes_burst), parts.clock, "writes"),
            RateLimit(settings.follows_per_s, int(settings.follows_burst), parts.clock, "follows"),
        ),
        write_turns=FairTurns(WRITES_AT_ONCE),
        dead_letters=parts.dead_letters,
        clock=parts.clock,
        entropy=parts.entropy,
        sweeps=sweeps,
        telemetry=recorder,
    )
