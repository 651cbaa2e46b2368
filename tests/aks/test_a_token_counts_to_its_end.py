"""A token of Entra is renewed before its end; while nobody renews it, it is used up to it."""

import asyncio
from datetime import timedelta
from typing import Any, NamedTuple

import pytest

from shared.kernel.errors import Unavailable
from shared.surfaces.aks.bearer_tokens import EntraTokens
from tests.kit.virtual_time import LoopClock, run_virtual


class Token(NamedTuple):
    token: str
    expires_on: int


class Entra:
    """Gives a token for ten minutes, unless it is away."""

    def __init__(self, clock: LoopClock) -> None:
        self.clock = clock
        self.is_away = False
        self.given = 0
        self.asked = 0
        self.answers_after_s = 0.0

    async def get_token(self, *_scopes: str, **_options: Any) -> Token:
        from azure.core.exceptions import ServiceRequestError

        self.asked += 1
        await self.clock.sleep(self.answers_after_s)
        if self.is_away:
            raise ServiceRequestError("nobody answers")
        self.given += 1
        ends = self.clock.now() + timedelta(minutes=10)
        return Token(f"token-{self.given}", int(ends.timestamp()))


def test_a_token_is_used_to_its_end_while_entra_is_away() -> None:
    async def main() -> None:
        clock = LoopClock()
        entra: Any = Entra(clock)
        tokens = EntraTokens(lambda: entra, clock)
        assert await tokens.token() == "token-1"

        entra.is_away = True
        await clock.sleep(7 * 60)
        assert await tokens.token() == "token-1"
        await clock.sleep(3 * 60)
        with pytest.raises(Unavailable, match="got no token for AKS"):
            await tokens.token()

        entra.is_away = False
        assert await tokens.token() == "token-2"

    run_virtual(main())


def test_requests_do_not_queue_for_entra_while_a_token_counts() -> None:
    async def main() -> None:
        clock = LoopClock()
        entra: Any = Entra(clock)
        tokens = EntraTokens(lambda: entra, clock)
        await tokens.token()

        entra.is_away, entra.answers_after_s = True, 60.0
        await clock.sleep(6 * 60)
        asking = asyncio.ensure_future(tokens.token())
        await clock.sleep(1)
        before_s = clock.monotonic_s()
        assert await tokens.token() == "token-1"
        assert clock.monotonic_s() == before_s
        assert await asking == "token-1"
        assert [await tokens.token() for _ in range(3)] == ["token-1"] * 3
        assert entra.asked == 2

        entra.is_away = False
        await clock.sleep(15)
        assert await tokens.token() == "token-2"

    run_virtual(main())
