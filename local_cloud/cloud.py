"""The local cloud of one host: broker, storage and Cosmos account, opened and closed together.

This is all that the Functions host is given. The vocabulary it needs besides is in the public
modules that README.md lists; everything else is the cloud's inside.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from local_cloud.broker.broker import Broker
from local_cloud.broker.topology import Topology
from local_cloud.cosmos_containers import CosmosContainers
from local_cloud.sqlite.database import Database
from local_cloud.storage import LocalStorage
from local_cloud.wire_endpoints import (
    CosmosWire,
    ServiceBusWire,
    StoragePorts,
    StorageWire,
    Wire,
)
from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy


@dataclass(frozen=True)
class CloudSettings:
    """What is declared of the cloud, rather than made by the apps."""

    topology: Topology = field(default_factory=Topology)
    """Queues and topics with settings of their own; those of triggers are made anyhow."""
    cosmos_port: int | None = None
    """Where azure-cosmos clients find the apps' stores; None: nowhere."""
    service_bus_port: int | None = None
    """Where azure-servicebus clients find the broker; None: nowhere."""
    storage_ports: StoragePorts | None = None
    """Where clients of Azure Storage find the tables and blobs; None: nowhere."""


class LocalCloud:
    """`start` before the first use. What is acknowledged survives the process."""

    def __init__(
        self,
        database: Database,
        storage: LocalStorage,
        settings: CloudSettings,
        *,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        """*database* holds the broker's tables; it and *storage* stay their owner's to close."""
        self.broker = Broker(database, settings.topology, clock=clock, entropy=entropy)
        self.storage = storage
        self.cosmos = CosmosContainers(storage)
        self._settings = settings
        self._clock = clock
        self._entropy = entropy
        self._wires: list[Wire] = []

    async def start(self) -> None:
        """Begin to deliver, and listen on the ports that are asked for.

        Raises:
            PortTaken: another program listens there.
            NotInstalled: an endpoint needs what this Python lacks.
        """
        await self.broker.start()
        settings = self._settings
        if settings.cosmos_port is not None:
            self._wires.append(CosmosWire(self.storage, settings.cosmos_port))
        if settings.service_bus_port is not None:
            self._wires.append(
                ServiceBusWire(
                    self.broker,
                    settings.service_bus_port,
                    clock=self._clock,
                    entropy=self._entropy,
                )
            )
        if settings.storage_ports is not None:
            self._wires.append(
                StorageWire(
                    self.storage,
                    settings.storage_ports,
                    clock=self._clock,
                    entropy=self._entropy,
                )
            )
        for wire in self._wires:
            await wire.start()

    def app_settings(self) -> Mapping[str, str]:
        """Return the connections of an app that uses the ports, by the names of its settings."""
        return {wire.setting: wire.connection for wire in self._wires}

    async def stop(self) -> None:
        """Close the ports and stop delivering; triggers have stopped before."""
        while self._wires:
            await self._wires.pop().stop()
        await self.broker.stop()
