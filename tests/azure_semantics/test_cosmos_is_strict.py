"""The endpoint refuses what Cosmos DB refuses, and keeps what it keeps.

Sources: https://learn.microsoft.com/azure/cosmos-db/unique-keys,
https://learn.microsoft.com/azure/cosmos-db/concepts-limits,
https://learn.microsoft.com/azure/cosmos-db/nosql/time-to-live.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from azure.cosmos import PartitionKey
from azure.cosmos.aio import ContainerProxy, CosmosClient
from azure.cosmos.exceptions import CosmosBatchOperationError, CosmosResourceExistsError
from hypothesis import given, settings
from hypothesis import strategies as st

from local_cloud.cosmos_endpoint.account import Account
from local_cloud.cosmos_endpoint.documents import Documents
from local_cloud.cosmos_endpoint.errors import CosmosError
from local_cloud.cosmos_endpoint.partition_keys import names_of, own_partition, partition_of, shown
from local_cloud.sqlite.rows import Verb
from local_cloud.storage import LocalStorage
from shared.persistence.effective_key import effective_key
from tests.kit.cosmos import KEY, Wire, sent
from tests.kit.stores import HandClock

pytestmark = pytest.mark.real


@pytest.fixture
async def client(wire: Wire) -> AsyncIterator[CosmosClient]:
    async with CosmosClient(wire.endpoint.url, KEY) as connected:
        await connected.create_database("shop")
        yield connected


async def made(client: CosmosClient, path: str = "/k", **options: Any) -> ContainerProxy:
    database = client.get_database_client("shop")
    return await database.create_container("c", PartitionKey(path=path), **options)


TEXT = st.text(st.characters(exclude_categories=()))


DOCS = "/dbs/shop/colls/c/docs"
UNIQUE = {"uniqueKeys": [{"paths": ["/email"]}, {"paths": ["/n", "/at/zip"]}]}


async def test_a_value_of_a_unique_key_is_there_once_in_a_partition(client: CosmosClient) -> None:
    orders = await made(client, unique_key_policy=UNIQUE)
    await orders.create_item({"id": "1", "k": "p", "email": "a@x", "n": 1})

    for write in (orders.create_item, orders.upsert_item):
        with pytest.raises(CosmosResourceExistsError):
            await write({"id": "2", "k": "p", "email": "a@x", "n": 2})
        with pytest.raises(CosmosResourceExistsError):
            await write({"id": "2", "k": "p", "email": "b@x", "n": 1.0})
    await orders.create_item({"id": "2", "k": "other", "email": "a@x", "n": 1})


async def test_a_value_of_a_unique_key_is_free_again_when_it_was_changed_or_deleted(
    client: CosmosClient, clock: HandClock
) -> None:
    orders = await made(client, unique_key_policy=UNIQUE, default_ttl=-1)
    await orders.create_item({"id": "1", "k": "p", "email": "a@x", "n": 1})
    await orders.upsert_item({"id": "1", "k": "p", "email": "b@x", "n": 1})
    await orders.create_item({"id": "2", "k": "p", "email": "a@x", "n": 2, "ttl": 5})
    await orders.delete_item("1", "p")
    clock.pass_by(10)

    await orders.create_item({"id": "3", "k": "p", "email": "b@x", "n": 1})
    await orders.create_item({"id": "4", "k": "p", "email": "a@x", "n": 2})


async def test_a_batch_with_two_equal_unique_values_takes_no_effect(client: CosmosClient) -> None:
    orders = await made(client, unique_key_policy=UNIQUE)
    items = [{"id": str(n), "k": "p", "email": "a@x", "n": n} for n in range(2)]

    with pytest.raises(CosmosBatchOperationError):
        await orders.execute_item_batch([("create", (item,)) for item in items], "p")

    assert [item async for item in orders.read_all_items()] == []


async def test_thirty_and_thirty_point_zero_are_one_key(client: CosmosClient) -> None:
    orders = await made(client)
    await orders.create_item({"id": "1", "k": 30})

    assert (await orders.read_item("1", 30.0))["k"] == 30
    with pytest.raises(CosmosResourceExistsError):
        await orders.create_item({"id": "1", "k": 30.0})
    assert partition_of([0]) == partition_of([-0.0])
    assert partition_of([2**53]) == partition_of([2**53 + 1])
    assert partition_of([1]) != partition_of([True])


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "9" * 5000])
async def test_what_is_no_double_is_a_400(wire: Wire, client: CosmosClient, number: str) -> None:
    await made(client)
    body = f'{{"id": "1", "k": "p", "n": {number}}}'.encode()

    status, _, text = await sent(wire, "POST", DOCS, body, x_ms_documentdb_partitionkey='["p"]')

    assert status == 400
    assert json.loads(text)["code"] == "BadRequest"
    key = f"[{number}]"
    assert (await sent(wire, "POST", DOCS, b'{"id":"1"}', x_ms_documentdb_partitionkey=key))[0] == (
        400
    )


@pytest.mark.parametrize(
    ("document", "status"),
    [
        ({"id": "1", "text": "x" * 2 * 1024 * 1024}, 413),
        ({"id": "1", "text": "ä" * (1024 * 1024 + 10)}, 413),
        ({"id": "1", "list": json.loads("[" * 128 + "]" * 128)}, 400),
        ({"id": "x" * 1024}, 400),
        ({"id": "ä" * 512}, 400),
        ({"id": "\ud800"}, 400),
        ({"id": ""}, 400),
        ({"id": 5}, 400),
        ({"id": "1", "ttl": 2**31}, 400),
        ({"id": "1", "ttl": 0}, 400),
        ({"id": "1", "ttl": "5"}, 400),
        ({"id": "1", "ttl": 1.5}, 400),
    ],
    ids=lambda value: str(value)[:20].encode("ascii", "replace").decode(),
)
async def test_a_document_over_a_bound_is_refused(
    wire: Wire, client: CosmosClient, document: dict[str, Any], status: int
) -> None:
    await made(client, default_ttl=-1)
    body = json.dumps({"k": "p", **document}).encode()

    found, _, _ = await sent(wire, "POST", DOCS, body, x_ms_documentdb_partitionkey='["p"]')

    assert found == status


async def test_a_document_at_the_bounds_is_taken(client: CosmosClient) -> None:
    orders = await made(client, default_ttl=-1)

    await orders.create_item({"id": "x" * 1023, "k": "p" * 2048, "ttl": 2**31 - 1})


@pytest.mark.parametrize("ttl", [0, -2, 2**31, "5", 1.5])
async def test_a_container_has_a_time_to_live_that_can_be(
    wire: Wire, client: CosmosClient, ttl: Any
) -> None:
    body = {"id": "d", "partitionKey": {"paths": ["/k"]}, "defaultTtl": ttl}

    assert (await sent(wire, "POST", "/dbs/shop/colls", json.dumps(body).encode()))[0] == 400


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ('/"my key"', ["my key"]),
        ('/a/"b/c"', ["a", "b/c"]),
        ('/"say \\"hi\\""', ['say "hi"']),
        ("/a-b", ["a-b"]),
    ],
)
def test_a_path_may_quote_its_names(path: str, names: list[str]) -> None:
    assert names_of(path) == names


@pytest.mark.parametrize("path", ["", "a", "/", "//", "/a/", '/"', "/a/*", "/a[]", 5, None])
def test_what_is_no_path_is_a_400(path: Any) -> None:
    with pytest.raises(CosmosError) as refusal:
        names_of(path)

    assert refusal.value.status == 400


async def test_a_key_with_a_space_in_its_name_works(client: CosmosClient) -> None:
    orders = await made(client, '/"my key"')
    await orders.create_item({"id": "1", "my key": "p"})

    assert (await orders.read_item("1", "p"))["my key"] == "p"


@pytest.mark.parametrize("key", ["a\x1fb", "\x01x", "\x01", "\x01{", "\x00", "a\x1f\x1f"])
async def test_a_key_of_any_characters_is_kept(client: CosmosClient, key: str) -> None:
    orders = await made(client)
    await orders.create_item({"id": "1", "k": key})

    assert (await orders.read_item("1", key))["k"] == key
    assert [item["k"] async for item in orders.query_items("SELECT * FROM c")] == [key]


@given(st.lists(TEXT | st.integers() | st.floats() | st.booleans() | st.none(), min_size=1))
@settings(max_examples=300)
def test_a_key_is_shown_as_it_was_given_or_refused(values: list[Any]) -> None:
    try:
        stored = partition_of(values)
    except CosmosError:  # no double, or half a character
        return

    parts = [shown(part) for part in stored.split("\x1f")]
    assert len(effective_key(stored)) == 32 * len(values)
    assert parts == [float(v) if type(v) is int else v for v in values]
    assert list(map(type, parts)).count(str) == list(map(type, values)).count(str)


def test_half_a_character_in_a_key_is_a_400() -> None:
    with pytest.raises(CosmosError):
        partition_of(["\ud800"])
    with pytest.raises(CosmosError):
        partition_of([{"a": 1}])
    with pytest.raises(CosmosError):
        partition_of([[1]])
    with pytest.raises(CosmosError):
        partition_of(["x" * 2049])


async def test_a_key_field_that_holds_a_list_is_undefined_and_kept(
    wire: Wire, client: CosmosClient
) -> None:
    orders = await made(client)
    body = b'{"id": "1", "k": [1, 2]}'

    assert (await sent(wire, "POST", DOCS, body, x_ms_documentdb_partitionkey="[{}]"))[0] == 201
    assert [item["k"] async for item in orders.query_items("SELECT * FROM c")] == [[1, 2]]


async def test_true_and_one_are_two_values_at_any_depth(client: CosmosClient) -> None:
    orders = await made(client)
    await orders.create_item({"id": "1", "k": "p", "a": [True]})

    found = orders.query_items("SELECT * FROM c WHERE c.a = @a", parameters=[
        {"name": "@a", "value": [1]}
    ])  # fmt: skip

    assert [item async for item in found] == []


@pytest.mark.parametrize(
    "more",
    [
        {"vectorEmbeddingPolicy": {}},
        {"computedProperties": []},
        {"partitionKey": {"paths": ["/k"], "version": 1}},
        {"partitionKey": {"paths": ["/k"], "kind": "Range"}},
        {"partitionKey": {"paths": ["/k", "/k"], "kind": "MultiHash"}},
        {"uniqueKeyPolicy": {"uniqueKeys": [{"paths": []}]}},
        {"uniqueKeyPolicy": {"uniqueKeys": [{"paths": ["email"]}]}},
    ],
)
async def test_what_a_container_cannot_do_here_is_a_400(
    wire: Wire, client: CosmosClient, more: dict[str, Any]
) -> None:
    body = json.dumps({"id": "d", "partitionKey": {"paths": ["/k"]}, **more}).encode()

    assert (await sent(wire, "POST", "/dbs/shop/colls", body))[0] == 400
    assert (await sent(wire, "GET", "/dbs/shop/colls/d", b""))[0] == 404


async def test_a_write_that_asks_for_a_trigger_is_a_400(wire: Wire, client: CosmosClient) -> None:
    await made(client)

    asked = await sent(
        wire, "POST", DOCS, b'{"id": "1", "k": "p"}',
        x_ms_documentdb_partitionkey='["p"]', x_ms_documentdb_pre_trigger_include="stamp",
    )  # fmt: skip

    assert asked[0] == 400


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.long
@given(
    document=st.dictionaries(
        st.text(st.characters(exclude_categories=()), max_size=4) | st.just("k"), JSON, max_size=4
    ),
    document_id=JSON | st.text(min_size=1, max_size=6),
)
@settings(max_examples=200, deadline=None)
def test_a_document_comes_back_as_it_was_written_or_is_refused(
    document: dict[str, Any], document_id: Any
) -> None:
    storage = LocalStorage(Path("/nowhere"), HandClock(), in_memory=True)
    account = Account(storage)
    account.create_database("d")
    written = {**document, "id": document_id}

    async def write_and_read() -> dict[str, Any]:
        container = await account.create_container(
            "d", {"id": "c", "partitionKey": {"paths": ["/k"]}, "uniqueKeyPolicy": UNIQUE}
        )
        key = own_partition(written, container.paths)
        await Documents(container).write(key, Verb.CREATE, written, None)
        return Documents(container).read(key, str(document_id))

    try:
        read = asyncio.run(write_and_read())
    except CosmosError as refusal:
        read = {"status": refusal.status}
    storage.close()

    system = {"_rid", "_self", "_etag", "_attachments", "_ts", "_lsn"}
    kept = {name: value for name, value in read.items() if name not in system}
    wanted = {name: value for name, value in written.items() if name not in system}
    assert kept == {"status": 400} or _like(kept) == _like(wanted)


def _like(document: dict[str, Any]) -> dict[str, Any]:
    """Return *document* with its partition key as the double it is."""
    key = document.get("k")
    return document if type(key) is not int else {**document, "k": float(key)}


BODIES = [
    b"", b"[]", b"5", b"\xff", b"[" * 50_000, b'{"id": {}}', b'{"id": "1", "k": {"a": 1}}',
    b'{"query": 5}', b'{"query": "SELECT * FROM c", "parameters": 5}',
    b'{"query": "SELECT * FROM c", "parameters": [5]}',
    b'{"query": "SELECT * FROM c WHERE c[1.5] = 1"}',
    b'{"query": "SELECT * FROM c WHERE c.a = -b"}',
    b'{"query": "SELECT VALUE @p", "parameters": [{"name": "@p", "value": 1e400}]}',
    b'{"query": "SELECT * FROM c WHERE c.id = \'\\ud800\'"}', b"x" * (8 * 1024 * 1024 + 1),
    b'{"query": "SELECT * FROM c WHERE COUNT(1) = 1"}',
    b'{"query": "SELECT * FROM c WHERE ' + b"NOT " * 5000 + b'true"}',
    b'[{"operationType": "Read"}]', b"[5]", b'[{"operationType": {}}]',
    b'[{"operationType": "Create", "resourceBody": 5}]',
    b'{"id": "x", "partitionKey": 5}', b'{"id": "x", "partitionKey": {"paths": 5}}',
    b'{"id": "x", "partitionKey": {"paths": [5]}}',
    b'{"id": "x", "partitionKey": {"paths": ["/a"]}, "uniqueKeyPolicy": 5}',
    b'{"id": "a/b", "partitionKey": {"paths": ["/a"]}}', b'{"id": ".."}',
]  # fmt: skip
KINDS = [
    {}, {"x-ms-documentdb-isquery": "true"}, {"x-ms-documentdb-is-upsert": "true"},
    {"x-ms-cosmos-is-batch-request": "true", "x-ms-cosmos-batch-atomic": "true"},
]  # fmt: skip


async def test_no_nonsense_finds_a_defect(wire: Wire, client: CosmosClient) -> None:
    await made(client)
    keys = ['["p"]', "[5]", "[[]]", "{}", "[", '["\\ud800"]', "[1e999]", '["a","b"]']

    answers = {
        (path, body, tuple(kind), key): await sent(
            wire, method, path, body,
            **{name.replace("-", "_"): value for name, value in kind.items()},
            x_ms_documentdb_partitionkey=key,
        )
        for method, path in [("POST", DOCS), ("POST", "/dbs/shop/colls"), ("POST", "/dbs")]
        for body in BODIES
        for kind in KINDS[: 4 if path == DOCS else 1]
        for key in keys[: 8 if path == DOCS and body == BODIES[5] else 1]
    }  # fmt: skip

    assert {asked: answer for asked, answer in answers.items() if answer[0] >= 500} == {}


@pytest.mark.parametrize(
    "headers",
    [
        {"x-ms-max-item-count": "abc"},
        {"x-ms-max-item-count": "²".encode().decode("latin-1")},
        {"x-ms-continuation": '[[[5,0],"1","p"],null]'},
        {"x-ms-continuation": "5"},
        {"a-im": "incremental feed", "if-none-match": "x"},
    ],
)
async def test_nonsense_in_a_header_is_a_400(
    wire: Wire, client: CosmosClient, headers: dict[str, str]
) -> None:
    await made(client)
    asked = {name.replace("-", "_"): value for name, value in headers.items()}

    assert (await sent(wire, "GET", DOCS, b"", **asked))[0] == 400
