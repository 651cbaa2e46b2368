"""One Cosmos DB account by the official asynchronous SDK."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from shared.connections.trusted_transport import trusted_transport
from shared.kernel.errors import Invalid
from shared.persistence.cosmos_errors import WITHIN_S, translated_errors
from shared.persistence.cosmos_form import PARTITION_FIELDS

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.cosmos.aio import ContainerProxy, CosmosClient

THROTTLE_RETRIES: Final = 3
THROTTLE_WAIT_MAX_S: Final = 5
"""The SDK's defaults (9 tries, 30 s) are longer than a request of ours may take."""
TIMEOUT_S: Final = 10
"""Of the SDK's own, a read takes 65 s."""


def string_parts(connection_string: str) -> tuple[str, str]:
    """Return the endpoint and the key of `AccountEndpoint=<URL>;AccountKey=<key>`.

    Raises:
        Invalid: it lacks one; the message does not show it.
    """
    parts = dict(part.strip().partition("=")[::2] for part in connection_string.split(";"))
    try:
        return parts["AccountEndpoint"], parts["AccountKey"]
    except KeyError as missing:
        raise Invalid(
            f"it has no {missing}: write AccountEndpoint=<URL>;AccountKey=<key>"
        ) from None


class CosmosAccount:
    """One account, connected when first used. Close it when the app ends."""

    def __init__(
        self,
        endpoint: str,
        *,
        key: str | None = None,
        credential: Callable[[], "AsyncTokenCredential"] | None = None,
        ca_file: Path | None = None,
        within_s: float = WITHIN_S,
    ) -> None:
        """Give *key* for an emulator, else *credential*: asked when first used, and its owner's.

        *ca_file* has the certificate authority of a local cloud, trusted besides the machine's. A
        call without an answer after *within_s* seconds is given up.
        """
        self.within_s = within_s
        self._endpoint = endpoint
        self._key = key
        self._credential = credential
        self._ca_file = ca_file
        self._opened = AsyncExitStack()
        self._client: CosmosClient | None = None
        self._connecting = asyncio.Lock()

    async def create(self, database: str, container: str) -> None:
        """Make the container of a store if need be: with a key only, data-plane roles may not.

        Raises:
            Unavailable: throttled or away.
        """
        paths = [f"/{name}" for name in PARTITION_FIELDS]
        await self._create(database, container, {"path": paths, "kind": "MultiHash"}, ttl=-1)

    async def create_leases(self, database: str, container: str) -> None:
        """Make the container for a trigger's leases, as `create` does."""
        await self._create(database, container, {"path": "/id", "kind": "Hash"}, ttl=None)

    async def _create(
        self, database: str, container: str, key: Mapping[str, Any], *, ttl: int | None
    ) -> None:
        from azure.cosmos import PartitionKey  # noqa: PLC0415  heavy: where used

        async with translated_errors():
            client = await self._connected()
            proxy = await client.create_database_if_not_exists(database)
            await proxy.create_container_if_not_exists(
                container, PartitionKey(**key), default_ttl=ttl
            )

    async def container(self, database: str, container: str) -> "ContainerProxy":
        client = await self._connected()
        return client.get_database_client(database).get_container_client(container)

    async def _connected(self) -> "CosmosClient":
        async with self._connecting:
            if self._client is None:
                self._client = await self._connect()
            return self._client

    async def _connect(self) -> "CosmosClient":
        from azure.cosmos.aio import CosmosClient  # noqa: PLC0415  heavy: where used

        credential: Any = (
            self._credential() if self._key is None and self._credential else self._key
        )
        async with AsyncExitStack() as opened:
            client = CosmosClient(
                self._endpoint,
                credential,
                transport=trusted_transport(self._ca_file),
                connection_timeout=TIMEOUT_S,
                read_timeout=TIMEOUT_S,
                retry_throttle_total=THROTTLE_RETRIES,
                retry_throttle_backoff_max=THROTTLE_WAIT_MAX_S,
                no_response_on_write=True,
            )
            # First: what the SDK opened before it was refused is open all the same.
            opened.push_async_callback(client.close)
            await client.__aenter__()
            self._opened = opened.pop_all()
        return client

    async def close(self) -> None:
        """Close the connections; the account may not be used afterwards."""
        self._client = None
        await self._opened.aclose()
