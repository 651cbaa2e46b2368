"""Keeps logs that processes append to from growing for ever."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from shared.kernel.clock import Clock
from shared.persistence.plain_files import bound_log

LOG_BYTES_MAX: Final = 5 * 2**20
_EVERY_S: Final = 60.0
_log = logging.getLogger(__name__)


async def keep_bounded(logs: Callable[[], Iterable[Path]], clock: Clock) -> None:
    """Bound the files of *logs*, which is asked once a minute, until canceled."""
    while True:
        await clock.sleep(_EVERY_S)
        await asyncio.to_thread(lambda: bound_all(logs()))


def bound_all(logs: Iterable[Path]) -> None:
    """Move the end of each log that is longer than 5 MiB to `<log>.1`, and begin it again."""
    for log in logs:
        try:
            bound_log(log, LOG_BYTES_MAX)
        except OSError as failed:
            _log.warning("%s is not bounded: %s", log.name, failed)
