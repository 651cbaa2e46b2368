"""PasswordResources of the data resources that the platform runs itself.

The administrator's login of each is a secret of the environment's own vault: it says all that there
is to know of a server, so nothing else has its address or its password.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, Protocol

from shared.kernel.entropy import Entropy
from shared.kernel.errors import NotFound, Unavailable
from shared.kernel.ids import parse_id
from shared.kernel.time_limit import TimeLimit
from shared.passwords.logins import (
    POSTGRESQL,
    Login,
    consumers_login,
    made_login,
    new_login,
    parse,
)
from shared.passwords.port import PasswordResource, ResourceMissing
from shared.passwords.postgres import PostgresLogins
from shared.passwords.valkey import ValkeyLogins
from shared.vault.port import SecretValue, Vaults

WITHIN_S: Final = 30.0
AdministratorOf = Callable[[PasswordResource], Awaitable[SecretValue]]
"""Returns the administrator's connection string. Raises ResourceMissing, Unavailable."""


def administrator_secret(name: str) -> str:
    """Return the secret of an environment's vault with the administrator's login of *name*."""
    return f"data-{name}-administrator"


def administrators_in(vaults: Vaults) -> AdministratorOf:
    """Return what finds the administrators of servers of this machine in *vaults*."""

    async def administrator_of(resource: PasswordResource) -> SecretValue:
        environment = parse_id(resource.environment, "env").environment
        vault = vaults.at(vaults.of_environment(environment, {}))
        try:
            return (await vault.get(administrator_secret(resource.name))).value
        except NotFound as missing:
            raise ResourceMissing(
                f"{resource.environment} has no data resource {resource.name} with passwords"
            ) from missing

    return administrator_of


class _Logins(Protocol):
    async def set(self, login: Login) -> None: ...
    async def test(self, login: Login) -> None: ...
    async def retire(self, login: Login) -> None: ...


class ServerPasswords:
    """PasswordResources by the administrators' logins that *administrator_of* returns."""

    def __init__(self, administrator_of: AdministratorOf, entropy: Entropy) -> None:
        self._administrator_of = administrator_of
        self._entropy = entropy

    async def new_value(
        self, resource: PasswordResource, user: str, password: SecretValue
    ) -> SecretValue:
        async with _in_time(resource):
            administrator = parse(await self._administrator_of(resource))
        return new_login(administrator, user, password, self._entropy)

    async def set(self, resource: PasswordResource, value: SecretValue) -> None:
        async with self._logins(resource) as (logins, administrator):
            await logins.set(consumers_login(value, administrator))

    async def test(self, resource: PasswordResource, value: SecretValue) -> None:
        async with self._logins(resource) as (logins, administrator):
            await logins.test(consumers_login(value, administrator))

    async def retire(self, resource: PasswordResource, value: SecretValue) -> None:
        async with self._logins(resource) as (logins, _):
            await logins.retire(made_login(value))

    @asynccontextmanager
    async def _logins(self, resource: PasswordResource) -> AsyncIterator[tuple[_Logins, Login]]:
        async with _in_time(resource):
            administrator = parse(await self._administrator_of(resource))
            logins: _Logins = (
                PostgresLogins(administrator, self._entropy)
                if administrator.scheme == POSTGRESQL
                else ValkeyLogins(administrator)
            )
            yield logins, administrator


@asynccontextmanager
async def _in_time(resource: PasswordResource) -> AsyncIterator[None]:
    try:
        async with TimeLimit(WITHIN_S):
            yield
    except TimeoutError as late:
        raise Unavailable(f"{resource.name} did not answer within {WITHIN_S:.0f} s") from late
