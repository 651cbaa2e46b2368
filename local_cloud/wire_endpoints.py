"""The ports on which official SDKs reach the local cloud, opened when asked for."""

import logging
from typing import Final

from local_cloud.storage import LocalStorage

_log = logging.getLogger(__name__)
EMULATOR_KEY: Final = (
    "C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw=="
)
"""The key of every Cosmos DB emulator, published and no secret.
https://learn.microsoft.com/azure/cosmos-db/emulator#authentication"""


class PortTaken(Exception):
    """A wire endpoint cannot listen on its port; another program does."""


class CosmosWire:
    """The embedded Cosmos account on a port, for azure-cosmos clients."""

    def __init__(self, storage: LocalStorage, port: int) -> None:
        from local_cloud.cosmos_endpoint.server import CosmosEndpoint  # noqa: PLC0415  aiohttp

        self._endpoint = CosmosEndpoint(storage, port, EMULATOR_KEY)
        self._port = port

    @property
    def connection(self) -> str:
        """The connection string; the port is known once it listens."""
        return f"AccountEndpoint={self._endpoint.url};AccountKey={EMULATOR_KEY}"

    async def start(self) -> None:
        """Begin to listen. Raises PortTaken."""
        try:
            await self._endpoint.start()
        except OSError as problem:
            raise PortTaken(
                f"cannot serve Cosmos DB on port {self._port}: {problem.strerror};"
                " choose another with --cosmos-port"
            ) from problem
        _log.info("Cosmos DB: %s", self.connection)

    async def stop(self) -> None:
        await self._endpoint.stop()
