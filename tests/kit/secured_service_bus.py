"""The local Service Bus by TLS, for clients with the token of an identity."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from local_cloud.broker.topology import Queue, Subscription, Topic, Topology
from local_cloud.callers import Callers
from local_cloud.certificates import LocalCertificates
from local_cloud.roles import SERVICE_BUS, Assignment, Role
from local_cloud.token_endpoint.identities import LocalIdentities
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from tests.kit.service_bus_wire import ServedBroker, ShiftedClock, served

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken
    from azure.servicebus.aio import ServiceBusClient

TOPOLOGY: Final = Topology(
    queues=(Queue("orders"), Queue("orders-archive")),
    topics=(Topic("events", (Subscription("all"),)),),
)
BUS: Final = "https://servicebus.azure.net"


class TokensOf:
    """A credential that asks for a new token each time, on the clock of the test."""

    def __init__(self, identities: LocalIdentities, name: str) -> None:
        self._identities, self._name = identities, name
        self.asked = 0

    async def get_token(self, *_scopes: str, **_options: Any) -> "AccessToken":
        from azure.core.credentials import AccessToken

        self.asked += 1
        identity = self._identities.get(self._name)
        return AccessToken(*self._identities.token(identity, BUS))

    async def close(self) -> None:
        """Nothing is open."""

    async def __aexit__(self, *_problem: object) -> None:
        """Nothing is open."""


@dataclass
class SecuredBus:
    bus: ServedBroker
    identities: LocalIdentities
    certificates: LocalCertificates
    clock: ShiftedClock

    def client(self, credential: Any, **options: Any) -> "ServiceBusClient":
        from azure.servicebus import TransportType
        from azure.servicebus.aio import ServiceBusClient

        namespace = self.bus.endpoint.fully_qualified_namespace
        options.setdefault("retry_total", 0)
        return ServiceBusClient(
            namespace,
            credential,
            custom_endpoint_address=f"sb://{namespace}",
            transport_type=TransportType.Amqp,
            connection_verify=str(self.certificates.ca_file),
            **options,
        )

    def as_(self, name: str, **options: Any) -> "ServiceBusClient":
        return self.client(TokensOf(self.identities, name), **options)


@asynccontextmanager
async def secured(folder: Path) -> AsyncIterator[SecuredBus]:
    pytest.importorskip("proton", reason="python-qpid-proton is not installed: no C compiler")
    from local_cloud.service_bus_endpoint.authorization import RoleAuthorization

    clock = ShiftedClock()
    identities = LocalIdentities(folder / "identities", clock, SystemEntropy())
    # TLS is on the machine's clock.
    certificates = LocalCertificates(folder / "certificates", SystemClock())
    assigned = [
        Assignment("owner", Role.BUS_OWNER, SERVICE_BUS),
        Assignment("sender", Role.BUS_SENDER, SERVICE_BUS),
        Assignment("receiver", Role.BUS_RECEIVER, SERVICE_BUS),
        Assignment("of-orders", Role.BUS_OWNER, f"{SERVICE_BUS}/orders"),
        Assignment("of-events", Role.BUS_RECEIVER, f"{SERVICE_BUS}/events"),
    ]
    authorization = RoleAuthorization(Callers(identities, assigned, [BUS], clock))
    async with served(
        TOPOLOGY,
        clock=clock,
        key=None,
        authorization=authorization,
        tls=certificates.server_context(),
    ) as bus:
        yield SecuredBus(bus, identities, certificates, clock)
