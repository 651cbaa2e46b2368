"""What every part of `shared` may ask of a service: its store, write path, clock and names."""

from typing import Protocol, TypeVar

from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy
from shared.messaging.audit import AuditTrail
from shared.messaging.sweep import SweepLog
from shared.messaging.unit_of_work import UnitOfWork
from shared.persistence.store import Store


class ServiceParts(Protocol):
    """The parts of a service that activities and the routes of its administration use."""

    @property
    def public_name(self) -> str: ...

    @property
    def store(self) -> Store: ...

    @property
    def work(self) -> UnitOfWork: ...

    @property
    def audit(self) -> AuditTrail: ...

    @property
    def sweeps(self) -> SweepLog: ...

    @property
    def clock(self) -> Clock: ...

    @property
    def entropy(self) -> Entropy: ...


S_co = TypeVar("S_co", bound=ServiceParts, covariant=True)


class App(Protocol[S_co]):
    """A service's app: its ports, and the parts that every service has."""

    @property
    def service(self) -> S_co: ...
