"""Entity group transactions over the wire: all or nothing, and which part failed."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from tests.kit.storage_accounts import ACCOUNT
from tests.kit.storage_requests import Answer, Requests

pytestmark = pytest.mark.real
MIXED = {"Content-Type": "multipart/mixed; boundary=b1"}
QUERY = "/known()?$filter=PartitionKey%20eq%20'p'"


def insert(key: str, table: str = "known", **values: Any) -> str:
    entity = json.dumps({"PartitionKey": "p", "RowKey": key, **values})
    return f"POST http://127.0.0.1/{ACCOUNT}/{table} HTTP/1.1\r\n\r\n{entity}"


def of_entity(method: str, key: str, head: str = "", body: str = "") -> str:
    path = f"/{ACCOUNT}/known(PartitionKey='p',RowKey='{key}')"
    return f"{method} http://127.0.0.1{path} HTTP/1.1\r\n{head}\r\n\r\n{body}"


async def send(requests: Requests, *parts: str, preamble: str = "") -> Answer:
    change_set = "".join(f"--c1\r\nContent-Type: application/http\r\n\r\n{p}\r\n" for p in parts)
    body = (
        "--b1\r\nContent-Type: multipart/mixed; boundary=c1\r\n\r\n"
        f"{preamble}{change_set}--c1--\r\n--b1--\r\n"
    )
    return await requests.table("POST", "/$batch", body.encode(), MIXED)


async def keys(requests: Requests) -> Sequence[str]:
    answer = await requests.table("GET", QUERY)
    return [entity["RowKey"] for entity in json.loads(answer.body)["value"]]


async def test_parts_of_every_kind_are_done_in_one_transaction(requests: Requests) -> None:
    await send(requests, insert("a"), insert("b"))

    answer = await send(
        requests,
        insert("c"),
        of_entity("PUT", "b", body='{"n":"5","n@odata.type":"Edm.Int64"}'),
        of_entity("DELETE", "a", "If-Match: *"),
    )

    assert answer.status == 202
    assert answer.body.count(b"HTTP/1.1 204 No Content") == 3
    assert await keys(requests) == ["b", "c"]


async def test_an_empty_line_may_stand_before_the_parts(requests: Requests) -> None:
    """The client for JavaScript sends one."""
    answer = await send(requests, insert("a"), preamble="\r\n")

    assert answer.status == 202
    assert await keys(requests) == ["a"]


async def test_a_part_may_say_in_which_form_it_would_have_an_entity(requests: Requests) -> None:
    """Go's client does; of another parameter nobody would know what it changes."""
    form = "$format=application%2Fjson%3Bodata%3Dminimalmetadata"

    answer = await send(requests, insert("a", table=f"known?{form}"))
    refused = await send(requests, insert("b", table="known?timeout=5"))

    assert answer.status == 202
    assert await keys(requests) == ["a"]
    assert (refused.status, b"'timeout'" in refused.body) == (501, True)


async def test_a_blank_in_a_filter_may_be_a_plus(requests: Requests) -> None:
    """Go's client writes it so, and a plus as %2B."""
    await send(requests, insert("a+b"), insert("c"))
    path = "/known()?$filter=PartitionKey+eq+'p'+and+RowKey+le+'a%2Bb'"

    answer = await requests.table("GET", path)

    assert [entity["RowKey"] for entity in json.loads(answer.body)["value"]] == ["a+b"]


@pytest.mark.parametrize(
    ("refused", "code"),
    [
        pytest.param(insert("a"), "EntityAlreadyExists", id="a-row-that-is-there"),
        pytest.param(
            of_entity("DELETE", "x", "If-Match: *"), "ResourceNotFound", id="one-that-is-not"
        ),
    ],
)
async def test_a_part_that_fails_undoes_the_others_and_is_named(
    requests: Requests, refused: str, code: str
) -> None:
    await send(requests, insert("a"))

    answer = await send(requests, insert("b"), of_entity("PUT", "c", body="{}"), refused)

    assert answer.status == 202
    assert f'"code": "{code}"'.encode() in answer.body
    assert b'"value": "2:The specified' in answer.body
    assert await keys(requests) == ["a"]


@pytest.mark.parametrize(
    ("parts", "status", "code"),
    [
        pytest.param([insert(str(n)) for n in range(101)], 400, "InvalidInput", id="101-parts"),
        pytest.param([], 400, "InvalidInput", id="none"),
        pytest.param([insert("a"), insert("a")], 400, "InvalidDuplicateRow", id="a-row-twice"),
        pytest.param([insert("a"), insert("b", "other")], 400, "InvalidInput", id="two-tables"),
        pytest.param([insert("a", t="x" * 32_769)], 400, "InvalidInput", id="a-long-text"),
        pytest.param([insert("a", n=5)], 501, "NotImplemented", id="32-bits"),
        pytest.param([insert("a", **{"x.y": "z"})], 400, "InvalidInput", id="a-name-with-a-dot"),
        pytest.param([of_entity("PATCH", "a", body="{}")], 501, "NotImplemented", id="a-merge"),
        pytest.param([of_entity("GET", "a")], 501, "NotImplemented", id="a-query"),
        pytest.param(
            [of_entity("DELETE", "a", 'If-Match: W/"1"')], 501, "NotImplemented", id="an-etag"
        ),
        pytest.param(
            [of_entity("PUT", "a", body='{"PartitionKey":"p","RowKey":"b"}')],
            400, "PropertiesNeedValue", id="two-keys",
        ),
    ],
)  # fmt: skip
async def test_what_is_no_transaction_changes_nothing(
    requests: Requests, parts: Sequence[str], status: int, code: str
) -> None:
    answer = await send(requests, *parts)

    assert (answer.status, answer.code) == (status, code)
    assert await keys(requests) == []


async def test_a_table_that_was_not_declared_is_named_in_the_answer(requests: Requests) -> None:
    answer = await send(requests, insert("a", "absent"))

    assert answer.status == 202
    assert b'"value": "0:The table specified does not exist."' in answer.body


async def test_a_page_ends_where_the_next_begins(requests: Requests) -> None:
    await send(requests, *(insert(f"{n} \u00fc") for n in range(5)))

    seen, page = [], await requests.table("GET", f"{QUERY}&$top=2")
    while True:
        seen.append(len(json.loads(page.body)["value"]))
        token = page.headers.get("x-ms-continuation-NextRowKey")
        if token is None:
            break
        partition = page.headers["x-ms-continuation-NextPartitionKey"]
        rest = f"&NextPartitionKey={partition}&NextRowKey={token}".replace("=", "%3D")
        rest = rest.replace("Key%3D", "Key=")
        page = await requests.table("GET", f"{QUERY}&$top=2{rest}")

    assert seen == [2, 2, 1]
    other = f"{QUERY}&NextPartitionKey=1!eA%3D%3D&NextRowKey=1!eA%3D%3D"
    assert (await requests.table("GET", other)).status == 400
    assert (await requests.table("GET", f"{QUERY}&$top=1001")).status == 400


async def test_a_page_has_four_megabytes_at_most(requests: Requests) -> None:
    text = "x" * 32_768
    for number in range(3):
        texts = {f"t{n}": text for n in range(15)}
        await send(requests, *(insert(f"{number}{n}", **texts) for n in range(4)))

    page = await requests.table("GET", QUERY)

    assert 2 * 2**20 < len(page.body) < 5 * 2**20
    assert "x-ms-continuation-NextRowKey" in page.headers
