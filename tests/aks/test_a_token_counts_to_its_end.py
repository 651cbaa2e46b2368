"""A token of Entra is renewed before its end; while nobody renews it, it is used up to it."""

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

    async def get_token(self, *_scopes: str, **_options: Any) -> Token:
        from azure.core.exceptions import ServiceRequestError

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
