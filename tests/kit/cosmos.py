"""The embedded Cosmos endpoint with the official SDK connected to it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from local_cloud.cosmos_endpoint.server import CosmosEndpoint
from local_cloud.storage import LocalStorage
from shared.kernel.clock import Clock
from shared.persistence.cosmos_account import CosmosAccount
from shared.persistence.cosmos_store import CosmosStore

KEY: Final = "bG9jYWwga2V5IG9mIHRoZSB0ZXN0cw=="


@dataclass
class Wire:
    endpoint: CosmosEndpoint
    account: CosmosAccount
    storage: LocalStorage

    def store(self) -> CosmosStore:
        """Return the container `runtime/deployments`, over the wire."""
        return CosmosStore(self.account, "runtime", "deployments")


@asynccontextmanager
async def wired(clock: Clock, folder: Path | None = None) -> AsyncIterator[Wire]:
    """Serve an account with the container `runtime/deployments`, and connect to it.

    It is in memory, or in *folder*.
    """
    storage = LocalStorage(folder or Path("/nowhere"), clock, in_memory=folder is None)
    endpoint = CosmosEndpoint(storage, 0, KEY)
    await endpoint.start()
    account = CosmosAccount(endpoint.url, key=KEY)
    try:
        await account.create("runtime", "deployments")
        yield Wire(endpoint, account, storage)
    finally:
        await account.close()
        await endpoint.stop()
        storage.close()
