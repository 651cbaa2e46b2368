"""Long polls for the same content: one read for all, and its result for who comes just after."""

import asyncio
from collections.abc import Callable
from typing import Any

from shared.web.long_polls import Content, Followers, Key
from tests.kit.virtual_time import LoopClock, run_virtual

KEY: Key = ("acme", "what")


class Source:
    """Reads a content, and counts how often."""

    def __init__(self) -> None:
        self.content = Content("v1", b"one")
        self.reads = 0
        self.fails = False

    async def read(self) -> Content:
        self.reads += 1
        if self.fails:
            raise OSError("the store is away")
        return self.content


def played(act: Callable[[Followers, Source], Any]) -> Any:
    async def main() -> Any:
        return await act(Followers(LoopClock()), Source())

    return run_virtual(main())


def test_however_many_wait_one_task_reads_and_all_are_answered_at_once() -> None:
    async def act(followers: Followers, source: Source) -> Any:
        waits = [
            asyncio.ensure_future(followers.wait(KEY, "v1", source.read, 50)) for _ in range(1000)
        ]
        await followers.clock.sleep(5.5)
        reads = source.reads
        source.content = Content("v2", b"two")
        followers.read_now("acme")
        return reads, await asyncio.gather(*waits), source.reads

    before, answers, after = played(act)

    assert before == 6
    assert {answer and answer.hash for answer in answers} == {"v2"}
    assert after == 7


def test_who_asks_while_others_wait_is_told_what_they_wait_with() -> None:
    async def act(followers: Followers, source: Source) -> Any:
        none = followers.newest(KEY)
        waiting = asyncio.ensure_future(followers.wait(KEY, "v1", source.read, 3))
        await followers.clock.sleep(1)
        newest = followers.newest(KEY)
        await waiting
        return none, newest, followers.newest(KEY)

    assert played(act) == (None, Content("v1", b"one"), None)


def test_nobody_who_has_read_the_newer_content_is_given_the_older_one() -> None:
    async def act(followers: Followers, source: Source) -> Any:
        others = asyncio.ensure_future(followers.wait(KEY, "v1", source.read, 50))
        await followers.clock.sleep(0.2)
        source.content = Content("v2", b"two")
        mine = await followers.read(KEY, source.read)
        held = await followers.wait(KEY, mine.hash, source.read, 3)
        return mine.hash, held, (await others).hash

    assert played(act) == ("v2", None, "v2")


def test_a_read_that_began_earlier_and_ends_later_says_nothing_newer() -> None:
    async def act(followers: Followers, source: Source) -> Any:
        async def slow() -> Content:
            content = source.content
            await followers.clock.sleep(0.5)
            return content

        waiting = asyncio.ensure_future(followers.wait(KEY, "v1", slow, 3))
        await followers.clock.sleep(0.2)
        source.content = Content("v2", b"two")
        await followers.read(KEY, source.read)
        return (await waiting).hash

    assert played(act) == "v2"


def test_what_cannot_be_read_any_more_is_nobodys_newest() -> None:
    async def act(followers: Followers, source: Source) -> Any:
        waiting = asyncio.ensure_future(followers.wait(KEY, "v1", source.read, 50))
        await followers.clock.sleep(1)
        source.fails = True
        await followers.clock.sleep(5)
        early = followers.newest(KEY)
        await followers.clock.sleep(10)
        late = followers.newest(KEY)
        waiting.cancel()
        return early, late

    assert played(act) == (Content("v1", b"one"), None)
