"""The change feed of a container in a Cosmos DB account, by the official SDK."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from local_cloud.cosmos_containers import ShownDocument
from shared.persistence.cosmos_account import CosmosAccount
from shared.persistence.cosmos_errors import translated_errors
from shared.persistence.cosmos_feed import feed_ranges, read_changes

if TYPE_CHECKING:
    from azure.cosmos.aio import ContainerProxy


async def find_feed(account: CosmosAccount, database: str, name: str) -> "AccountFeed | None":
    """Return the change feed of a container; None as long as there is no such container.

    Raises:
        Unavailable: throttled or away.
    """
    from azure.cosmos.exceptions import CosmosResourceNotFoundError  # noqa: PLC0415  heavy

    async with translated_errors():
        container = await account.container(database, name)
        try:
            await container.read()
        except CosmosResourceNotFoundError:
            return None
    return AccountFeed(container)


class AccountFeed:
    """Implements `ChangeFeed`; what others write is found by polling."""

    def __init__(self, container: "ContainerProxy") -> None:
        self._container = container

    async def feed_ranges(self) -> Sequence[str]:
        async with translated_errors():
            return await feed_ranges(self._container)

    async def changes(
        self, feed_range: str, continuation: str | None, limit: int
    ) -> tuple[Sequence[ShownDocument], str]:
        async with translated_errors(continuation):
            return await read_changes(self._container, feed_range, continuation, limit)

    def on_change(self, _listener: Callable[[], None]) -> Callable[[], None]:
        return lambda: None
