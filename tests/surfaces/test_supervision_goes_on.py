"""A defect of the supervisor is logged, and supervision begins again."""

import asyncio
import logging
from contextlib import suppress
from typing import Any

import pytest

from local_agent.agent import supervise
from tests.kit.virtual_time import LoopClock, run_virtual


class Breaking:
    """Breaks off twice, then is told to end."""

    def __init__(self) -> None:
        self.begun = 0

    async def supervise(self) -> None:
        self.begun += 1
        if self.begun <= 2:
            raise ZeroDivisionError
        raise asyncio.CancelledError


def test_supervision_that_broke_off_begins_again(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> Any:
        surface: Any = Breaking()
        with caplog.at_level(logging.WARNING), suppress(asyncio.CancelledError):
            await supervise(surface, LoopClock())
        return surface.begun

    assert run_virtual(main()) == 3
    assert "restarts" in caplog.text
