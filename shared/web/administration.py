"""What the routes below `/v1/platform/<app>/` work on: one service, and its operations."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from shared.kernel.clock import Clock
from shared.messaging.audit import AuditTrail
from shared.messaging.dispatcher import Dispatcher
from shared.messaging.sweep import SweepLog
from shared.messaging.unit_of_work import UnitOfWork
from shared.persistence.store import Store
from shared.web.operation_control import OperationControl


class ServiceParts(Protocol):
    """The parts of a service that these routes use."""

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


@dataclass(frozen=True)
class Administration:
    """One service behind these routes, with the dispatcher of all its messages."""

    service: ServiceParts
    app: Any
    dispatcher: Dispatcher
    openapi: Callable[[], Mapping[str, Any]]
    """Makes the OpenAPI document; a host that starts has no use for it."""
    operations: Mapping[str, OperationControl] = field(default_factory=dict)
