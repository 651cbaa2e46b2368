"""The local cloud of one host: broker, storage and Cosmos account, opened and closed together.

This is all that the Functions host is given. The vocabulary it needs besides is in the public
modules that README.md lists; everything else is the cloud's inside.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from local_cloud.account_keys import AccountKeys
from local_cloud.broker.broker import Broker
from local_cloud.broker.topology import Topology
from local_cloud.cosmos_containers import CosmosContainers
from local_cloud.listeners import (
    CosmosListener,
    Listener,
    ServiceBusListener,
    StorageListener,
    StoragePorts,
)
from local_cloud.roles import OPERATOR
from local_cloud.sqlite.database import Database
from local_cloud.storage import LocalStorage
from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy

if TYPE_CHECKING:
    from local_cloud.identity_listeners import TokenListener
    from local_cloud.identity_services import IdentityServices


@dataclass(frozen=True)
class IdentityPorts:
    """Where identities find each service; 0: on any free port."""

    tokens: int = 0
    key_vault: int = 0
    cosmos: int = 0
    service_bus: int = 0
    tables: int = 0
    blobs: int = 0


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
    keys: AccountKeys = field(default_factory=AccountKeys)
    """What opens the ports; the emulators' published ones unless others are given."""
    identity_ports: IdentityPorts = field(default_factory=IdentityPorts)
    """Of a cloud that has identities."""


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
        identities: "IdentityServices | None" = None,
    ) -> None:
        """*database* holds the broker's tables; all that is given stays its owner's to close.

        Without *identities* the ports take keys only.
        """
        self.broker = Broker(database, settings.topology, clock=clock, entropy=entropy)
        self.storage = storage
        self.cosmos = CosmosContainers(storage)
        self._settings = settings
        self._clock = clock
        self._entropy = entropy
        self._identities = identities
        self._listeners: list[Listener] = []
        self._identity_listeners: list[Listener] = []
        self._tokens: TokenListener | None = None

    async def start(self) -> None:
        """Begin to deliver, and listen on the ports that are asked for.

        Raises:
            PortTaken: another program listens there.
            NotInstalled: an endpoint needs what this Python lacks.
        """
        await self.broker.start()
        self._listeners = self._listeners_by_key()
        for listener in self._listeners:
            await listener.start()
        if self._identities is not None:
            self._identity_listeners = await self._listeners_by_identity(self._identities)
            for listener in self._identity_listeners:
                await listener.start()

    def _listeners_by_key(self) -> list[Listener]:
        settings, keys, listeners = self._settings, self._settings.keys, list[Listener]()
        clock, entropy = self._clock, self._entropy
        if settings.cosmos_port is not None:
            callers = None
            if self._identities is not None:
                from local_cloud.cosmos_endpoint.authorization import (  # noqa: PLC0415  jwt
                    AUDIENCES,
                )

                callers = self._identities.callers(AUDIENCES)
            listeners.append(
                CosmosListener(self.storage, settings.cosmos_port, keys.cosmos, callers=callers)
            )
        if settings.service_bus_port is not None:
            port, key = settings.service_bus_port, keys.service_bus
            listeners.append(
                ServiceBusListener(self.broker, port, key, clock=clock, entropy=entropy)
            )
        if settings.storage_ports is not None:
            ports, key = settings.storage_ports, keys.storage
            listeners.append(
                StorageListener(self.storage, ports, key, clock=clock, entropy=entropy)
            )
        return listeners

    async def _listeners_by_identity(self, identities: "IdentityServices") -> list[Listener]:
        from local_cloud.identity_listeners import (  # noqa: PLC0415  aiohttp, cryptography
            CosmosTlsListener,
            ServiceBusTlsListener,
            TokenListener,
            VaultListener,
            storage_listeners,
        )

        ports, tls = self._settings.identity_ports, await identities.tls()
        clock, entropy = self._clock, self._entropy
        self._tokens = TokenListener(identities, ports.tokens)
        listeners: list[Listener] = [self._tokens, VaultListener(identities, ports.key_vault, tls)]
        for listener in self._listeners:
            match listener:
                case CosmosListener():
                    listeners.append(CosmosTlsListener(listener.account, ports.cosmos, tls))
                case ServiceBusListener():
                    listeners.append(
                        ServiceBusTlsListener(
                            self.broker, identities, ports.service_bus, tls,
                            clock=clock, entropy=entropy,
                        )
                    )  # fmt: skip
                case StorageListener():
                    listeners += storage_listeners(
                        listener, identities, ports.tables, ports.blobs, tls
                    )
                case _:
                    msg = f"{listener.service} is not for identities"
                    raise AssertionError(msg)
        return listeners

    def app_settings(self) -> Mapping[str, str]:
        """Return the connections of an app that uses the ports, by the names of its settings.

        They have the accounts' keys; what knows no keys, the vault, is reached as the operator.
        """
        by_key = _settings_of(self._listeners)
        operator = self.identity_settings().get(OPERATOR, {})
        others = {
            name: value for name, value in operator.items() if name.partition("__")[0] not in by_key
        }
        return {**by_key, **others}

    def identity_settings(self) -> Mapping[str, Mapping[str, str]]:
        """Return the settings of an app that connects by its identity, for each identity."""
        identities, tokens = self._identities, self._tokens
        if identities is None or tokens is None:
            return {}
        shared = {
            **_settings_of(self._identity_listeners),
            "RUNTIME_CA_FILE": str(identities.certificates.ca_file),
        }
        return {name: {**shared, **tokens.environ_of(name)} for name in identities.names}

    def addresses(self) -> Mapping[str, str]:
        """Return where each service listens, as a URL without a key."""
        listeners = (*self._listeners, *self._identity_listeners)
        return {name: url for listener in listeners for name, url in listener.addresses.items()}

    async def stop(self) -> None:
        """Close the ports and stop delivering; triggers have stopped before."""
        for listeners in (self._identity_listeners, self._listeners):
            while listeners:
                await listeners.pop().stop()
        await self.broker.stop()


def _settings_of(listeners: Sequence[Listener]) -> Mapping[str, str]:
    return {
        listener.setting: listener.connection
        for listener in listeners
        if listener.setting is not None
    }
