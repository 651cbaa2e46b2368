"""A read of the surface, as its port answers it: Present, Absent, or Unknown with the reason."""

from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from local_agent.observation import Unreadable
from local_agent.state_files import CorruptStateFile
from shared.kernel.observation import Absent, Present, Reading, Unknown
from shared.surfaces.errors import TrafficUnavailable

P = ParamSpec("P")
T = TypeVar("T")


def reading(
    read: Callable[P, Awaitable[T | None]],
) -> Callable[P, Coroutine[Any, Any, Reading[T]]]:
    """Make *read* a read of the port: Absent for None, Unknown if it cannot be answered."""

    @wraps(read)
    async def answered(*args: P.args, **kwargs: P.kwargs) -> Reading[T]:
        try:
            value = await read(*args, **kwargs)
        except (CorruptStateFile, Unreadable, TrafficUnavailable) as failed:
            return Unknown(str(failed))
        except OSError as failed:
            return Unknown(f"a file of the surface cannot be read: {failed.strerror}")
        return Absent() if value is None else Present(value)

    return answered
