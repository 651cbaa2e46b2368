"""Records the calls of a port as parts of the work that waits for them.

Only the names of port and method are recorded, and how the call ended: arguments and results may
hold anything.
"""

import inspect
from functools import wraps
from typing import Any, TypeVar, cast

from shared.telemetry.names import CALL, OUTSIDE_CALL, PORT
from shared.telemetry.work import current

T = TypeVar("T")


def recorded(port: T, name: str) -> T:
    """Return *port*, whose coroutine methods are recorded under *name*."""
    # A proxy has the methods of any port; only the caller knows which one it is.
    return cast("T", _RecordedPort(port, name))


class _RecordedPort:
    def __init__(self, port: object, name: str) -> None:
        self._port = port
        self._name = name

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        if not inspect.iscoroutinefunction(method):
            return method

        @wraps(method)
        async def call(*arguments: Any, **named: Any) -> Any:
            with current().part(
                OUTSIDE_CALL, f"{self._name} {name}", {PORT: self._name, CALL: name}
            ):
                return await method(*arguments, **named)

        setattr(self, name, call)
        return call
