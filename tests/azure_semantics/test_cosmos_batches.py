"""Batches behave over the wire as Cosmos DB's do, through the official SDK and our adapter.

Sources: transactional batch, https://learn.microsoft.com/azure/cosmos-db/nosql/transactional-batch;
status codes, https://learn.microsoft.com/rest/api/cosmos-db/http-status-codes-for-cosmosdb; retries
as azure-cosmos 4.17 does them (`aio/_retry_utility_async.py`).
"""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ServiceResponseError
from azure.cosmos.exceptions import CosmosBatchOperationError

from local_cloud.cosmos_endpoint.faults import Fault, FaultKind, FaultMoment
from shared.kernel.errors import Unavailable
from shared.persistence.store import (
    AnswerLost,
    BatchRefused,
    Create,
    Partition,
    Query,
    Store,
    Upsert,
)
from tests.kit.cosmos import Wire

pytestmark = pytest.mark.real

HERE = Partition("tenant-a", "k1", "-")
KEY = list(HERE.values)


@pytest.fixture
def store(wire: Wire) -> Store:
    return wire.store()


def raw(document_id: str, **more: Any) -> dict[str, Any]:
    return {"id": document_id, "tenantId": "tenant-a", "environmentKey": "k1", "unit": "-", **more}


async def test_more_than_a_hundred_operations_are_a_bad_request(wire: Wire) -> None:
    container = await wire.account.container("runtime", "deployments")

    with pytest.raises(HttpResponseError) as caught:
        await container.execute_item_batch(
            [("create", (raw(f"d{n}"),)) for n in range(101)], partition_key=KEY
        )

    assert caught.value.status_code == 400


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # the SDK's own way
async def test_more_than_two_megabytes_are_too_large(wire: Wire) -> None:
    container = await wire.account.container("runtime", "deployments")

    with pytest.raises(HttpResponseError) as caught:
        await container.execute_item_batch(
            [("create", (raw(f"d{n}", x="x" * 1_100_000),)) for n in range(2)], partition_key=KEY
        )

    assert caught.value.status_code == 413


async def test_a_failed_batch_names_its_culprit_and_fails_the_others_as_dependent(
    wire: Wire,
) -> None:
    container = await wire.account.container("runtime", "deployments")
    await container.create_item(raw("there"))

    with pytest.raises(CosmosBatchOperationError) as caught:
        await container.execute_item_batch(
            [("create", (raw("a"),)), ("create", (raw("there"),)), ("create", (raw("b"),))],
            partition_key=KEY,
        )

    assert (caught.value.status_code, caught.value.error_index) == (409, 1)
    statuses = [one["statusCode"] for one in caught.value.operation_responses]
    assert statuses == [424, 409, 424]


async def test_a_207_with_429_inside_is_not_retried_by_the_sdk(wire: Wire, store: Store) -> None:
    wire.endpoint.faults.add(
        Fault(FaultKind.BATCH, FaultMoment.INSIDE, status=429, retry_after_ms=700)
    )

    with pytest.raises(Unavailable) as caught:
        await store.batch(HERE, [Create("a", {}), Create("b", {})])

    assert wire.endpoint.faults.seen[FaultKind.BATCH] == 1
    assert caught.value.throttled
    assert caught.value.retry_after_s == 0.7
    assert not isinstance(caught.value, AnswerLost)
    assert await store.read_many(HERE, ["a", "b"]) == {}


async def test_a_429_is_retried_by_the_sdk_and_then_succeeds(wire: Wire, store: Store) -> None:
    wire.endpoint.faults.add(Fault(FaultKind.BATCH, status=429, retry_after_ms=1, times=2))

    await store.batch(HERE, [Create("a", {})])

    assert wire.endpoint.faults.seen[FaultKind.BATCH] == 3


async def test_a_lasting_429_is_unavailable_with_the_wait_it_asks_for(
    wire: Wire, store: Store
) -> None:
    wire.endpoint.faults.add(Fault(FaultKind.BATCH, status=429, retry_after_ms=2, times=9))

    with pytest.raises(Unavailable) as caught:
        await store.batch(HERE, [Create("a", {})])

    assert caught.value.throttled
    assert caught.value.retry_after_s == 0.002


