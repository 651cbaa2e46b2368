"""Reads of the surface's ports: what could not be read is Unknown, never an error."""

import logging
from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from shared.kernel.errors import UNREADABLE, Invalid, NotFound, Unavailable
from shared.kernel.observation import Absent, Present, Reading, Unknown
from shared.surfaces.aks.api_errors import ApiRefusal
from shared.surfaces.aks.records import Unreadable

_log = logging.getLogger(__name__)
P = ParamSpec("P")
Owner = TypeVar("Owner")
T = TypeVar("T")


def reading(
    read: Callable[Concatenate[Owner, P], Awaitable[T | None]],
) -> Callable[Concatenate[Owner, P], Coroutine[None, None, Reading[T]]]:
    """Make *read* a read of the port: Absent for None, Unknown if it cannot be answered."""

    @wraps(read)
    async def read_port(owner: Owner, /, *args: P.args, **kwargs: P.kwargs) -> Reading[T]:
        try:
            value = await read(owner, *args, **kwargs)
        except (Unavailable, Invalid, NotFound, ApiRefusal, Unreadable) as failed:
            return Unknown(str(failed))
        except UNREADABLE as odd:
            _log.exception("what the cluster answered is not understood")
            return Unknown(f"what the cluster answered is not understood: {type(odd).__name__}")
        return Absent() if value is None else Present(value)

    return read_port
