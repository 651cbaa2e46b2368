"""The routes that every app serves below `/v1/platform/<app>/`, as one table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from shared.kernel.clock import Clock
from shared.messaging.audit import AuditTrail
from shared.messaging.dispatcher import Dispatcher
from shared.messaging.sweep import SweepLog
from shared.messaging.unit_of_work import UnitOfWork
from shared.persistence.store import Store
from shared.web import audit_routes, health_routes, operation_routes, parked_routes
from shared.web.operation_routes import OperationControl
from shared.web.routes import Route

__all__ = ["Administration", "OperationControl", "administration_routes"]


class ServiceParts(Protocol):
    """The parts of a service that these routes use."""

    @property
    def outside_name(self) -> str: ...

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
    openapi: Mapping[str, Any]
    operations: Mapping[str, OperationControl] = field(default_factory=dict)


def administration_routes(app: str) -> Sequence[Route]:
    """Return the rows for *app*, named as outside Python (`secret-bindings`)."""
    root = f"v1/platform/{app}"
    return (
        *operation_routes.rows(root),
        *parked_routes.rows(root),
        *audit_routes.rows(root),
        *health_routes.rows(root),
    )
