"""Counts what each command and event asks of its store while the whole system runs.

A request of the store belongs to the outermost handler on its stack: a row of the service's tables
of routes, events or commands. Nothing in the services is changed or knows of it. What the relay
deletes after the commit is counted apart, as it costs no caller anything.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any, Final

from function_apps.catalog import triggers as catalog
from function_apps.configurations import triggers as configurations
from function_apps.deployments import triggers as deployments
from function_apps.drift import triggers as drift
from function_apps.environments import triggers as environments
from function_apps.health import triggers as health
from function_apps.scaling import triggers as scaling
from function_apps.secret_bindings import triggers as secret_bindings
from function_apps.tenants import triggers as tenants
from shared.persistence.store import BatchOperation, Delete, Etag, Partition, Store
from tests.kit.world import World

SERVICES: Final[Mapping[str, Any]] = {
    "environments": environments,
    "deployments": deployments,
    "catalog": catalog,
    "health": health,
    "configurations": configurations,
    "secret_bindings": secret_bindings,
    "tenants": tenants,
    "scaling": scaling,
    "drift": drift,
}


@dataclass
class Invocation:
    """What one run of a handler asked; `documents` is the most that one read brought."""

    service: str
    input: str
    frame: FrameType
    reads: int = 0
    queries: int = 0
    batches: int = 0
    operations: int = 0
    documents: int = 0
    relay_batches: int = 0

    @property
    def cost(self) -> tuple[int, int, int]:
        """Return reads, queries and batches."""
        return (self.reads, self.queries, self.batches)


@dataclass
class Ledger:
    """Every invocation so far, of every service."""

    invocations: list[Invocation] = field(default_factory=list)
    _open: dict[int, Invocation] = field(default_factory=dict)

    def find(self, service: str) -> Invocation | None:
        """Return the invocation on whose behalf this is called, None for timers and activities."""
        frame: FrameType | None = sys._getframe(2)
        outermost, label = None, ""
        while frame is not None:
            named = _NAMES[service].get(frame.f_code)
            if named is not None:
                outermost, label = frame, named or type(_payload(frame)).__name__
            frame = frame.f_back
        if outermost is None:
            return None
        found = self._open.get(id(outermost))
        if found is None or found.frame is not outermost:
            found = Invocation(service, label, outermost)
            self._open[id(outermost)] = found
            self.invocations.append(found)
        return found


def _payload(frame: FrameType) -> Any:
    return frame.f_locals[frame.f_code.co_varnames[0]]


def _names(module: Any) -> Mapping[CodeType, str]:
    """Return the code of each handler; the name of a message handler is its payload's type."""
    named = {
        handler.__code__: "" for handler in (*module.EVENTS.values(), *module.COMMANDS.values())
    }
    routes = {row.handler.__code__: f"{row.method} {row.template}" for row in module.ROUTES}
    return {**named, **routes}


_NAMES: Final = {name: _names(module) for name, module in SERVICES.items()}


@dataclass
class CountingStore:
    inner: Store
    service: str
    ledger: Ledger

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def read(self, partition: Partition, document_id: str) -> Any:
        if by := self.ledger.find(self.service):
            by.reads += 1
            by.documents = max(by.documents, 1)
        return await self.inner.read(partition, document_id)

    async def read_many(self, partition: Partition, ids: Sequence[str]) -> Any:
        if by := self.ledger.find(self.service):
            by.reads += 1
            by.documents = max(by.documents, len(ids))
        return await self.inner.read_many(partition, ids)

    async def query(self, within: Any, query: Any) -> Any:
        if by := self.ledger.find(self.service):
            by.queries += 1
        return await self.inner.query(within, query)

    async def batch(
        self, partition: Partition, operations: Sequence[BatchOperation]
    ) -> Sequence[Etag | None]:
        if by := self.ledger.find(self.service):
            if is_of_the_relay(operations):
                by.relay_batches += 1
            else:
                by.batches += 1
                by.operations = max(by.operations, len(operations))
        return await self.inner.batch(partition, operations)


def is_of_the_relay(operations: Sequence[BatchOperation]) -> bool:
    return all(isinstance(each, Delete) and each.id.startswith("outbox/") for each in operations)


class CountedWorld(World):
    """A world whose services' requests are counted."""

    def __init__(self, **options: Any) -> None:
        self.ledger = Ledger()
        super().__init__(**options)

    def _store(self, inner: Store, name: str) -> Any:
        return CountingStore(super()._store(inner, name), name, self.ledger)
