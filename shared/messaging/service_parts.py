"""The parts of a service that every part of `shared` may ask for."""

from typing import Protocol, TypeVar

from shared.kernel.clock import Clock
from shared.kernel.dataclass import dataclass
from shared.kernel.entropy import Entropy
from shared.messaging.audit import AuditTrail
from shared.messaging.sweep import SweepLog
from shared.messaging.unit_of_work import UnitOfWork
from shared.persistence.store import Store
from shared.telemetry.work import OFF, Telemetry


@dataclass(frozen=True, kw_only=True)
class ServiceParts:
    """One service's store, write path, audit trail, clock and names.

    `name` is the Python name (`secret_bindings`), `public_name` the spelling of ids and queues.
    """

    name: str
    public_name: str
    store: Store
    work: UnitOfWork
    audit: AuditTrail
    sweeps: SweepLog
    clock: Clock
    entropy: Entropy
    telemetry: Telemetry = OFF


S_co = TypeVar("S_co", bound=ServiceParts, covariant=True)


class App(Protocol[S_co]):
    """A service's app: its ports, and the parts that every service has."""

    @property
    def service(self) -> S_co: ...
