"""What a provider over HTTP is shown: nothing, a password, the token in a file, or an identity."""

import asyncio
from base64 import b64encode
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shared.kernel.errors import Unavailable
from shared.persistence.plain_files import read_plain

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

Authorization = Callable[[], Awaitable[str]]
"""Gives the header `Authorization`, asked before each request; empty for none."""
_TOKEN_MAX: Final = 16 * 1024


async def nobody() -> str:
    return ""


def basic(user_and_password: str) -> Authorization:
    """Return the header of `user:password` (RFC 7617)."""
    header = f"Basic {b64encode(user_and_password.encode()).decode()}"

    async def authorization() -> str:
        return header

    return authorization


def token_in(file: Path) -> Authorization:
    """Return the header of the token in *file*, which whoever issues it replaces in time.

    Raises:
        Unavailable: there is no token in it.
    """

    async def authorization() -> str:
        try:
            text = (await asyncio.to_thread(_read, file)).decode("ascii").strip()
        except (OSError, ValueError) as problem:
            raise Unavailable(
                f"the file of its token cannot be read: {type(problem).__name__}"
            ) from problem
        if not text or any(each.isspace() for each in text):
            raise Unavailable("the file of its token has no token")
        return f"Bearer {text}"

    return authorization


def _read(file: Path) -> bytes:
    # Kubernetes puts a link to the token of the hour there.
    return read_plain(file.resolve(), at_most=_TOKEN_MAX)


def identity(credential: "Callable[[], AsyncTokenCredential]", audience: str) -> Authorization:
    """Return the header of a token for *audience*, of the identity of this app.

    Raises:
        Unavailable: the identity gets no token.
    """

    async def authorization() -> str:
        from azure.core.exceptions import AzureError  # noqa: PLC0415  heavy: where used

        try:
            token = await credential().get_token(f"{audience.rstrip('/')}/.default")
        except AzureError as problem:
            raise Unavailable(
                f"the identity gets no token for it: {type(problem).__name__}"
            ) from problem
        return f"Bearer {token.token}"

    return authorization
