"""A cluster without root: its process goes on in a user namespace, in which the user is root.

In it are a network, mounts and processes of its own, where the form `root` works as it is, but for
control groups. What clients outside are to reach are ports of 127.0.0.1: they are opened before,
and whoever has the open socket may accept on it, also from inside.
"""

import asyncio
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

from local_cluster.network import ip

_UNSHARE: Final = (
    "unshare", "--user", "--map-root-user", "--map-auto", "--mount", "--net", "--pid", "--ipc",
    "--fork", "--kill-child", "--mount-proc",
)  # fmt: skip
_PROBED_WITHIN_S: Final = 10
_CHUNK_BYTES: Final = 2**16
LOOPBACK: Final = "127.0.0.1"


def problem_of_user_namespaces() -> str:
    """Return why this user cannot have a user namespace with several ids; empty where it can."""
    for program in ("unshare", "newuidmap", "newgidmap"):
        if shutil.which(program) is None:
            return f"there is no `{program}` (Debian's uidmap has newuidmap)"
    try:
        ended = subprocess.run(  # noqa: S603  our own words
            [*_UNSHARE, "true"], capture_output=True, timeout=_PROBED_WITHIN_S, check=False
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "unshare does not end"
    return ended.stderr.decode(errors="replace").strip() if ended.returncode else ""


def command_inside(words: Sequence[str]) -> Sequence[str]:
    """Return the command that runs *words* as root of a new user namespace."""
    return (*_UNSHARE, *words)


def open_port(port: int) -> socket.socket:
    """Return a socket that listens at *port* of 127.0.0.1, and may be passed on."""
    opened = socket.create_server((LOOPBACK, port))
    opened.set_inheritable(True)
    return opened


def start_loopback() -> None:
    """Start the loopback interface of a new network namespace."""
    ip("link", "set", "lo", "up")


@asynccontextmanager
async def published(descriptors: Sequence[int]) -> AsyncIterator[tuple[int, ...]]:
    """Pass on what connects to the sockets *descriptors* to the same ports of this namespace.

    Yields the ports.
    """
    servers: list[asyncio.Server] = []
    ports: list[int] = []
    for descriptor in descriptors:
        listening = socket.socket(fileno=descriptor)
        port = listening.getsockname()[1]
        ports.append(port)
        servers.append(await asyncio.start_server(_passed_to(port), sock=listening))
    try:
        yield tuple(ports)
    finally:
        for server in servers:
            server.close()


def _passed_to(
    port: int,
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            inner_reader, inner_writer = await asyncio.open_connection(LOOPBACK, port)
            await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))
        writer.close()

    return serve


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while part := await reader.read(_CHUNK_BYTES):
            writer.write(part)
            await writer.drain()
    with suppress(OSError):
        writer.close()
