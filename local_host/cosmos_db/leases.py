"""Leases of Cosmos DB triggers: who follows a feed range, and how far that came."""

from typing import Protocol

from local_host.cosmos_db.settings import FeedSettings


class LeaseLost(Exception):
    """Another host has taken the lease; what it was shown since then may be shown twice."""


class Lease(Protocol):
    """One feed range, held for one trigger."""

    @property
    def continuation(self) -> str | None:
        """Where to go on; None where nothing was shown yet."""
        ...

    @property
    def is_lost(self) -> bool: ...

    async def move(self, continuation: str) -> None:
        """Remember *continuation*; durable when this returns.

        Raises:
            LeaseLost: another host follows.
        """
        ...

    async def release(self) -> None:
        """Let another host follow at once."""
        ...


class Leases(Protocol):
    """The leases of one connection."""

    async def prepare(self) -> None:
        """Make what there is to make before the first use."""
        ...

    async def take(self, feed: FeedSettings, feed_range: str) -> Lease | None:
        """Return the lease of one feed range; None while another host holds it."""
        ...
