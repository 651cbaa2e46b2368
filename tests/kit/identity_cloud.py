"""A local cloud with identities in this process: https, tokens, roles, over a folder."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from local_cloud.__main__ import declare
from local_cloud.account_keys import kept_keys
from local_cloud.cloud import CloudSettings, LocalCloud
from local_cloud.identity_services import IdentityServices
from local_cloud.listeners import StoragePorts
from local_cloud.runtime_topology import runtime_topology
from local_cloud.sqlite.database import MEMORY, Database
from local_cloud.storage import LocalStorage
from local_cloud.token_endpoint.identities import LocalIdentities
from shared.composition.settings import Settings, read_settings
from shared.contracts.events import BUILT
from shared.kernel.clock import Clock, SystemClock
from shared.kernel.entropy import Entropy, SystemEntropy
from shared.messaging.service_bus import ServiceBusMessages
from shared.persistence.cosmos_account import CosmosAccount
from shared.persistence.storage_account import StorageAccount

if TYPE_CHECKING:
    from azure.identity.aio import ManagedIdentityCredential
Credential = Callable[[], "ManagedIdentityCredential"]


@dataclass
class IdentityClients:
    """Connects as apps do, each by the settings that *printed* has for it."""

    printed: Callable[[str], Mapping[str, str]]
    monkeypatch: pytest.MonkeyPatch

    def settings(self, app: str) -> Settings:
        """Make this process the identity *app*, and return the settings of its app."""
        given = self.printed(app)
        for name, value in given.items():
            self.monkeypatch.setenv(name, value)
        return read_settings({"RUNTIME_PROFILE": "local", **given})

    @asynccontextmanager
    async def credential(self, app: str, **environ: str) -> AsyncIterator[Credential]:
        """Give the credential of *app*; *environ* replaces what its process has."""
        from azure.identity.aio import ManagedIdentityCredential

        self.settings(app)
        for name, value in environ.items():
            self.monkeypatch.setenv(name, value)
        async with ManagedIdentityCredential() as credential:
            yield lambda: credential

    @asynccontextmanager
    async def account(self, app: str, **environ: str) -> AsyncIterator[CosmosAccount]:
        """Connect to the Cosmos DB account as *app* does."""
        settings = self.settings(app)
        assert settings.cosmos_endpoint is not None
        async with self.credential(app, **environ) as credential:
            account = CosmosAccount(
                settings.cosmos_endpoint, credential=credential, ca_file=settings.ca_file
            )
            try:
                yield account
            finally:
                await account.close()

    @asynccontextmanager
    async def storage(self, app: str) -> AsyncIterator[StorageAccount]:
        """Connect to the storage account as *app* does."""
        settings = self.settings(app)
        async with self.credential(app) as credential:
            account = StorageAccount(
                tables=settings.storage_tables, blobs=settings.storage_blobs,
                credential=credential, ca_file=settings.ca_file,
            )  # fmt: skip
            try:
                yield account
            finally:
                await account.close()

    @asynccontextmanager
    async def sender(self, app: str) -> AsyncIterator[ServiceBusMessages]:
        """Connect to the namespace as *app* does."""
        settings = self.settings(app)
        async with self.credential(app) as credential:
            sender = ServiceBusMessages(
                settings.service_bus_namespace, credential=credential, ca_file=settings.ca_file
            )
            try:
                yield sender
            finally:
                await sender.close()


@dataclass
class IdentityCloud(IdentityClients):
    cloud: LocalCloud
    identities: LocalIdentities

    def token(self, identity: str, resource: str) -> str:
        return self.identities.token(self.identities.get(identity), resource)[0]


@asynccontextmanager
async def identity_cloud(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    clock: Clock | None = None,
    entropy: Entropy | None = None,
    service_bus_port: int | None = None,
) -> AsyncIterator[IdentityCloud]:
    """Serve what the platform has in Azure; *clock* and *entropy* are those of the tokens."""
    machine, entropy = SystemClock(), entropy or SystemEntropy()
    storage = LocalStorage(folder, machine, in_memory=False)
    database = Database(MEMORY)
    identities = IdentityServices(folder, clock or machine, entropy)
    keys = kept_keys(folder / "accounts")
    settings = CloudSettings(runtime_topology(BUILT), 0, service_bus_port, StoragePorts(), keys)
    cloud = LocalCloud(
        database, storage, settings, clock=machine, entropy=entropy, identities=identities
    )
    await declare(storage)
    await cloud.start()
    try:
        settings_of = cloud.identity_settings().__getitem__
        yield IdentityCloud(settings_of, monkeypatch, cloud, identities.identities)
    finally:
        await cloud.stop()
        await identities.close()
        storage.close()
        database.close()
