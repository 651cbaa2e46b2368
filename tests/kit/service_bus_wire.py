"""The local Service Bus on a free port, for clients over a real connection."""

import base64
import hashlib
import hmac
import sqlite3
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote_plus

import pytest

from local_cloud.broker.broker import Broker
from local_cloud.broker.topology import Topology
from local_cloud.sqlite.database import MEMORY, Database
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.kernel.errors import Unavailable
from tests.kit.service_bus import ORDERS

if TYPE_CHECKING:
    from azure.servicebus.aio import ServiceBusClient

    from local_cloud.service_bus_endpoint.authorization import Authorization
    from local_cloud.service_bus_endpoint.server import ServiceBusEndpoint

_STEP_S = 0.02
T = TypeVar("T")


def signature(key: str, path: str = "", ends_at: int = 2**40, *, name: str = "root") -> str:
    """Return a shared access signature for what lies at *path*."""
    resource = quote_plus(f"sb://here:5672/{path}")
    signed = hmac.digest(key.encode(), f"{resource}\n{ends_at}".encode(), hashlib.sha256)
    shown = quote_plus(base64.b64encode(signed).decode())
    return f"SharedAccessSignature sr={resource}&sig={shown}&se={ends_at}&skn={name}"


class ShiftedClock(SystemClock):
    """The machine's clock, which a test may put forward."""

    ahead_s = 0.0

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.ahead_s)

    def monotonic_s(self) -> float:
        return super().monotonic_s() + self.ahead_s

    async def sleep(self, delay_s: float) -> None:
        """Return when this clock says so, soon after it was put forward."""
        until_s = self.monotonic_s() + delay_s
        while (left_s := until_s - self.monotonic_s()) > 0:
            await super().sleep(min(left_s, _STEP_S))


@dataclass
class ServedBroker:
    broker: Broker
    endpoint: "ServiceBusEndpoint"
    clock: ShiftedClock

    def client(self, **options: Any) -> "ServiceBusClient":
        from azure.servicebus.aio import ServiceBusClient

        options.setdefault("retry_total", 0)
        return ServiceBusClient.from_connection_string(self.endpoint.connection_string, **options)


class CuttingDatabase(Database):
    """A database that calls `cut` once, right before or right after a write takes effect."""

    cut: Callable[[], None] | None = None

    def __init__(self, *, takes_effect: bool) -> None:
        super().__init__(MEMORY)
        self._takes_effect = takes_effect

    async def write(
        self, work: Callable[[sqlite3.Connection], T], *, undoes_itself: bool = False
    ) -> T:
        cut, self.cut = self.cut, None
        if cut is not None and not self._takes_effect:
            cut()
            raise Unavailable("cut off")
        written = await super().write(work, undoes_itself=undoes_itself)
        if cut is not None:
            cut()
        return written


class BusyDatabase(Database):
    """A database that takes no writes while `is_busy`."""

    is_busy = False

    def __init__(self) -> None:
        super().__init__(MEMORY)

    async def write(
        self, work: Callable[[sqlite3.Connection], T], *, undoes_itself: bool = False
    ) -> T:
        if self.is_busy:
            raise Unavailable("the disk is busy")
        return await super().write(work, undoes_itself=undoes_itself)


@asynccontextmanager
async def served(
    topology: Topology = ORDERS,
    database: Database | None = None,
    *,
    clock: ShiftedClock | None = None,
    key: str | None = "a key of the test",
    authorization: "Authorization | None" = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[ServedBroker]:
    pytest.importorskip("proton", reason="python-qpid-proton is not installed: no C compiler")
    from local_cloud.service_bus_endpoint.server import ServiceBusEndpoint
    from local_cloud.service_bus_endpoint.tokens import AccessKey

    clock, entropy = clock or ShiftedClock(), SystemEntropy()
    broker = Broker(database or Database(MEMORY), topology, clock=clock, entropy=entropy)
    await broker.start()
    endpoint = ServiceBusEndpoint(
        broker,
        0,
        None if key is None else AccessKey("root", key),
        clock=clock,
        entropy=entropy,
        authorization=authorization,
        tls=tls,
    )
    await endpoint.start()
    try:
        yield ServedBroker(broker, endpoint, clock)
    finally:
        await endpoint.stop()
        await broker.stop()
