"""Where Cosmos DB triggers find feeds and leases: in the host's own cloud, or in an account.

A binding names a connection; without a setting for it, or with `embedded`, that is the host's own
cloud. A connection string or `X__accountEndpoint` is an account, reached by the official SDK.
https://learn.microsoft.com/azure/azure-functions/functions-bindings-cosmosdb-v2-trigger#connections
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from local_cloud.cosmos_containers import ChangeFeed, CosmosContainers
from local_host.apps.configuration import NO_CLOUD, Configuration, ConfigurationRefused, Connection
from local_host.cosmos_db.account_feed import find_feed
from local_host.cosmos_db.account_leases import HELD_BESIDE_OTHERS_S, HELD_FOR_S, AccountLeases
from local_host.cosmos_db.host_leases import HostLeases
from local_host.cosmos_db.leases import Leases
from local_host.model import Binding, HostContext, IndexedFunction
from shared.composition.identity import Identity
from shared.composition.settings import CA_FILE
from shared.kernel.errors import Invalid
from shared.persistence.cosmos_account import CosmosAccount, string_parts

DEFAULT: Final = "CosmosDB"


@dataclass(frozen=True)
class CosmosSource:
    """One connection: its feeds and its leases."""

    find_feed: Callable[[str, str], Awaitable[ChangeFeed | None]]
    leases: Leases
    account: CosmosAccount | None = None


class CosmosConnections:
    """The connections of a host, each made once."""

    def __init__(self, context: HostContext) -> None:
        self._context = context
        cloud = context.cloud
        self._own = None
        if cloud is not None:
            own = partial(_own_feed, cloud.cosmos)
            self._own = CosmosSource(own, HostLeases(context.database()))
        self._sources: dict[tuple[str, str], CosmosSource] = {}

    def of(self, function: IndexedFunction, *properties: str) -> CosmosSource:
        """Return what the first of *properties* that the trigger has names.

        Raises:
            ConfigurationRefused: the settings of the connection cannot be used.
        """
        trigger = function.trigger
        name = next((text for each in properties if (text := trigger.text(each))), DEFAULT)
        found = self._context.configurations[function.app].connection(name, DEFAULT)
        if found is None and self._own is not None:
            return self._own
        if found is None:
            raise ConfigurationRefused(
                NO_CLOUD.format(binding=trigger.name, setting=name, address="accountEndpoint")
            )
        key = (function.app, name)
        if key not in self._sources:
            self._sources[key] = self._made(found, self._context.configurations[function.app])
        return self._sources[key]

    def sources(self) -> Sequence[CosmosSource]:
        """Return all that were asked for."""
        return [*([] if self._own is None else [self._own]), *self._sources.values()]

    def is_own(self, function: IndexedFunction, binding: Binding) -> bool:
        """Return whether *binding* is connected to the host's own cloud."""
        name = binding.text("connection")
        return self._context.configurations[function.app].connection(name, DEFAULT) is None

    def _made(self, connection: Connection, configuration: Configuration) -> CosmosSource:
        identity = self._context.identities.of(
            connection.identity.get("clientId"), takes_sign_in=configuration.is_local
        )
        ca_file = configuration.values.get(CA_FILE)
        account = _account_of(connection, identity, Path(ca_file) if ca_file else None)
        leases = AccountLeases(
            account,
            self._context.clock,
            self._context.entropy,
            held_for_s=HELD_FOR_S if self._context.cloud else HELD_BESIDE_OTHERS_S,
        )
        return CosmosSource(partial(find_feed, account), leases, account)


def _account_of(connection: Connection, identity: Identity, ca_file: Path | None) -> CosmosAccount:
    if connection.text is not None:
        try:
            endpoint, key = string_parts(connection.text)
        except Invalid as problem:
            message = f"the connection string {connection.name}: {problem.message}"
            raise ConfigurationRefused(message) from None
        return CosmosAccount(endpoint, key=key, ca_file=ca_file)
    address = connection.identity.get("accountEndpoint")
    if address is None:
        raise ConfigurationRefused(
            f"the connection {connection.name} has no {connection.name}__accountEndpoint"
        )
    return CosmosAccount(address, credential=identity, ca_file=ca_file)


async def _own_feed(containers: CosmosContainers, database: str, name: str) -> ChangeFeed | None:
    return containers.change_feed(database, name)
