"""A rotation at a PostgreSQL and at a Valkey: both logins work in the overlap, the old one ends."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from shared.kernel.entropy import SystemEntropy
from shared.passwords.port import PasswordRefused, PasswordResource
from shared.passwords.servers import ServerPasswords
from shared.surfaces.data_servers import SERVER_KINDS
from shared.vault.port import SecretValue
from tests.kit.data_servers import RunningServer, running_server
from tests.kit.patience import PATIENCE_S
from tests.kit.told import ENVIRONMENT
from tests.secret_bindings.bound import NAME, PASSWORD, SecretBindings, secret_bindings
from tests.secret_bindings.followers import consumers

WEB = "module-web"
RESOURCE = PasswordResource(ENVIRONMENT, "orders-db")


@pytest.fixture(
    scope="module", params=[pytest.param(kind, marks=pytest.mark.real) for kind in SERVER_KINDS]
)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("state"), request.param) as running:
        yield running


def _passwords(server: RunningServer) -> ServerPasswords:
    async def administrator_of(_: PasswordResource) -> SecretValue:
        return server.administrator.value()

    return ServerPasswords(administrator_of, SystemEntropy())


async def _verified(on: SecretBindings, rotation_id: str) -> Any:
    async with asyncio.timeout(PATIENCE_S):
        while (shown := await on.rotation(rotation_id))["status"] != "Verified":
            await on.app.service.clock.sleep(0.05)
    return shown


def test_the_server_takes_both_logins_until_the_old_one_is_revoked(server: RunningServer) -> None:
    passwords = _passwords(server)

    async def main() -> Any:
        on = await secret_bindings()
        on.app = replace(on.app, passwords=passwords)
        followers, binding = await consumers(on, WEB, generator=PASSWORD)
        old = (await on.vault.get(NAME)).value
        asked = await on.rotate(binding, overlap="PT1H")
        rotating = asyncio.ensure_future(followers.finish())
        verified = await _verified(on, asked["rotationId"])
        new = (await on.vault.get(NAME, verified["toVersion"])).value
        for value in (old, new):
            await passwords.test(RESOURCE, value)
        operation = asked["operationId"]  # the wait ends early: an hour is long for a test
        await on.bench.starts.raise_event(operation, f"overlap-{operation}")
        await rotating
        await passwords.test(RESOURCE, new)
        with pytest.raises(PasswordRefused):
            await passwords.test(RESOURCE, old)
        return await on.rotation(asked["rotationId"])

    rotation = asyncio.run(main())

    assert rotation["status"] == "Revoked"
