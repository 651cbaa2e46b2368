"""Logins of one PostgreSQL server.

A role has one password, so each version of a secret has a role of its own. They all become one
role, the owner of the database, as soon as they connect: what one of them makes, all may change,
and it stays when the login goes.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from shared.kernel.entropy import Entropy
from shared.kernel.errors import Unavailable
from shared.passwords.logins import Login
from shared.passwords.port import AdministratorRefused, PasswordRefused
from shared.passwords.verifiers import scram_verifier

_CONNECTS_WITHIN_S: Final = 10.0
_ENDS_WITHIN_MS: Final = 1000
_ROUNDS: Final = 10
"""A session that is just being made is seen a moment later."""
_LOCK: Final = 0x70617373
"""One change of logins at a time: two would make the same role."""
_REFUSED: Final = ("28P01", "28000")
"""invalid_password; invalid_authorization_specification, for a role that may not log in."""


class PostgresLogins:
    """The logins of the server of *administrator*. See `PasswordResources` for what each does."""

    def __init__(self, administrator: Login, entropy: Entropy) -> None:
        self._administrator = administrator
        self._entropy = entropy
        self._owner = f"{administrator.database}_owner"

    async def set(self, login: Login) -> None:
        verifier = scram_verifier(login.password, self._entropy)
        owner, role, database = map(_quoted, (self._owner, login.user, login.database))
        async with self._administrators_connection() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            if not await _has_role(connection, self._owner):
                await connection.execute(f"CREATE ROLE {owner} NOLOGIN")
                await connection.execute(f"REVOKE ALL ON DATABASE {database} FROM PUBLIC")
                await connection.execute(f"ALTER DATABASE {database} OWNER TO {owner}")
            if not await _has_role(connection, login.user):
                await connection.execute(f"CREATE ROLE {role} IN ROLE {owner}")
            await connection.execute(f"ALTER ROLE {role} SET role = {owner}")
            await connection.execute(f"ALTER ROLE {role} LOGIN PASSWORD '{verifier}'")

    async def test(self, login: Login) -> None:
        async with _connection(login, PasswordRefused("the server refuses that login")) as one:
            await one.fetchval("SELECT 1")

    async def retire(self, login: Login) -> None:
        owner, role = map(_quoted, (self._owner, login.user))
        async with self._administrators_connection() as connection:
            if not await _has_role(connection, login.user):
                return
            # First, so that no session begins once the others are ended.
            await connection.execute(f"ALTER ROLE {role} NOLOGIN PASSWORD NULL")
            await _end_sessions(connection, login.user)
            async with connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
                if await _has_role(connection, login.user):
                    await connection.execute(f"REASSIGN OWNED BY {role} TO {owner}")
                    await connection.execute(f"DROP OWNED BY {role}")
                    await connection.execute(f"DROP ROLE {role}")

    def _administrators_connection(self) -> Any:
        refusal = AdministratorRefused(
            f"{self._administrator.place} refuses its administrator: the vault has another"
            " password than the server"
        )
        return _connection(self._administrator, refusal)


async def _end_sessions(connection: Any, user: str) -> None:
    """End every session of *user*. Raises Unavailable: one does not end."""
    for _ in range(_ROUNDS):
        ended = await connection.fetch(
            "SELECT pg_terminate_backend(pid, $2) FROM pg_stat_activity WHERE usename = $1",
            user,
            _ENDS_WITHIN_MS,
        )
        if not ended:
            return
    raise Unavailable(f"sessions of {user} do not end")


async def _has_role(connection: Any, name: str) -> bool:
    return bool(await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", name))


@asynccontextmanager
async def _connection(login: Login, refusal: Exception) -> AsyncIterator[Any]:
    """Yield a connection of asyncpg, made by *login*.

    Raises:
        Unavailable: the server is away, is starting, or has no connection to give.
        The *refusal*: the server refuses the login.
    """
    import asyncpg  # noqa: PLC0415  of the group data-servers, when used

    try:
        connection = await asyncpg.connect(
            host=login.host,
            port=login.port,
            user=login.user,
            password=login.password,
            database=login.database,
            ssl=False,
            timeout=_CONNECTS_WITHIN_S,
        )
        try:
            yield connection
        finally:
            # The protocol's farewell waits for the server, which may be away by now.
            connection.terminate()
    except asyncpg.PostgresError as refused:
        if refused.sqlstate in _REFUSED:
            raise refusal from refused
        raise Unavailable(f"{login.place} refuses for now: {refused.sqlstate}") from refused
    except (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError) as broken:
        raise Unavailable(f"{login.place} is away: {type(broken).__name__}") from broken


def _quoted(name: str) -> str:
    """Return *name* as an identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'
