"""The endpoint answers what the JavaScript and Java SDKs send, recorded from runs of them.

@azure/cosmos 4.9.3 and com.azure:azure-cosmos 4.68.0; form of plans and rewritten queries after
`QueryPlanBaselineTests` of https://github.com/Azure/azure-cosmos-dotnet-v3.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from email.utils import formatdate
from typing import Any

import pytest
from azure.cosmos import PartitionKey
from azure.cosmos.aio import ContainerProxy, CosmosClient

from tests.kit.cosmos import KEY, Answer, Wire, sent
from tests.kit.stores import HandClock

pytestmark = pytest.mark.real

DOCS = "/dbs/shop/colls/items/docs"


@pytest.fixture
async def items(wire: Wire) -> AsyncIterator[ContainerProxy]:
    async with CosmosClient(wire.endpoint.url, KEY) as client:
        database = await client.create_database("shop")
        container = await database.create_container("items", PartitionKey(path="/pk"))
        for n in range(12):
            await container.create_item({"id": str(n), "pk": f"p{n % 3}", "n": n, "s": n % 2})
        yield container


async def plan(wire: Wire, sql: str, **headers: str) -> Answer:
    return await sent(
        wire, "POST", DOCS, {"query": sql}, x_ms_cosmos_is_query_plan_request="True",
        content_type="application/query+json", **headers,
    )  # fmt: skip


async def asked(wire: Wire, sql: str, **headers: str) -> list[Any]:
    answer = await sent(
        wire, "POST", DOCS, {"query": sql}, content_type="application/query+json", **headers
    )
    assert answer.status == 200, answer.text
    return list(answer.body["Documents"])


FILTER = "{documentdb-formattableorderbyquery-filter}"


@pytest.mark.parametrize(
    ("sql", "facts", "rewritten"),
    [
        ("SELECT * FROM c WHERE c.n = 1", {}, ""),
        ("SELECT TOP 5 * FROM c", {"top": 5}, ""),
        ("SELECT * FROM r WHERE r.n = 'x' ORDER BY r.n DESC",
         {"orderBy": ["Descending"], "orderByExpressions": ["r.n"]},
         ('SELECT r._rid, [{"item": r.n}] AS orderByItems, r AS payload FROM r'
         f" WHERE ((r.n = 'x') AND ({FILTER})) ORDER BY r.n DESC")),
        ("SELECT c.a, c.b FROM c ORDER BY c.x, c.y OFFSET 1 LIMIT 2",
         {"orderBy": ["Ascending"] * 2, "offset": 1, "limit": 2},
         ('SELECT TOP 3 c._rid, [{"item": c.x}, {"item": c.y}] AS orderByItems,'
         f' {{"a": c.a, "b": c.b}} AS payload FROM c WHERE ({FILTER}) ORDER BY c.x ASC, c.y ASC')),
        ("SELECT * FROM c OFFSET 1 LIMIT 2", {"offset": 1, "limit": 2},
         "SELECT * FROM c OFFSET 0 LIMIT 3"),
        ("SELECT VALUE AVG(c.n) FROM c", {"aggregates": ["Average"], "hasSelectValue": True},
         'SELECT VALUE [{"item": {"sum": SUM(c.n), "count": COUNT(c.n)}}] FROM c'),
        ("SELECT VALUE MIN(c.n + 1) FROM c", {"aggregates": ["Min"]},
         ('SELECT VALUE [{"item": MIN(c.n + 1), "item2": {"min": MIN(c.n + 1),'
         ' "count": COUNT(c.n + 1)}}] FROM c')),
        ("SELECT COUNT(1), SUM(c.n) AS s FROM c",
         {"aggregates": [], "groupByAliases": ["$1", "s"],
          "groupByAliasToAggregateType": {"$1": "Count", "s": "Sum"}},
         'SELECT {"$1": {"item": COUNT(1)}, "s": {"item": SUM(c.n)}} AS payload FROM c'),
        ("SELECT c.s, COUNT(1) AS n FROM c GROUP BY c.s",
         {"groupByExpressions": ["c.s"], "groupByAliasToAggregateType": {"s": None, "n": "Count"}},
         ('SELECT [{"item": c.s}] AS groupByItems, {"s": c.s, "n": {"item": COUNT(1)}} AS payload'
         " FROM c GROUP BY c.s")),
        ("SELECT VALUE c.s FROM c GROUP BY c.s", {"hasSelectValue": True},
         'SELECT [{"item": c.s}] AS groupByItems, c.s AS payload FROM c GROUP BY c.s'),
        ("SELECT DISTINCT c.s FROM c", {"distinctType": "Unordered"}, ""),
        ("SELECT DISTINCT TOP 5 VALUE c.s FROM c", {"distinctType": "Unordered", "top": 5},
         "SELECT DISTINCT VALUE c.s FROM c"),
        ("SELECT DISTINCT VALUE c.s FROM c ORDER BY c.s", {"distinctType": "Ordered"},
         ('SELECT c._rid, [{"item": c.s}] AS orderByItems, c.s AS payload FROM c'
         f" WHERE (({FILTER}) AND IS_DEFINED(c.s)) ORDER BY c.s ASC")),
    ],
)  # fmt: skip
async def test_a_plan_is_that_of_the_service_and_its_query_runs(
    wire: Wire, items: ContainerProxy, sql: str, facts: dict[str, Any], rewritten: str
) -> None:
    del items
    info = (await plan(wire, sql)).body["queryInfo"]

    assert {name: info[name] for name in facts} == facts
    assert info["rewrittenQuery"] == rewritten
    await asked(wire, (rewritten or sql).replace(FILTER, "true"))


async def test_a_plan_that_no_sdk_can_join_is_refused(wire: Wire, items: ContainerProxy) -> None:
    del items
    distinct = "SELECT VALUE COUNT(1) FROM (SELECT DISTINCT VALUE c.pk FROM c)"

    refused = await plan(wire, "SELECT VALUE {'sum': SUM(c.n)} FROM c")
    by_java = await plan(wire, distinct, x_ms_cosmos_supported_query_features="Top, DCount")
    of_fields = "SELECT VALUE COUNT(1) FROM (SELECT DISTINCT c.pk, c.s FROM c)"
    counted = await plan(wire, of_fields, x_ms_cosmos_supported_query_features="Top, DCount")

    assert refused.status == 400
    assert "Compositions of aggregates" in refused.body["message"]
    assert (await plan(wire, distinct)).status == 400
    assert by_java.body["queryInfo"]["rewrittenQuery"] == "SELECT DISTINCT VALUE c.pk FROM c"
    assert counted.body["queryInfo"]["dCountInfo"] == {"dCountAlias": ""}
    assert counted.body["queryInfo"]["hasSelectValue"] is True


async def test_the_rows_of_two_key_ranges_are_those_of_the_container(
    wire: Wire, items: ContainerProxy
) -> None:
    sql = (await plan(wire, "SELECT * FROM c ORDER BY c.s")).body["queryInfo"]["rewrittenQuery"]
    each = [
        await asked(
            wire, sql.replace(FILTER, "true"), x_ms_documentdb_partitionkeyrangeid=str(number)
        )
        for number in range(2)
    ]

    for rows in each:
        places = [(row["orderByItems"][0]["item"], _document_number(row["_rid"])) for row in rows]
        assert places == sorted(places)
    found = sorted(row["payload"]["n"] for rows in each for row in rows)
    assert found == list(range(12))
    assert len([item async for item in items.read_all_items()]) == 12


def _document_number(rid: str) -> int:
    return int.from_bytes(base64.b64decode(rid, altchars=b"+-")[8:], "little", signed=True)


async def test_resource_ids_are_nested_and_address_what_they_name(
    wire: Wire, items: ContainerProxy
) -> None:
    database = (await sent(wire, "GET", "/dbs/shop")).body
    container = (await sent(wire, "GET", "/dbs/shop/colls/items")).body
    document = await items.read_item("1", "p1")

    rids = [
        base64.b64decode(each["_rid"], altchars=b"+-") for each in (database, container, document)
    ]
    assert [len(rid) for rid in rids] == [4, 8, 16]
    assert rids[1].startswith(rids[0])
    assert rids[2].startswith(rids[1])
    assert document["_self"].startswith(container["_self"])
    by_id = await sent(wire, "GET", f"/{container['_self']}", link=container["_rid"].lower())
    assert (by_id.status, by_id.body["id"]) == (200, "items")
    assert (await sent(wire, "GET", f"/{container['_self']}")).status == 401
    stale = await sent(
        wire, "GET", f"{DOCS}/1", x_ms_cosmos_intended_collection_rid="other",
        x_ms_documentdb_partitionkey='["p1"]',
    )  # fmt: skip
    assert (stale.status, stale.headers["x-ms-substatus"]) == (400, "1024")


async def test_a_bulk_of_javascript_does_each_operation_by_itself(
    wire: Wire, items: ContainerProxy
) -> None:
    operations = [
        {"operationType": "Create", "partitionKey": '["p9"]',
         "resourceBody": {"id": "x", "pk": "p9"}},
        {"operationType": "Create", "partitionKey": '["p1"]',
         "resourceBody": {"id": "1", "pk": "p1"}},
        {"operationType": "Patch", "partitionKey": '["p9"]', "id": "x",
         "resourceBody": {"operations": [{"op": "add", "path": "/n", "value": 1}]}},
        {"operationType": "Read", "partitionKey": '["p9"]', "id": "x"},
        {"operationType": "Delete", "partitionKey": '["p9"]', "id": "gone"},
    ]  # fmt: skip
    headers = {"x_ms_cosmos_is_batch_request": "true", "x_ms_cosmos_batch_atomic": "false"}

    going_on = await sent(
        wire, "POST", DOCS, operations, x_ms_cosmos_batch_continue_on_error="true", **headers
    )
    stopping = await sent(wire, "POST", DOCS, operations[1:], **headers)

    assert going_on.status == 207
    assert [each["statusCode"] for each in going_on.body] == [201, 409, 200, 200, 404]
    assert going_on.body[3]["resourceBody"]["n"] == 1
    assert [each["statusCode"] for each in stopping.body] == [409, 424, 424, 424]
    assert (await items.read_item("x", "p9"))["n"] == 1


async def test_a_batch_may_patch_and_fails_as_a_whole(wire: Wire, items: ContainerProxy) -> None:
    patch = {
        "operationType": "Patch", "id": "1",
        "resourceBody": {"operations": [{"op": "incr", "path": "/n", "value": 5}],
                         "condition": "from c where c.n = 1"},
    }  # fmt: skip
    headers = {
        "x_ms_cosmos_is_batch_request": "True", "x_ms_cosmos_batch_atomic": "True",
        "x_ms_documentdb_partitionkey": '["p1"]',
    }  # fmt: skip
    bad = {**patch, "resourceBody": {"operations": [{"op": "remove", "path": "/none"}]}}

    failed = await sent(wire, "POST", DOCS, [patch, bad], **headers)
    done = await sent(wire, "POST", DOCS, [patch], **headers)
    again = await sent(wire, "POST", DOCS, [patch], **headers)

    assert (failed.status, [each["statusCode"] for each in failed.body]) == (207, [424, 400])
    assert (done.status, done.body[0]["resourceBody"]["n"]) == (200, 6)
    assert done.body[0]["eTag"] == (await items.read_item("1", "p1"))["_etag"]
    assert [each["statusCode"] for each in again.body] == [412]


async def test_a_patch_is_a_bare_list_or_has_a_condition(wire: Wire, items: ContainerProxy) -> None:
    steps = [{"op": "set", "path": "/n", "value": 100}]
    key = {"x_ms_documentdb_partitionkey": '["p1"]'}

    bare = await sent(wire, "PATCH", f"{DOCS}/1", steps, **key)
    stale = await sent(wire, "PATCH", f"{DOCS}/1", steps, if_match='"1"', **key)
    unmet = await sent(
        wire,
        "PATCH",
        f"{DOCS}/1",
        {"operations": steps, "condition": "from c where c.n < 9"},
        **key,
    )
    absent = await sent(wire, "PATCH", f"{DOCS}/none", steps, **key)

    assert (bare.status, bare.body["n"]) == (200, 100)
    assert bare.headers["etag"] == bare.body["_etag"]
    assert [stale.status, unmet.status, absent.status] == [412, 412, 404]
    by_python = await items.patch_item("1", "p1", [{"op": "incr", "path": "/n", "value": 1}])
    assert by_python["n"] == 101


async def test_a_feed_goes_from_a_date_on(
    wire: Wire, items: ContainerProxy, clock: HandClock
) -> None:
    clock.pass_by(60)
    since = formatdate(clock.now().timestamp(), usegmt=True)
    await items.upsert_item({"id": "new", "pk": "p1"})

    def feed(**headers: str) -> Any:
        return sent(wire, "GET", DOCS, a_im="Incremental feed", **headers)

    changed = await feed(if_modified_since=since)
    nothing = await feed(if_none_match=changed.headers["etag"])

    assert [each["id"] for each in changed.body["Documents"]] == ["new"]
    assert (nothing.status, nothing.headers["etag"]) == (304, changed.headers["etag"])
    assert (await feed(if_modified_since="soon")).status == 400
    assert (await sent(wire, "GET", DOCS, a_im="Full-Fidelity Feed")).status == 400


async def test_offers_are_read_and_replaced(wire: Wire, items: ContainerProxy) -> None:
    offer = await items.get_throughput()
    await items.replace_throughput(700)
    shown = (await sent(wire, "GET", "/offers")).body["Offers"]
    refused = await sent(
        wire, "PUT", f"/offers/{offer.properties['_rid']}",
        {"content": {"offerThroughput": 450}}, link=offer.properties["_rid"].lower(),
    )  # fmt: skip

    assert offer.offer_throughput == 400
    assert (await items.get_throughput()).offer_throughput == 700
    assert {each["content"]["offerThroughput"] for each in shown} == {400, 700}
    assert refused.status == 400


async def test_databases_and_containers_are_replaced_queried_and_deleted(
    wire: Wire, items: ContainerProxy
) -> None:
    async with CosmosClient(wire.endpoint.url, KEY) as client:
        database = client.get_database_client("shop")
        before = await items.read()
        await database.replace_container(
            "items", PartitionKey(path="/pk"), default_ttl=60,
            indexing_policy={"includedPaths": [{"path": "/*"}, {"path": "/n/?"}]},
        )  # fmt: skip
        after = await items.read()
        found = [each["id"] async for each in client.query_databases("SELECT * FROM c")]
        listed = [each["id"] async for each in database.query_containers("SELECT c.id FROM c")]
        await items.upsert_item({"id": "none", "pk": "p0"})
        ordered = items.query_items("SELECT VALUE c.id FROM c ORDER BY c.n")
        kept = [each async for each in ordered]
        await database.delete_container("items")
        await client.delete_database("shop")

    assert (before.get("defaultTtl"), after["defaultTtl"]) == (None, 60)
    assert before["_etag"] != after["_etag"]
    assert before["_rid"] == after["_rid"]
    assert before["indexingPolicy"]["includedPaths"] == [{"path": "/*"}]
    assert (found, listed) == (["runtime", "shop"], ["items"])
    assert kept[0] == "none"
    assert (await sent(wire, "GET", DOCS)).status == 404
    assert (await sent(wire, "GET", "/dbs/shop")).status == 404


async def test_what_is_not_served_is_a_400_with_its_name_and_an_activity_id(
    wire: Wire, items: ContainerProxy
) -> None:
    del items
    answer = await sent(wire, "POST", "/dbs/shop/colls/items/sprocs", {"id": "s", "body": ""})
    query = await sent(
        wire, "POST", DOCS, {"query": "SELECT VALUE ST_AREA(c) FROM c"},
        content_type="application/query+json", x_ms_activity_id="mine",
    )  # fmt: skip

    assert (answer.status, answer.body["code"]) == (400, "BadRequest")
    assert "dbs/*/colls/*/sprocs" in answer.body["message"]
    assert answer.headers["x-ms-activity-id"] in answer.body["message"]
    assert "ST_AREA is not served here\r\nActivityId: mine" in query.body["message"]


async def test_a_part_of_a_key_of_several_levels_finds_what_is_below_it(wire: Wire) -> None:
    async with CosmosClient(wire.endpoint.url, KEY) as client:
        database = await client.create_database("shop")
        items = await database.create_container(
            "items", PartitionKey(path=["/a", "/b"], kind="MultiHash")
        )
        for number, (first, second) in enumerate([("x", 1), ("x", True), ("y", 1)]):
            await items.create_item({"id": str(number), "a": first, "b": second})

    sql = "SELECT VALUE c.id FROM c"
    assert await asked(wire, sql, x_ms_documentdb_partitionkey='["x"]') == ["0", "1"]
    assert await asked(wire, sql, x_ms_documentdb_partitionkey='["x",true]') == ["1"]
    assert await asked(wire, sql, x_ms_documentdb_partitionkey='["x",1.0]') == ["0"]
    too_long = await sent(
        wire, "POST", DOCS, {"query": sql}, content_type="application/query+json",
        x_ms_documentdb_partitionkey=json.dumps(["x", 1, 2]),
    )  # fmt: skip
    assert too_long.status == 400


async def test_all_documents_of_a_partition_are_deleted_at_once(
    wire: Wire, items: ContainerProxy
) -> None:
    await items.delete_all_items_by_partition_key("p1")
    other = await sent(wire, "POST", "/dbs/shop/colls/items/operations/other")

    left = items.query_items("SELECT c.pk, COUNT(1) AS n FROM c GROUP BY c.pk")
    assert [each async for each in left] == [{"pk": "p0", "n": 4}, {"pk": "p2", "n": 4}]
    assert other.status == 400


@pytest.mark.long
async def test_a_long_query_does_not_hold_others_up(wire: Wire, items: ContainerProxy) -> None:
    for n in range(4):
        await items.upsert_item({"id": f"l{n}", "pk": "p0", "list": list(range(60))})
    joins = " ".join(f"JOIN {name} IN c.list" for name in "def")

    long = asyncio.create_task(
        sent(
            wire, "POST", DOCS, {"query": f"SELECT VALUE COUNT(1) FROM c {joins}"},
            content_type="application/query+json",
        )
    )  # fmt: skip
    for _ in range(3):
        await items.read_item("1", "p1")
    was_done = long.done()
    answer = await long

    assert (was_done, answer.status) == (False, 200)
    assert answer.body["Documents"] == [4 * 60**3]


async def test_a_long_sort_value_that_fits_into_no_header_is_a_400(
    wire: Wire, items: ContainerProxy
) -> None:
    noise = "".join(chr(0x4E00 + n * 7919 % 20_000) for n in range(9_000))
    for n in range(3):
        await items.upsert_item({"id": f"l{n}", "pk": "p0", "text": noise})
    query = {"query": "SELECT c.id FROM c ORDER BY c.text"}
    headers = {"content_type": "application/query+json"}

    paged = await sent(wire, "POST", DOCS, query, x_ms_max_item_count="1", **headers)
    whole = await sent(wire, "POST", DOCS, query, x_ms_max_item_count="10", **headers)

    assert (paged.status, whole.status) == (400, 200)
    assert "more items a page" in paged.body["message"]


async def test_documents_are_found_by_their_ids_whatever_these_are(
    wire: Wire, items: ContainerProxy
) -> None:
    for name in ("a\0b", "it's", "é✓", '"'):
        await items.upsert_item({"id": name, "pk": "p0"})

    for name in ("a\0b", "it's", "é✓", '"', "5"):
        query = {
            "query": "SELECT VALUE c.id FROM c WHERE (c.id = @id OR c.id IN ('none')) AND true",
            "parameters": [{"name": "@id", "value": name}],
        }
        answer = await sent(wire, "POST", DOCS, query, content_type="application/query+json")
        assert answer.body["Documents"] == [name]


async def test_a_database_keeps_its_throughput_for_containers_that_share_it(wire: Wire) -> None:
    async with CosmosClient(wire.endpoint.url, KEY) as client:
        database = await client.create_database("shared", offer_throughput=500)
        await database.create_container("sharing", PartitionKey(path="/pk"))
        await database.create_container("own", PartitionKey(path="/pk"), offer_throughput=600)
        first = await database.get_throughput()
        await database.replace_throughput(900)
        offers = (await sent(wire, "GET", "/offers")).body["Offers"]
        shown = await database.read()
        again = await client.get_database_client("shared").get_throughput()

    assert (first.offer_throughput, again.offer_throughput) == (500, 900)
    assert [each["content"]["offerThroughput"] for each in offers] == [400, 900, 600]
    assert offers[1]["resource"] == shown["_self"]


async def test_a_batch_shows_what_it_wrote_unless_it_asked_for_less(
    wire: Wire, items: ContainerProxy
) -> None:
    asked_for = [
        {"operationType": "Create", "resourceBody": {"id": "x", "pk": "p0"}},
        {"operationType": "Read", "id": "0"},
    ]
    headers = {
        "x_ms_cosmos_is_batch_request": "True", "x_ms_cosmos_batch_atomic": "True",
        "x_ms_documentdb_partitionkey": '["p0"]',
    }  # fmt: skip
    short = await sent(wire, "POST", DOCS, asked_for, prefer="return=minimal", **headers)
    of_one = {"operationType": "Upsert", "resourceBody": {"id": "x", "pk": "p0"}}
    other = {**of_one, "minimalReturnPreference": True}
    mixed = await sent(wire, "POST", DOCS, [of_one, other], **headers)

    assert [each.get("resourceBody", {}).get("id") for each in short.body] == [None, "0"]
    assert all(each["eTag"] for each in short.body)
    assert ["resourceBody" in each for each in mixed.body] == [True, False]


async def test_a_query_says_what_it_cost_if_it_is_asked(wire: Wire, items: ContainerProxy) -> None:
    query = {"query": "SELECT * FROM c WHERE c.n < 4"}
    answer = await sent(
        wire, "POST", DOCS, query, content_type="application/query+json",
        x_ms_documentdb_query_enablecrosspartition="True",
        x_ms_documentdb_populatequerymetrics="true",
    )  # fmt: skip
    text = answer.headers["x-ms-documentdb-query-metrics"]
    metrics = dict(part.split("=") for part in text.split(";"))

    assert (metrics["retrievedDocumentCount"], metrics["outputDocumentCount"]) == ("12", "4")
    assert float(metrics["totalExecutionTimeInMs"]) >= float(metrics["VMExecutionTimeInMs"]) >= 0
    assert float(metrics["indexUtilizationRatio"]) == 0.33
