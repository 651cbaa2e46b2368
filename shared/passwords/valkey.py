"""Logins of one Valkey server: users of its access control list, which it keeps in a file.

A user could have several passwords, but then nothing tells whose session is whose, and none could
be ended alone: so each version of a secret has a user of its own here too.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from shared.kernel.errors import Unavailable
from shared.passwords.logins import Login
from shared.passwords.port import AdministratorRefused, PasswordRefused
from shared.passwords.verifiers import acl_verifier

_RIGHTS: Final = ("~*", "&*", "+@all", "-@admin")
"""All data, and no command that changes the server or its users."""
_REFUSED: Final = ("WRONGPASS", "NOPERM", "NOAUTH")


class ValkeyLogins:
    """The logins of the server of *administrator*. See `PasswordResources` for what each does."""

    def __init__(self, administrator: Login) -> None:
        self._administrator = administrator

    async def set(self, login: Login) -> None:
        rights = ("reset", "on", f"#{acl_verifier(login.password)}", *_RIGHTS)
        await self._change("SETUSER", login.user, *rights)

    async def test(self, login: Login) -> None:
        async with _connection(login) as connection:
            try:
                await connection.ask("AUTH", login.user, login.password)
                await connection.ask("PING")
            except _Refusal as refusal:
                raise PasswordRefused("the server refuses that login") from refusal

    async def retire(self, login: Login) -> None:
        # It ends the sessions of that user too.
        await self._change("DELUSER", login.user)

    async def _change(self, *words: str) -> None:
        """Change the list by the command of *words*, and write it to its file."""
        administrator = self._administrator
        async with _connection(administrator) as connection:
            try:
                await connection.ask("AUTH", administrator.user, administrator.password)
                await connection.ask("ACL", *words)
                await connection.ask("ACL", "SAVE")
            except _Refusal as refusal:
                raise AdministratorRefused(
                    f"{administrator.place} refuses its administrator: the vault has another"
                    " password than the server"
                ) from refusal


class _Refusal(Exception):
    """The server refuses who asks; the text is the first word of its answer."""


class _Connection:
    """Asks by the protocol of Redis: https://valkey.io/topics/protocol/.

    The commands here are answered by one line each.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self, *words: str) -> None:
        """Raises _Refusal; ConnectionError for all other answers that are no success."""
        encoded = [word.encode() for word in words]
        parts = (b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded)
        self._writer.write(b"*%d\r\n" % len(encoded) + b"".join(parts))
        answer = (await self._reader.readuntil(b"\r\n")).decode(errors="replace")
        if answer.startswith("-"):
            code = answer[1:].split()[0]
            raise _Refusal(code) if code in _REFUSED else ConnectionError(code)


@asynccontextmanager
async def _connection(login: Login) -> AsyncIterator[_Connection]:
    """Yield a connection to the server of *login*.

    Raises:
        Unavailable: it is away, or loading.
    """
    try:
        reader, writer = await asyncio.open_connection(login.host, login.port)
        try:
            yield _Connection(reader, writer)
        finally:
            writer.transport.abort()
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as broken:
        raise Unavailable(f"{login.place} is away: {type(broken).__name__}") from broken
