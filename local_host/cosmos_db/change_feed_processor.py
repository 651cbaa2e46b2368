"""Follows the change feed of one container for one function, each feed range on its own.

A batch is shown at least once and in order; its continuation is stored after the function ended,
whatever it ended with. A store in this process says when it was written to, so the poll delay
matters only for containers that other processes write to. A feed range whose lease another host
holds is tried again after each poll delay.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Final

import azure.functions as func

from local_cloud.cosmos_containers import ChangeFeed, ShownDocument
from local_cloud.notifications import Arrivals
from local_host.cosmos_db.leases import Lease, LeaseLost, Leases
from local_host.cosmos_db.settings import FeedSettings
from local_host.invocation.retry import invoke_with_retry
from local_host.model import IndexedFunction, Invocation, InvocationFailed, Invoker
from shared.kernel.clock import Clock
from shared.kernel.errors import Unavailable

_log = logging.getLogger(__name__)
_SKIP_PAGE: Final = 1000


class ChangeFeedProcessor:
    """Shows one function what changed in one container, each feed range on its own."""

    def __init__(
        self,
        function: IndexedFunction,
        settings: FeedSettings,
        *,
        find: Callable[[], Awaitable[ChangeFeed | None]],
        leases: Leases,
        place: str,
        invoker: Invoker,
        clock: Clock,
    ) -> None:
        """*place* is where the container is, in words for the log."""
        self._function = function
        self._place = place
        self._waits_for = ""
        self._settings = settings
        self._find = find
        self._leases = leases
        self._invoker = invoker
        self._clock = clock
        self._changed = Arrivals()
        self._stopping = False
        self._followers: list[asyncio.Task[None]] = []
        self._end_announcements: Callable[[], None] = lambda: None

    async def start(self) -> None:
        from_beginning = self._settings.from_beginning
        try:
            if await self._follow_all(from_beginning=from_beginning):
                return
        except Exception as problem:  # noqa: BLE001  the account may be as it should be later
            self._wait_after(problem)
            self._begin(self._await_container(from_beginning=from_beginning))
            return
        _log.warning(
            "%s waits for the container %s/%s, which does not exist",
            self._function.name,
            self._settings.database,
            self._settings.container,
        )
        # What is in the container when it is there, came after the start.
        self._begin(self._await_container(from_beginning=True))

    async def _await_container(self, *, from_beginning: bool) -> None:
        """Look again after each poll delay."""
        least_s = 0.0
        while not self._stopping:
            await self._pause(self._changed.count, least_s)
            try:
                if await self._follow_all(from_beginning=from_beginning):
                    return
                least_s = 0.0
            except Exception as problem:  # noqa: BLE001  a feed that is not followed is worse
                least_s = self._wait_after(problem)

    async def _follow_all(self, *, from_beginning: bool) -> bool:
        """Begin to follow each feed range; return whether there is a container.

        Nothing was begun where it raises.
        """
        source = await self._find()
        if source is None:
            return False
        feed_ranges = await source.feed_ranges()
        self._end_announcements = source.on_change(self._changed.notify)
        for feed_range in feed_ranges:
            try:
                lease = await self._take(source, feed_range, from_beginning=from_beginning)
            except Exception:  # noqa: BLE001  the follower tries again, and says so
                lease = None
            self._begin(self._follow(source, feed_range, lease, from_beginning=from_beginning))
        return True

    def _wait_after(self, problem: Exception) -> float:
        """Log why nothing is followed; return the seconds to wait at least."""
        if isinstance(problem, Unavailable):
            if (
                problem.message != self._waits_for
            ):  # once: it may last until somebody does something
                _log.warning(
                    "%s waits for Cosmos DB at %s: %s", self._function.name, self._place, problem
                )
            self._waits_for = problem.message
            return problem.retry_after_s
        _log.error(
            "following the changes for %s failed, goes on", self._function.name, exc_info=problem
        )
        return 0.0

    async def _take(
        self, source: ChangeFeed, feed_range: str, *, from_beginning: bool
    ) -> Lease | None:
        """Return the lease, where there is nobody before us; it has come to where we begin."""
        lease = await self._leases.take(self._settings, feed_range)
        if lease is not None and lease.continuation is None and not from_beginning:
            try:
                await self._skip_to_end(source, feed_range, lease)
            except BaseException:
                await lease.release()
                raise
        return lease

    def _begin(self, follower: Coroutine[object, object, None]) -> None:
        self._followers.append(asyncio.create_task(follower, name=self._function.name))

    async def stop(self, grace_s: float) -> None:
        """A batch that does not end within *grace_s* is cut off, and shown again next time."""
        self._stopping = True
        self._end_announcements()
        self._changed.notify()
        if not self._followers:
            return
        grace = asyncio.ensure_future(self._clock.sleep(grace_s))
        ended = asyncio.gather(*self._followers, return_exceptions=True)
        await asyncio.wait((grace, ended), return_when=asyncio.FIRST_COMPLETED)
        grace.cancel()
        for follower in self._followers:
            follower.cancel()
        await asyncio.gather(*self._followers, return_exceptions=True)

    async def _skip_to_end(self, source: ChangeFeed, feed_range: str, lease: Lease) -> None:
        """Move *lease* behind everything there is."""
        continuation: str | None = None
        while True:
            documents, continuation = await source.changes(feed_range, continuation, _SKIP_PAGE)
            if not documents:
                await lease.move(continuation)
                return

    async def _follow(
        self, source: ChangeFeed, feed_range: str, lease: Lease | None, *, from_beginning: bool
    ) -> None:
        try:
            while not self._stopping:
                seen = self._changed.count
                try:
                    if lease is None or lease.is_lost:
                        lease = await self._take(source, feed_range, from_beginning=from_beginning)
                    if lease is None or not await self._process_page(source, feed_range, lease):
                        await self._pause(seen)
                except LeaseLost:
                    _log.warning("%s: another host follows its changes", self._function.name)
                except Exception as problem:  # noqa: BLE001  a feed that is not followed is worse
                    await self._pause(seen, self._wait_after(problem))
        finally:
            if lease is not None:
                await lease.release()

    async def _process_page(self, source: ChangeFeed, feed_range: str, lease: Lease) -> bool:
        """Show the function one page, and move *lease* behind it; return whether there was one."""
        documents, behind = await source.changes(
            feed_range, lease.continuation, self._settings.max_items
        )
        if documents:
            await self._invoke(documents)
            await lease.move(behind)
        self._waits_for = ""
        return bool(documents)

    async def _invoke(self, documents: Sequence[ShownDocument]) -> None:
        argument = func.DocumentList(func.Document(document) for document in documents)
        invocation = Invocation(self._function, {self._function.trigger.name: argument})
        try:
            await invoke_with_retry(invocation, invoker=self._invoker, clock=self._clock)
        except InvocationFailed as failed:
            _log.error(
                "%s failed on %d documents from %r on, which it will not see again: %s",
                self._function.name,
                len(documents),
                documents[0]["id"],
                failed.text,
                exc_info=failed.cause,
            )

    async def _pause(self, seen: int, least_s: float = 0.0) -> None:
        """Return after the poll delay or *least_s*, or at once when the store was written to."""
        changed = asyncio.ensure_future(self._changed.since(seen))
        delay = asyncio.ensure_future(self._clock.sleep(max(self._settings.poll_s, least_s)))
        try:
            await asyncio.wait((changed, delay), return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
            delay.cancel()
