"""Sessions of consumers at a real server, with the drivers that they would have."""

from typing import Any

from shared.passwords.logins import POSTGRESQL, parse
from shared.vault.port import SecretValue


def refusals() -> tuple[type[Exception], ...]:
    """Return what a driver raises where the server refuses, or has ended the session."""
    import asyncpg
    from valkey.exceptions import ValkeyError

    return (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, ValkeyError)


class Session:
    """One open session, which keeps a number."""

    def __init__(self, connection: Any, *, is_sql: bool) -> None:
        self._connection = connection
        self._is_sql = is_sql

    @classmethod
    async def open(cls, value: SecretValue) -> "Session":
        import asyncpg
        from valkey import asyncio as valkey
        from valkey.asyncio.retry import Retry
        from valkey.backoff import NoBackoff

        if parse(value).scheme == POSTGRESQL:
            return cls(await asyncpg.connect(value.reveal(), ssl=False), is_sql=True)
        # One connection that is not made again: it is the session.
        client = valkey.from_url(value.reveal(), max_connections=1, retry=Retry(NoBackoff(), 0))
        await client.ping()
        return cls(client, is_sql=False)

    async def keep(self, number: int) -> None:
        if self._is_sql:
            await self._connection.execute("CREATE TABLE IF NOT EXISTS kept (number int)")
            await self._connection.execute("DELETE FROM kept")
            await self._connection.execute("INSERT INTO kept VALUES ($1)", number)
        else:
            await self._connection.set("kept", number)

    async def kept(self) -> int:
        if self._is_sql:
            return int(await self._connection.fetchval("SELECT number FROM kept"))
        return int(await self._connection.get("kept"))

    async def command(self, sql: str, *words: str) -> None:
        if self._is_sql:
            await self._connection.execute(sql)
        else:
            await self._connection.execute_command(*words)

    async def close(self) -> None:
        if self._is_sql:
            self._connection.terminate()
        else:
            await self._connection.aclose()
