"""Contract of `Store.batch`, `read` and `read_many`: same cases, same results, every adapter."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import pytest

from shared.kernel.errors import Invalid, TooLarge
from shared.persistence.store import (
    BatchRefused,
    Create,
    Delete,
    Etag,
    Partition,
    Query,
    Replace,
    Store,
    Upsert,
)
from tests.kit.stores import Opened

HERE = Partition("tenant-a", "k1", "-")
OTHER_TENANT = Partition("tenant-b", "k1", "-")


def deep(levels: int) -> dict[str, object]:
    body: dict[str, object] = {}
    for _ in range(levels):
        body = {"a": body}
    return body


async def create(store: Store, document_id: str, **body: object) -> Etag:
    (etag,) = await store.batch(HERE, [Create(document_id, body)])
    assert etag is not None
    return etag


async def test_what_was_created_is_read_back_whole(store: Store) -> None:
    body = {"tenantId": "t", "ttl": "24h", "unit": {"a": [1, 2.5, None, True]}, "text": "é\u2028✓"}

    etag = await create(store, "deployment/dep-1", **body)

    document = await store.read(HERE, "deployment/dep-1")
    assert document is not None
    assert (document.id, document.partition, document.etag) == ("deployment/dep-1", HERE, etag)
    assert document.body == body


async def test_an_absent_document_is_none(store: Store) -> None:
    assert await store.read(HERE, "nothing") is None


async def test_another_tenants_partition_is_empty(store: Store) -> None:
    await create(store, "a", n=1)

    assert await store.read(OTHER_TENANT, "a") is None


async def test_equal_ids_in_two_partitions_are_two_documents(store: Store) -> None:
    await create(store, "a", n=1)
    await store.batch(OTHER_TENANT, [Create("a", {"n": 2})])

    mine, theirs = await store.read(HERE, "a"), await store.read(OTHER_TENANT, "a")

    assert mine is not None
    assert theirs is not None
    assert (mine.body, theirs.body) == ({"n": 1}, {"n": 2})


async def test_a_batch_writes_all_its_operations_and_returns_their_etags(store: Store) -> None:
    first = await create(store, "aggregate", n=1)
    gone = await create(store, "old", n=1)

    etags = await store.batch(
        HERE,
        [
            Replace("aggregate", {"n": 2}, first),
            Create("outbox/1", {"kind": "publish"}),
            Upsert("applied", {"revision": 2}),
            Delete("old", gone),
        ],
    )

    found = await store.read_many(HERE, ["aggregate", "outbox/1", "applied", "old"])
    assert {key: document.etag for key, document in found.items()} == {
        "aggregate": etags[0],
        "outbox/1": etags[1],
        "applied": etags[2],
    }
    assert etags[3] is None
    assert len({*etags}) == 4


@pytest.mark.parametrize(
    ("refused", "status"),
    [
        pytest.param(Create("there", {}), 409, id="create-of-an-existing-id"),
        pytest.param(Replace("absent", {}, Etag('"1"')), 404, id="replace-of-an-absent-id"),
        pytest.param(Replace("there", {}, Etag('"abc"')), 412, id="replace-with-a-stale-etag"),
        pytest.param(Replace("there", {}, Etag('"0x1"')), 412, id="replace-with-another-number"),
        pytest.param(Replace("there", {}, Etag("f" * 5_000)), 412, id="replace-with-a-long-etag"),
        pytest.param(Replace("there", {}, Etag("")), 412, id="replace-with-an-empty-etag"),
        pytest.param(Delete("there", Etag("é" * 20)), 412, id="delete-with-an-etag-that-is-none"),
        pytest.param(Delete("absent"), 404, id="delete-of-an-absent-id"),
        pytest.param(Delete("absent", Etag('"1"')), 404, id="delete-of-an-absent-id-by-etag"),
        pytest.param(Delete("there", Etag('"abc"')), 412, id="delete-with-a-stale-etag"),
    ],
)
async def test_one_refused_operation_undoes_the_whole_batch(
    store: Store, refused: Create | Replace | Delete, status: int
) -> None:
    await create(store, "there", n=1)

    with pytest.raises(BatchRefused) as caught:
        await store.batch(HERE, [Create("new", {}), Upsert("there", {"n": 2}), refused])

    assert (caught.value.status, caught.value.index) == (status, 2)
    assert caught.value.operation_id == refused.id
    assert await store.read(HERE, "new") is None
    document = await store.read(HERE, "there")
    assert document is not None
    assert document.body == {"n": 1}


async def test_a_refused_batch_undoes_none_of_those_that_are_committed_with_it(
    store: Store,
) -> None:
    etag = await create(store, "aggregate", n=1)
    await create(store, "taken")

    outcomes = await asyncio.gather(
        store.batch(HERE, [Create("outbox/1", {}), Create("outbox/2", {})]),
        store.batch(HERE, [Create("outbox/3", {}), Replace("aggregate", {"n": 2}, Etag('"abc"'))]),
        store.batch(HERE, [Create("outbox/4", {}), Create("taken", {})]),
        store.batch(HERE, [Create("outbox/5", {}), Replace("aggregate", {"n": 3}, etag)]),
        return_exceptions=True,
    )

    refused = [outcome for outcome in outcomes if isinstance(outcome, BatchRefused)]
    assert [(each.status, each.index) for each in refused] == [(412, 1), (409, 1)]
    documents = (await store.query(HERE, Query())).documents
    assert [document.id for document in documents] == [
        "aggregate", "outbox/1", "outbox/2", "outbox/5", "taken",
    ]  # fmt: skip
    assert documents[0].body == {"n": 3}


async def test_an_expired_id_is_free_in_a_batch_of_several(opened: Opened) -> None:
    await opened.store.batch(HERE, [Create("inbox/1", {"n": 1}, ttl_s=1)])
    opened.clock.pass_by(2)

    await opened.store.batch(HERE, [Create("a", {}), Create("inbox/1", {"n": 2}), Create("b", {})])

    found = await opened.store.read_many(HERE, ["a", "inbox/1", "b"])
    assert {key: document.body for key, document in found.items()} == {
        "a": {}, "inbox/1": {"n": 2}, "b": {},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        pytest.param("é\ud83d", "é\ud83d", id="a-lone-surrogate"),
        pytest.param("NaN Infinity", "NaN Infinity", id="words-for-numbers-that-json-has-not"),
        pytest.param(2**70, 2**70, id="a-number-of-more-than-64-bits"),
        pytest.param(datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00Z", id="an-instant"),
        pytest.param(UUID(int=1), str(UUID(int=1)), id="a-uuid"),
    ],
)
async def test_a_value_is_stored_as_the_same_json_by_every_adapter(
    store: Store, value: object, stored: object
) -> None:
    await create(store, "a", x=value)

    document = await store.read(HERE, "a")

    assert document is not None
    assert document.body == {"x": stored}


async def test_an_etag_is_good_for_one_change(store: Store) -> None:
    etag = await create(store, "a", n=1)
    await store.batch(HERE, [Replace("a", {"n": 2}, etag)])

    with pytest.raises(BatchRefused) as caught:
        await store.batch(HERE, [Replace("a", {"n": 3}, etag)])

    assert caught.value.status == 412


async def test_the_etag_of_a_deleted_document_is_never_given_out_again(store: Store) -> None:
    etag = await create(store, "a", n=1)
    await store.batch(HERE, [Delete("a")])
    await create(store, "a", n=1)

    with pytest.raises(BatchRefused) as caught:
        await store.batch(HERE, [Delete("a", etag)])

    assert caught.value.status == 412


async def test_a_batch_sees_its_own_earlier_operations(store: Store) -> None:
    with pytest.raises(BatchRefused) as caught:
        await store.batch(HERE, [Create("a", {}), Create("a", {})])

    assert (caught.value.status, caught.value.index) == (409, 1)


async def test_a_hundred_operations_are_one_batch(store: Store) -> None:
    etags = await store.batch(HERE, [Create(f"row/{n}", {"n": n}) for n in range(100)])

    assert len({*etags}) == 100


@pytest.mark.parametrize(
    ("operations", "error"),
    [
        pytest.param([], Invalid, id="none"),
        pytest.param([Upsert(f"r{n}", {}) for n in range(101)], TooLarge, id="a-101st"),
        pytest.param(
            [Upsert(f"r{n}", {"x": "x" * 300_000}) for n in range(4)], TooLarge, id="over-1-MB"
        ),
        pytest.param([Upsert("r0", {"x": float("nan")})], Invalid, id="not-json"),
        pytest.param([Upsert("r0", {"x": object()})], Invalid, id="not-a-json-type"),
        pytest.param([Upsert("r0", deep(1_500))], Invalid, id="nested-too-deep"),
        pytest.param([Upsert("r0", {}, ttl_s=0)], Invalid, id="no-time-to-live"),
        pytest.param([Upsert("r0", {}, ttl_s=2**31)], Invalid, id="a-time-to-live-over-31-bits"),
        pytest.param([Upsert("r\ud83d", {})], Invalid, id="an-id-with-a-lone-surrogate"),
        pytest.param([Upsert("", {})], Invalid, id="no-id"),
        pytest.param([Upsert("i" * 1024, {})], Invalid, id="a-long-id"),
    ],
)
async def test_a_batch_out_of_bounds_is_refused_and_writes_nothing(
    store: Store, operations: list[Upsert], error: type[Exception]
) -> None:
    with pytest.raises(error):
        await store.batch(HERE, operations)

    assert await store.read(HERE, "r0") is None


async def test_a_bounded_read_takes_eight_ids_and_no_ninth(store: Store) -> None:
    await store.batch(HERE, [Create(f"d{n}", {"n": n}) for n in range(9)])

    found = await store.read_many(HERE, [f"d{n}" for n in range(8)])

    assert sorted(found) == [f"d{n}" for n in range(8)]
    with pytest.raises(TooLarge):
        await store.read_many(HERE, [f"d{n}" for n in range(9)])


async def test_a_bounded_read_of_nothing_is_empty(store: Store) -> None:
    assert await store.read_many(HERE, []) == {}


@pytest.mark.parametrize(
    "document_id",
    ["a/b", "a|b", "a~b", "a?b", "a#b", "a\\b", "a b", "é✓", "a%2Fb", "a'b\"", "~7c", "a.b:c+d"],
)
async def test_any_text_is_an_id(store: Store, document_id: str) -> None:
    await create(store, document_id, n=1)

    document = await store.read(HERE, document_id)
    many = await store.read_many(HERE, [document_id])

    assert document is not None
    assert document.id == document_id
    assert list(many) == [document_id]


async def test_changed_at_is_the_stores_whole_second(opened: Opened) -> None:
    opened.clock.pass_by(90.7)
    await create(opened.store, "a", n=1)

    document = await opened.store.read(HERE, "a")

    assert document is not None
    assert document.changed_at_s == int(opened.clock.now().timestamp())
