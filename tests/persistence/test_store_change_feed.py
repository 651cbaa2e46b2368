"""Contract of `Store.changes`: latest versions, in order, no deletes, resumable, every adapter."""

import pytest

from shared.kernel.errors import Invalid
from shared.persistence.store import BatchRefused, Create, Delete, Partition, Store, Upsert
from tests.kit.stores import all_changes

PLACES = [Partition(f"tenant-{n}", "k1", "-") for n in range(12)]
HERE = PLACES[0]


async def read_on(store: Store, places: dict[str, str | None], limit: int = 100) -> list[str]:
    """Return the ids that changed since *places*, which move on."""
    found: list[str] = []
    for feed_range, continuation in places.items():
        page = await store.changes(feed_range, continuation, limit=limit)
        found += [document.id for document in page.documents]
        places[feed_range] = page.continuation
    return found


async def from_the_beginning(store: Store) -> dict[str, str | None]:
    return dict.fromkeys(await store.feed_ranges())


async def test_every_document_is_in_exactly_one_feed_range(store: Store) -> None:
    for place in PLACES:
        await store.batch(place, [Create(place.tenant, {})])

    by_range = [
        [document.id for document in (await store.changes(name, None)).documents]
        for name in await store.feed_ranges()
    ]

    assert len(by_range) == 2
    assert all(by_range), "twelve tenants fall into both ranges"
    assert sorted(id_ for ids in by_range for id_ in ids) == sorted(p.tenant for p in PLACES)


async def test_changes_come_in_the_order_of_writes(store: Store) -> None:
    for n in (3, 1, 2):
        await store.batch(HERE, [Create(f"a{n}", {}), Create(f"b{n}", {})])

    assert [d.id for d in await all_changes(store)] == ["a3", "b3", "a1", "b1", "a2", "b2"]


async def test_a_document_changed_twice_is_shown_once_in_its_latest_version(store: Store) -> None:
    await store.batch(HERE, [Create("a", {"n": 1}), Create("b", {"n": 1})])
    (etag,) = await store.batch(HERE, [Upsert("a", {"n": 2})])

    changes = await all_changes(store)

    assert [(d.id, d.body) for d in changes] == [("b", {"n": 1}), ("a", {"n": 2})]
    assert changes[-1].etag == etag


async def test_deletes_are_not_shown(store: Store) -> None:
    await store.batch(HERE, [Create("a", {}), Create("b", {})])
    places = await from_the_beginning(store)
    await read_on(store, places)

    await store.batch(HERE, [Delete("a")])

    assert await read_on(store, places) == []


async def test_a_refused_batch_changes_nothing(store: Store) -> None:
    await store.batch(HERE, [Create("a", {})])
    places = await from_the_beginning(store)
    await read_on(store, places)

    with pytest.raises(BatchRefused):
        await store.batch(HERE, [Create("b", {}), Create("a", {})])

    assert await read_on(store, places) == []


async def test_reading_on_from_a_continuation_shows_only_what_is_new(store: Store) -> None:
    places = await from_the_beginning(store)
    assert await read_on(store, places) == []

    await store.batch(HERE, [Create("a", {})])
    assert await read_on(store, places) == ["a"]

    assert await read_on(store, places) == []
    await store.batch(HERE, [Create("b", {}), Upsert("a", {"n": 2})])
    assert await read_on(store, places) == ["b", "a"]


async def test_pages_of_a_feed_skip_and_repeat_nothing(store: Store) -> None:
    await store.batch(HERE, [Create(f"d{n}", {}) for n in range(7)])
    places = await from_the_beginning(store)

    read = [await read_on(store, places, limit=3) for _ in range(4)]

    assert read == [["d0", "d1", "d2"], ["d3", "d4", "d5"], ["d6"], []]


async def test_an_old_continuation_replays_what_came_after_it(store: Store) -> None:
    places = await from_the_beginning(store)
    await store.batch(HERE, [Create("a", {})])
    await read_on(store, places)
    kept = dict(places)
    await store.batch(HERE, [Create("b", {})])

    assert await read_on(store, places) == ["b"]
    assert await read_on(store, kept) == ["b"]


async def test_a_page_of_large_changes_ends_early_and_the_next_goes_on(store: Store) -> None:
    for n in range(6):
        await store.batch(HERE, [Create(f"d{n}", {"text": "x" * 900_000})])
    places = await from_the_beginning(store)

    read = [await read_on(store, places) for _ in range(3)]

    assert max(map(len, read)) <= 4
    assert [id_ for ids in read for id_ in ids] == [f"d{n}" for n in range(6)]


@pytest.mark.parametrize("limit", [0, -1])
async def test_a_page_of_no_changes_is_refused(store: Store, limit: int) -> None:
    (first, *_) = await store.feed_ranges()

    with pytest.raises(Invalid):
        await store.changes(first, None, limit=limit)


@pytest.mark.parametrize("continuation", ["x", "-1", "9" * 30, "9" * 5_000])
async def test_what_no_page_ended_with_is_refused(store: Store, continuation: str) -> None:
    (first, *_) = await store.feed_ranges()

    with pytest.raises(Invalid):
        await store.changes(first, continuation)


async def test_an_unknown_feed_range_is_refused(store: Store) -> None:
    with pytest.raises(Invalid):
        await store.changes("no-such-range", None)
