"""The account serves what our adapters call; the rest is refused by its name, never ignored."""

import re
from pathlib import Path

import pytest

from local_cloud.storage_endpoint.operations import (
    BLOB_SERVED,
    BLOB_SHAPES,
    TABLE_SERVED,
    TABLE_SHAPES,
)
from tests.kit.storage_requests import Requests

pytestmark = pytest.mark.real
PAGE = Path(__file__).parents[3] / "docs/local-storage.md"
PATHS = {
    "service": "/", "container": "/known?restype=container", "blob": "/known/a",
    "tables": "/Tables", "table": "/Tables('known')", "entities": "/known",
    "entity": "/known(PartitionKey='p',RowKey='r')", "transaction": "/$batch",
}  # fmt: skip


def path_of(addressed: str, comp: str) -> str:
    path = PATHS[addressed]
    return path + (f"{'&' if '?' in path else '?'}comp={comp}" if comp else "")


def test_the_page_lists_what_is_served_and_what_is_not() -> None:
    rows = re.findall(r"^\| (blob|table) \| (.*?) \|(.*)$", PAGE.read_text(), re.MULTILINE)
    shown = {(service, name): cells for service, name, cells in rows}

    for service, served, shapes in (
        ("blob", BLOB_SERVED, BLOB_SHAPES),
        ("table", TABLE_SERVED, TABLE_SHAPES),
    ):
        for name, takes in served.items():
            query, headers, _ = shown.pop((service, name)).split("|")
            assert set(re.findall("`(.*?)`", query)) == takes.query
            assert set(re.findall("`(.*?)`", headers)) == takes.headers
        others = ", ".join(sorted(set(shapes.values()) - set(served)))
        assert shown.pop((service, others)) == ""
    assert not shown


async def test_every_other_operation_is_refused_by_its_name(requests: Requests) -> None:
    for shapes, served, ask in (
        (BLOB_SHAPES, BLOB_SERVED, requests.blob),
        (TABLE_SHAPES, TABLE_SERVED, requests.table),
    ):
        for (method, addressed, comp), name in shapes.items():
            if name not in served:
                answer = await ask(method, path_of(addressed, comp))
                assert (answer.status, answer.code) == (501, "NotImplemented"), name
                assert method == "HEAD" or name.encode() in answer.body


@pytest.mark.parametrize(
    ("method", "path", "headers", "named"),
    [
        ("GET", "/known?restype=container&comp=list&delimiter=/", {}, "delimiter"),
        ("GET", "/known?restype=container&comp=list&include=metadata", {}, "include"),
        ("GET", "/known/a?snapshot=2026-11-28T19:00:00.0000000Z", {}, "snapshot"),
        ("PUT", "/known/a", {"x-ms-blob-type": "PageBlob"}, "PageBlob"),
        ("PUT", "/known/a", {"x-ms-blob-type": "BlockBlob", "x-ms-meta-a": "1"}, "x-ms-meta-a"),
        ("PUT", "/known/a", {"x-ms-copy-source": "http://a/b"}, "x-ms-copy-source"),
        ("PUT", "/known/a", {"x-ms-blob-type": "BlockBlob", "Content-MD5": "x"}, "content-md5"),
        ("GET", "/known?comp=list", {}, "root container"),
    ],
)
async def test_what_would_change_a_served_operation_is_refused_by_its_name(
    requests: Requests, method: str, path: str, headers: dict[str, str], named: str
) -> None:
    answer = await requests.blob(method, path, headers=headers)

    assert (answer.status, answer.code) == (501, "NotImplemented")
    assert named.encode() in answer.body


@pytest.mark.parametrize(
    "query",
    [
        "", "$filter=RowKey%20eq%20'a'", "$filter=PartitionKey%20gt%20'a'",
        "$filter=PartitionKey%20eq%20'a'%20and%20n%20eq%201",
        "$filter=PartitionKey%20eq%20'a'%20or%20PartitionKey%20eq%20'b'",
        "$filter=PartitionKey%20eq%20'a'%20and%20", "$filter=not%20(PartitionKey%20eq%20'a')",
    ],
)  # fmt: skip
async def test_a_query_of_another_form_is_refused(requests: Requests, query: str) -> None:
    answer = await requests.table("GET", f"/known()?{query}")

    assert (answer.status, answer.code) == (501, "NotImplemented")


async def test_what_was_not_declared_is_not_found(requests: Requests) -> None:
    blob = await requests.blob("GET", "/absent/a")
    listed = await requests.blob("GET", "/absent?restype=container&comp=list")
    put = await requests.blob("PUT", "/absent/a", b"x", {"x-ms-blob-type": "BlockBlob"})
    table = await requests.table("GET", "/absent()?$filter=PartitionKey%20eq%20'a'")

    assert {answer.code for answer in (blob, listed, put)} == {"ContainerNotFound"}
    assert {answer.status for answer in (blob, listed, put, table)} == {404}
    assert table.code == "TableNotFound"
    assert b'"odata.error":' in table.body
    assert b"<Error><Code>ContainerNotFound</Code>" in blob.body


async def test_what_is_there_is_not_made_again(requests: Requests) -> None:
    container = await requests.blob("PUT", "/known?restype=container")
    table = await requests.table("POST", "/Tables", b'{"TableName": "known"}')

    assert (container.status, container.code) == (409, "ContainerAlreadyExists")
    assert (table.status, table.code) == (409, "TableAlreadyExists")
