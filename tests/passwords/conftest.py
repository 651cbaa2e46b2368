"""The real servers that the contract of passwords is shown at, one of each for a module."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from shared.kernel.entropy import SystemEntropy
from shared.kernel.ids import EnvironmentId
from shared.passwords.logins import Login
from shared.passwords.port import PasswordResource
from shared.passwords.servers import ServerPasswords
from shared.surfaces.data_servers import SERVER_KINDS
from shared.vault.port import SecretValue
from tests.kit.data_servers import RunningServer, running_server

RESOURCE = PasswordResource(EnvironmentId("env-a"), "orders-db")


@dataclass
class Opened:
    """The passwords of one server. `administrator` is what the vault has of it."""

    server: RunningServer
    administrator: Login

    @property
    def passwords(self) -> ServerPasswords:
        async def administrator_of(_: PasswordResource) -> SecretValue:
            return self.administrator.value()

        return ServerPasswords(administrator_of, SystemEntropy())

    def at(self, port: int) -> "Opened":
        return replace(self, administrator=replace(self.administrator, port=port))

    async def new_value(self, user: str = "orders") -> SecretValue:
        password = SecretValue(SystemEntropy().uuid().hex)
        return await self.passwords.new_value(RESOURCE, user, password)

    async def one_set(self, user: str = "orders") -> SecretValue:
        value = await self.new_value(user)
        await self.passwords.set(RESOURCE, value)
        return value


@pytest.fixture(
    scope="module", params=[pytest.param(kind, marks=pytest.mark.real) for kind in SERVER_KINDS]
)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("state"), request.param) as running:
        yield running


@pytest.fixture
def opened(server: RunningServer) -> Opened:
    asyncio.run(server.start())  # a test before may have ended it
    return Opened(server, server.administrator)
