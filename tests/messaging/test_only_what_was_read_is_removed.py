"""A timer removes documents exactly as it read them, or none of them."""

from typing import Final

from shared.messaging.removal import ReadDocument, remove
from shared.persistence.store import Create, Document, Partition, Replace
from tests.kit.service import TENANT, Bench, bench
from tests.kit.virtual_time import run_virtual

HERE: Final = Partition(TENANT, "abcdefghijkl")


async def _stored(at: Bench, *names: str) -> list[Document]:
    return [each for name in names if (each := await at.service.store.read(HERE, name)) is not None]


def test_what_was_read_is_removed_together() -> None:
    async def main() -> None:
        at = bench("catalog")
        await at.service.store.batch(HERE, [Create("a", {"n": 1}), Create("b", {"n": 1})])

        assert await remove(await _stored(at, "a", "b"), at.service)

        assert await _stored(at, "a", "b") == []

    run_virtual(main())


def test_what_was_read_is_removed_by_where_it_was() -> None:
    async def main() -> None:
        at = bench("catalog")
        await at.service.store.batch(HERE, [Create("a", {"n": 1})])
        read = [ReadDocument.of(each) for each in await _stored(at, "a")]

        assert await remove(read, at.service)
        assert await remove([], at.service)

        assert not hasattr(read[0], "body")
        assert await _stored(at, "a") == []

    run_virtual(main())


def test_where_one_was_written_meanwhile_all_stay() -> None:
    async def main() -> None:
        at = bench("catalog")
        store = at.service.store
        await store.batch(HERE, [Create("a", {"n": 1}), Create("b", {"n": 1})])
        read = await _stored(at, "a", "b")
        await store.batch(HERE, [Replace("b", {"n": 2}, read[1].etag)])

        assert not await remove(read, at.service)

        assert [each.body["n"] for each in await _stored(at, "a", "b")] == [1, 2]

    run_virtual(main())


def test_what_another_run_removed_is_no_failure() -> None:
    async def main() -> None:
        at = bench("catalog")
        await at.service.store.batch(HERE, [Create("a", {"n": 1})])
        read = await _stored(at, "a")
        assert await remove(read, at.service)

        assert not await remove(read, at.service)

    run_virtual(main())
