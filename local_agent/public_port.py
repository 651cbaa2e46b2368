"""Which other program has the public port of a site, where its Envoy does not answer."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import psutil

from local_agent.envoy_process import last_complaint
from local_agent.launcher import TOKEN_VARIABLE
from local_agent.process_identity import environ_of
from local_agent.starts import started_token
from local_agent.state_files import DesiredSite, SiteFolder
from shared.surfaces.errors import TrafficUnavailable

_HERE: Final = frozenset({"127.0.0.1", "0.0.0.0", "::"})  # noqa: S104  compared with
"""Addresses on which a listener keeps another one from 127.0.0.1."""


def taken_by_another(site: DesiredSite, edge: Path) -> str:
    """Return that a program other than the Envoy in *edge* has the port of *site*, and which.

    Empty where none has, or this system does not say.
    """
    own = started_token(edge)
    for pid in _listeners(site.public_port):
        if pid is None or not own or environ_of(pid).get(TOKEN_VARIABLE) != own:
            return (
                f"port {site.public_port}, the public port of {site.spec.environment}, is taken by"
                f" {_program(pid)}: end that, and the environment has its port again in a second"
            )
    return ""


def _listeners(port: int) -> Iterator[int | None]:
    """Return the processes that listen on *port*; None for one of another user."""
    with suppress(psutil.Error):  # not every system tells
        for each in psutil.net_connections("tcp"):
            if (
                each.status == psutil.CONN_LISTEN
                and each.laddr
                and each.laddr.port == port
                and each.laddr.ip in _HERE
            ):
                yield each.pid


def _program(pid: int | None) -> str:
    if pid is None:
        return "a program of another user"
    with suppress(psutil.Error):
        return f"{psutil.Process(pid).name()}, process {pid}"
    return f"process {pid}"


@asynccontextmanager
async def explained(folder: SiteFolder, *, by_log: bool = False) -> AsyncIterator[None]:
    """Say of an Envoy that does not answer which program has its port.

    Raises:
        TrafficUnavailable: as it was raised, where no other program has it; *by_log* with what
            Envoy itself complains of.
    """
    try:
        yield
    except TrafficUnavailable as silent:
        site = folder.site()
        taken = await asyncio.to_thread(taken_by_another, site, folder.edge) if site else ""
        if not taken and not by_log:
            raise
        complaint = "" if taken else await asyncio.to_thread(last_complaint, folder.edge)
        because = taken or f"{silent.message}: {complaint}"
        raise TrafficUnavailable(because, retry_after_s=2.0) from silent