async def test_a_503_is_tried_once_more_and_then_unavailable(wire: Wire, store: Store) -> None:
    wire.endpoint.faults.add(Fault(FaultKind.BATCH, status=503, times=2))

    with pytest.raises(Unavailable) as caught:
        await store.batch(HERE, [Create("a", {})])

    assert wire.endpoint.faults.seen[FaultKind.BATCH] == 2
    assert not caught.value.throttled
    assert await store.read(HERE, "a") is None


async def test_an_answer_lost_after_the_commit_surfaces_and_the_batch_is_posted_once(
    wire: Wire, store: Store
) -> None:
    wire.endpoint.faults.add(Fault(FaultKind.BATCH, FaultMoment.CUT_AFTER))

    with pytest.raises(AnswerLost):
        await store.batch(HERE, [Create("a", {"n": 1})])

    assert wire.endpoint.faults.seen[FaultKind.BATCH] == 1
    assert await store.read(HERE, "a") is not None


async def test_a_connection_cut_before_the_commit_looks_the_same_to_the_caller(
    wire: Wire, store: Store
) -> None:
    wire.endpoint.faults.add(Fault(FaultKind.BATCH, FaultMoment.CUT_BEFORE))

    with pytest.raises(AnswerLost):
        await store.batch(HERE, [Create("a", {"n": 1})])

    assert await store.read(HERE, "a") is None


async def test_the_sdk_posts_no_batch_again_after_a_cut_connection(wire: Wire) -> None:
    """Over a transport of its own it does, and conflicts with its own first post."""
    container = await wire.account.container("runtime", "deployments")
    wire.endpoint.faults.add(Fault(FaultKind.BATCH, FaultMoment.CUT_AFTER))

    with pytest.raises(ServiceResponseError):
        await container.execute_item_batch([("create", (raw("a"),))], partition_key=KEY)

    assert wire.endpoint.faults.seen[FaultKind.BATCH] == 1


async def test_a_batch_repeated_after_a_lost_answer_is_refused_by_its_own_marker(
    wire: Wire, store: Store
) -> None:
    wire.endpoint.faults.add(Fault(FaultKind.BATCH, FaultMoment.CUT_AFTER))
    operations = [Upsert("aggregate", {"n": 1}), Create("inbox/evt-1", {})]
    with pytest.raises(AnswerLost):
        await store.batch(HERE, operations)

    with pytest.raises(BatchRefused) as caught:
        await store.batch(HERE, operations)

    assert (caught.value.status, caught.value.index) == (409, 1)


async def test_reads_are_retried_by_the_sdk(wire: Wire, store: Store) -> None:
    await store.batch(HERE, [Create("a", {})])
    wire.endpoint.faults.add(Fault(FaultKind.READ, status=503))

    assert await store.read(HERE, "a") is not None


@pytest.mark.parametrize(
    ("kind", "read"),
    [
        pytest.param(FaultKind.READ, lambda store: store.read(HERE, "a"), id="read"),
        pytest.param(FaultKind.QUERY, lambda store: store.read_many(HERE, ["a"]), id="read-many"),
        pytest.param(FaultKind.QUERY, lambda store: store.query(HERE, Query()), id="query"),
        pytest.param(FaultKind.QUERY, lambda store: store.query_due(Query()), id="due"),
    ],
)
async def test_a_store_that_throttles_reads_is_unavailable(
    wire: Wire, store: Store, kind: FaultKind, read: Callable[[Store], Awaitable[object]]
) -> None:
    wire.endpoint.faults.add(Fault(kind, status=429, retry_after_ms=1, times=99))

    with pytest.raises(Unavailable) as caught:
        await read(store)

    assert caught.value.throttled


async def test_a_throttled_change_feed_is_unavailable(wire: Wire, store: Store) -> None:
    (first, _) = await store.feed_ranges()
    wire.endpoint.faults.add(Fault(FaultKind.FEED, status=429, retry_after_ms=1, times=99))

    with pytest.raises(Unavailable):
        await store.changes(first, None)


async def test_a_store_that_is_not_there_is_unavailable(wire: Wire, store: Store) -> None:
    await store.read(HERE, "a")
    await wire.endpoint.stop()

    with pytest.raises(Unavailable) as caught:
        await store.batch(HERE, [Create("a", {})])

    assert not isinstance(caught.value, AnswerLost)
