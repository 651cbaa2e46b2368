"""Contract of a document's time to live (https://learn.microsoft.com/azure/cosmos-db/nosql/time-to-live)."""

import pytest

from shared.persistence.store import BatchRefused, Create, Partition, Query, Replace, Upsert
from tests.kit.stores import Opened, all_changes

HERE = Partition("tenant-a", "k1", "-")


async def test_a_document_is_there_until_its_last_second(opened: Opened) -> None:
    await opened.store.batch(HERE, [Create("a", {}, ttl_s=10)])

    opened.clock.pass_by(9)

    assert await opened.store.read(HERE, "a") is not None


async def test_an_expired_document_is_gone_everywhere_at_once(opened: Opened) -> None:
    store = opened.store
    await store.batch(HERE, [Create("a", {"x": 1}, ttl_s=10), Create("b", {"x": 1})])

    opened.clock.pass_by(10)

    assert await store.read(HERE, "a") is None
    assert list(await store.read_many(HERE, ["a", "b"])) == ["b"]
    assert [found.id for found in (await store.query(HERE, Query())).documents] == ["b"]
    assert [found.id for found in (await store.query_due(Query())).documents] == ["b"]
    assert [found.id for found in await all_changes(store)] == ["b"]


async def test_the_id_of_an_expired_document_is_free(opened: Opened) -> None:
    await opened.store.batch(HERE, [Create("a", {"n": 1}, ttl_s=10)])
    opened.clock.pass_by(10)

    await opened.store.batch(HERE, [Create("a", {"n": 2})])

    document = await opened.store.read(HERE, "a")
    assert document is not None
    assert document.body == {"n": 2}


async def test_an_expired_document_cannot_be_replaced(opened: Opened) -> None:
    (etag,) = await opened.store.batch(HERE, [Create("a", {"n": 1}, ttl_s=10)])
    opened.clock.pass_by(10)
    assert etag is not None

    with pytest.raises(BatchRefused) as caught:
        await opened.store.batch(HERE, [Replace("a", {"n": 2}, etag)])

    assert caught.value.status == 404


async def test_every_write_starts_the_time_to_live_anew(opened: Opened) -> None:
    await opened.store.batch(HERE, [Upsert("a", {}, ttl_s=10)])
    opened.clock.pass_by(8)
    await opened.store.batch(HERE, [Upsert("a", {}, ttl_s=10)])

    opened.clock.pass_by(8)

    assert await opened.store.read(HERE, "a") is not None


async def test_a_write_without_a_time_to_live_keeps_the_document(opened: Opened) -> None:
    await opened.store.batch(HERE, [Upsert("a", {}, ttl_s=10)])
    await opened.store.batch(HERE, [Upsert("a", {})])

    opened.clock.pass_by(3600)

    assert await opened.store.read(HERE, "a") is not None
