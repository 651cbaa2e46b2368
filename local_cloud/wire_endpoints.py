"""Ports on which official SDKs reach the embedded parts, opened when asked for."""

import logging
from collections.abc import Sequence
from typing import Final

from local_cloud.storage import LocalStorage
from local_host.apps.configuration import ConfigurationRefused
from local_host.model import Extend, Extension, IndexedFunction, Surroundings

_log = logging.getLogger("local_host.cosmos")
EMULATOR_KEY: Final = (
    "C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw=="
)
"""The key of every Cosmos DB emulator, published and no secret.
https://learn.microsoft.com/azure/cosmos-db/emulator#authentication"""


def cosmos_endpoint(port: int) -> Extend:
    """Return the part that serves the apps' stores to azure-cosmos clients on *port*."""

    def extend(surroundings: Surroundings, _functions: Sequence[IndexedFunction]) -> Extension:
        storage = surroundings.embedding.storage
        assert isinstance(storage, LocalStorage), "the endpoint serves the host's own storage"
        return Extension(listener=_Cosmos(storage, port))

    return extend


class _Cosmos:
    def __init__(self, storage: LocalStorage, port: int) -> None:
        from local_cloud.cosmos_endpoint.server import CosmosEndpoint  # noqa: PLC0415  aiohttp

        self._endpoint = CosmosEndpoint(storage, port, EMULATOR_KEY)
        self._port = port

    async def start(self) -> None:
        """Raises ConfigurationRefused when the port is taken."""
        try:
            await self._endpoint.start()
        except OSError as problem:
            raise ConfigurationRefused(
                f"cannot serve Cosmos DB on port {self._port}: {problem.strerror};"
                " choose another with --cosmos-port"
            ) from problem
        _log.info("Cosmos DB: AccountEndpoint=%s;AccountKey=%s", self._endpoint.url, EMULATOR_KEY)

    async def stop(self) -> None:
        await self._endpoint.stop()
