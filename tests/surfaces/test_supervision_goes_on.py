"""A defect of the supervisor is logged, and supervision begins again."""

import asyncio
import logging
from typing import Any

import pytest

from local_agent.local_surface import supervise
from local_agent.supervisor import SupervisorRunning
from tests.kit.virtual_time import LoopClock, run_virtual


class Breaking:
    """Breaks off twice, then finds that another process supervises."""

    def __init__(self) -> None:
        self.begun = 0

    async def supervise(self) -> None:
        self.begun += 1
        if self.begun <= 2:
            raise ZeroDivisionError
        raise SupervisorRunning("another process keeps it")


def test_supervision_that_broke_off_begins_again(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> Any:
        surface: Any = Breaking()
        with caplog.at_level(logging.WARNING):
            await asyncio.wait_for(supervise(surface, LoopClock()), 60)
        return surface.begun

    assert run_virtual(main()) == 3
    assert "restarts" in caplog.text
