"""The Cosmos endpoint on a socket, and a clock that a test moves by hand."""

from collections.abc import AsyncIterator

import pytest

from tests.kit.cosmos import Wire, wired
from tests.kit.stores import HandClock


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def wire(clock: HandClock) -> AsyncIterator[Wire]:
    async with wired(clock) as opened:
        yield opened
