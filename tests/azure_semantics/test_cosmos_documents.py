"""Single documents behave over the wire as Cosmos DB's do, through the official SDK.

Sources: https://learn.microsoft.com/rest/api/cosmos-db/create-a-document (and replace, delete);
optimistic concurrency, https://learn.microsoft.com/azure/cosmos-db/nosql/database-transactions-optimistic-concurrency;
https://learn.microsoft.com/azure/cosmos-db/nosql/time-to-live; key masters,
https://learn.microsoft.com/rest/api/cosmos-db/access-control-on-cosmosdb-resources.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.cosmos import PartitionKey
from azure.cosmos.aio import ContainerProxy, CosmosClient
from azure.cosmos.exceptions import (
    CosmosAccessConditionFailedError,
    CosmosHttpResponseError,
    CosmosResourceExistsError,
    CosmosResourceNotFoundError,
)

from shared.persistence.cosmos_form import document_of
from shared.persistence.effective_key import effective_key
from shared.persistence.store import Create, Partition, Query
from tests.kit.cosmos import KEY, Wire
from tests.kit.stores import HandClock

pytestmark = pytest.mark.real


@pytest.fixture
async def client(wire: Wire) -> AsyncIterator[CosmosClient]:
    async with CosmosClient(wire.endpoint.url, KEY) as connected:
        yield connected


@pytest.fixture
async def orders(client: CosmosClient) -> ContainerProxy:
    """A container as any application would make it: one path, time to live switched on."""
    database = await client.create_database_if_not_exists("shop")
    return await database.create_container_if_not_exists(
        "orders", PartitionKey(path="/customer"), default_ttl=-1
    )


def order(document_id: str, **more: Any) -> dict[str, Any]:
    return {"id": document_id, "customer": "ada", **more}


async def test_a_document_comes_back_with_the_system_fields(orders: ContainerProxy) -> None:
    created = await orders.create_item(order("1", total=3))

    read = await orders.read_item("1", "ada")

    assert read["total"] == 3
    assert read["_etag"] == created["_etag"]
    assert {"_rid", "_self", "_ts", "_attachments"} <= read.keys()


async def test_create_of_an_existing_id_conflicts(orders: ContainerProxy) -> None:
    await orders.create_item(order("1"))

    with pytest.raises(CosmosResourceExistsError):
        await orders.create_item(order("1"))


@pytest.mark.parametrize("verb", ["read", "replace", "delete"])
async def test_an_absent_document_is_not_found(orders: ContainerProxy, verb: str) -> None:
    act = {
        "read": lambda: orders.read_item("1", "ada"),
        "replace": lambda: orders.replace_item("1", order("1")),
        "delete": lambda: orders.delete_item("1", "ada"),
    }[verb]

    with pytest.raises(CosmosResourceNotFoundError):
        await act()


@pytest.mark.parametrize("verb", ["replace", "upsert", "delete"])
async def test_a_stale_etag_fails_the_precondition(orders: ContainerProxy, verb: str) -> None:
    first = await orders.create_item(order("1", n=1))
    await orders.upsert_item(order("1", n=2))
    condition: dict[str, Any] = {
        "etag": first["_etag"],
        "match_condition": MatchConditions.IfNotModified,
    }

    act = {
        "replace": lambda: orders.replace_item("1", order("1", n=3), **condition),
        "upsert": lambda: orders.upsert_item(order("1", n=3), **condition),
        "delete": lambda: orders.delete_item("1", "ada", **condition),
    }[verb]

    with pytest.raises(CosmosAccessConditionFailedError):
        await act()

    assert (await orders.read_item("1", "ada"))["n"] == 2


async def test_every_write_gives_a_new_etag(orders: ContainerProxy) -> None:
    etags = [(await orders.upsert_item(order("1")))["_etag"] for _ in range(3)]

    assert len(set(etags)) == 3


async def test_a_document_outlives_its_containers_default_if_it_says_so(
    client: CosmosClient, clock: HandClock
) -> None:
    database = await client.create_database_if_not_exists("shop")
    short = await database.create_container_if_not_exists(
        "short", PartitionKey(path="/customer"), default_ttl=10
    )
    for document_id, more in (("default", {}), ("longer", {"ttl": 60}), ("ever", {"ttl": -1})):
        await short.create_item(order(document_id, **more))

    clock.pass_by(10)
    after_ten = [one["id"] async for one in short.read_all_items()]
    clock.pass_by(50)
    after_sixty = [one["id"] async for one in short.read_all_items()]

    assert after_ten == ["ever", "longer"]
    assert after_sixty == ["ever"]


async def test_without_a_default_the_time_to_live_is_off(
    client: CosmosClient, clock: HandClock
) -> None:
    database = await client.create_database_if_not_exists("shop")
    kept = await database.create_container_if_not_exists("kept", PartitionKey(path="/customer"))
    await kept.create_item(order("1", ttl=1))

    clock.pass_by(3600)

    assert (await kept.read_item("1", "ada"))["ttl"] == 1


async def test_a_key_that_is_not_the_documents_is_a_bad_request(wire: Wire) -> None:
    container = await wire.account.container("runtime", "deployments")
    document = {"id": "1", "tenantId": "b", "environmentKey": "k1", "unit": "-"}

    with pytest.raises(CosmosHttpResponseError) as caught:
        await container.execute_item_batch([("create", (document,))], ["a", "k1", "-"])

    assert caught.value.status_code == 400


async def test_a_wrong_master_key_is_unauthorized(wire: Wire) -> None:
    client = CosmosClient(wire.endpoint.url, "d3Jvbmc=")

    with pytest.raises(CosmosHttpResponseError) as caught:
        await client.__aenter__()
    await client.close()

    assert caught.value.status_code == 401


async def test_a_container_that_is_not_there_is_not_found(client: CosmosClient) -> None:
    absent = client.get_database_client("shop").get_container_client("absent")

    with pytest.raises(CosmosResourceNotFoundError):
        await absent.read_item("1", "ada")


async def test_creating_twice_finds_what_is_there(client: CosmosClient) -> None:
    for _ in range(2):
        database = await client.create_database_if_not_exists("shop")
        await database.create_container_if_not_exists("orders", PartitionKey(path="/customer"))

    assert [one["id"] async for one in client.list_databases()] == ["runtime", "shop"]
    assert [one["id"] async for one in database.list_containers()] == ["orders"]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT * FROM c WHERE c.total > 2 ORDER BY c.total DESC", ["4", "3"]),
        ("SELECT * FROM c WHERE c.total >= @two AND NOT c.paid", ["2", "4"]),
        ("SELECT * FROM c WHERE c.total = 1 OR c.place.zone = 'eu'", ["1", "3"]),
        ("SELECT * FROM orders o WHERE o.total IN (1, 4)", ["1", "4"]),
        ("SELECT * FROM c WHERE STARTSWITH(c.note, 'He', true)", ["1"]),
        ("SELECT * FROM c WHERE IS_DEFINED(c.place)", ["3"]),
        ("SELECT * FROM c WHERE NOT IS_DEFINED(c.note)", ["2", "3", "4"]),
        ("SELECT * FROM c WHERE ARRAY_CONTAINS(c.tags, 'b')", ["2"]),
        ("SELECT * FROM c WHERE c.total BETWEEN 2 AND 3", ["2", "3"]),
        ("SELECT * FROM c WHERE c['total'] != 2 AND c.tags[0] = 'x'", []),
        ("SELECT TOP 2 * FROM c ORDER BY c.total", ["1", "2"]),
        ("SELECT * FROM c ORDER BY c.total OFFSET 1 LIMIT 2", ["2", "3"]),
        ("SELECT * FROM c WHERE c.note < 5", []),
    ],
)
async def test_a_query_finds_what_it_says(
    orders: ContainerProxy, sql: str, expected: list[str]
) -> None:
    for document in (
        order("1", total=1, paid=True, note="hello"),
        order("2", total=2, paid=False, tags=["a", "b"]),
        order("3", total=3, paid=True, place={"zone": "eu"}),
        order("4", total=4, paid=False),
    ):
        await orders.create_item(document)
    parameters: list[dict[str, object]] = [{"name": "@two", "value": 2}]

    one = orders.query_items(sql, parameters=parameters, partition_key="ada", max_item_count=1)
    everywhere = orders.query_items(sql, parameters=parameters)

    assert [document["id"] async for document in one] == expected
    assert [document["id"] async for document in everywhere] == expected


async def test_a_query_shapes_its_results(orders: ContainerProxy) -> None:
    await orders.create_item(order("1", place={"zone": "eu"}))
    await orders.create_item(order("2"))

    async def results(sql: str) -> list[Any]:
        return [one async for one in orders.query_items(sql, partition_key="ada")]

    assert await results("SELECT VALUE c.id FROM c") == ["1", "2"]
    assert await results("SELECT VALUE COUNT(1) FROM c") == [2]
    assert await results("SELECT c.id, c.place.zone AS z FROM c") == [
        {"id": "1", "z": "eu"},
        {"id": "2"},
    ]


@pytest.mark.parametrize(
    "sql",
    ["SELECT", "SELECT * FROM c WHERE", "SELECT * FROM c JOIN d IN c.x", "SELECT * FROM c WHERE x",
     "SELECT * FROM c WHERE FOO(c.x)", "SELECT * FROM c ORDER BY 1", "DROP TABLE c",
     "SELECT * FROM c WHERE c.x = @missing", "SELECT * FROM c WHERE " + "(" * 100],
)  # fmt: skip
async def test_a_query_outside_the_subset_is_a_bad_request(
    orders: ContainerProxy, sql: str
) -> None:
    with pytest.raises(CosmosHttpResponseError) as caught:
        [one async for one in orders.query_items(sql, partition_key="ada")]

    assert caught.value.status_code == 400


async def test_a_change_feed_of_one_range_is_resumed_by_a_new_client(wire: Wire) -> None:
    store = wire.store()
    places = [Partition(f"tenant-{n}", "k1", "-") for n in range(8)]
    for place in places:
        await store.batch(place, [Create("a", {})])
    kept = {
        name: (await store.changes(name, None)).continuation for name in await store.feed_ranges()
    }
    await store.batch(places[0], [Create("b", {})])
    await wire.account.close()

    again = wire.store()
    found = [
        document.id
        for name, continuation in kept.items()
        for document in (await again.changes(name, continuation)).documents
    ]

    assert found == ["b"]


async def test_the_sqlite_adapter_and_the_wire_see_the_same_documents(wire: Wire) -> None:
    here = Partition("tenant-a", "k1", "-")
    inside = wire.storage.store("runtime", "deployments")
    outside = wire.store()

    (etag,) = await inside.batch(here, [Create("in/1", {"n": 1}, ttl_s=60)])
    await outside.batch(here, [Create("out/1", {"n": 2})])

    assert await outside.read(here, "in/1") == await inside.read(here, "in/1")
    assert await inside.read(here, "out/1") == await outside.read(here, "out/1")
    assert (await outside.query(here, Query())).documents == (
        await inside.query(here, Query())
    ).documents
    raw = await (await wire.account.container("runtime", "deployments")).read_item(
        "in|1", list(here.values)
    )
    assert (raw["ttl"], raw["_etag"], raw["body"]) == (60, etag, {"n": 1})
    assert document_of(raw) == await inside.read(here, "in/1")


@pytest.mark.parametrize(
    "values",
    [
        ["a"],
        ["tenant-a", "k1", "-"],
        ["", "é✓", "x" * 200],
        ["fifteen-bytes-!"],
        ["sixteen-bytes-!!"],
    ],
)
def test_effective_keys_are_those_of_the_official_sdk(values: list[str]) -> None:
    key = PartitionKey(path=[f"/{n}" for n in range(3)], kind="MultiHash")

    assert effective_key("\x1f".join(values)) == key._get_effective_partition_key_string(values)
