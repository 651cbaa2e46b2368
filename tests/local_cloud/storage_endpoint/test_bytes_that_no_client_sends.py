"""Whatever arrives, the answer is an error of the caller's, and it comes."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from aiohttp import ClientSession
from hypothesis import given, settings
from hypothesis import strategies as st

from local_cloud.storage_endpoint.entities import filter_of, row_of
from local_cloud.storage_endpoint.errors import StorageRefused
from local_cloud.storage_endpoint.transactions import transaction_of
from shared.kernel.errors import Refused
from shared.persistence.table_rules import checked_rows
from tests.kit.patience import PATIENCE_S
from tests.kit.storage_accounts import ACCOUNT, Emulator
from tests.kit.storage_requests import Requests
from tests.kit.storage_wire import wired_storage

MIXED = "multipart/mixed; boundary=b1"
ENTITY = b'{"PartitionKey":"p","RowKey":"r","n@odata.type":"Edm.Int64","n":"5","t":"x","f":0.5}'
TRANSACTION = b"\r\n".join(
    [
        b"--b1", b"Content-Type: multipart/mixed; boundary=c1", b"",
        b"--c1", b"Content-Type: application/http", b"Content-Transfer-Encoding: binary", b"",
        b"POST http://127.0.0.1:1/tests/known HTTP/1.1", b"Content-Type: application/json", b"",
        ENTITY,
        b"--c1", b"Content-Type: application/http", b"Content-Transfer-Encoding: binary", b"",
        b"DELETE http://127.0.0.1:1/tests/known(PartitionKey='p',RowKey='s') HTTP/1.1",
        b"If-Match: *", b"", b"",
        b"--c1--", b"--b1--", b"",
    ]
)  # fmt: skip


async def answer_to(port: int, sent: bytes) -> int:
    """Return the status of the answer to *sent*, after which the connection stays open."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent)
        async with asyncio.timeout(PATIENCE_S):
            return int((await reader.readline()).split()[1])
    finally:
        writer.close()


@pytest.mark.real
@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"\x00\xff\xfe garbage\r\n\r\n", id="garbage"),
        pytest.param(bytes.fromhex("16030100c8010000c40303"), id="a-handshake-of-tls"),
        pytest.param(b"GET /tests/\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n", id="a-raw-path"),
        pytest.param(b"GET /tests/%ff%fe HTTP/1.1\r\nHost: a\r\n\r\n", id="a-path-of-no-text"),
        pytest.param(b"GET /tests/a?%ff=%fe HTTP/1.1\r\nHost: a\r\n\r\n", id="a-query-of-no-text"),
        pytest.param(b"GET http://[/a HTTP/1.1\r\nHost: a\r\n\r\n", id="an-address-of-no-machine"),
        pytest.param(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", id="no-path"),
        pytest.param(b"GET /tests/../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n", id="upwards"),
        pytest.param(b"GET /tests/a HTTP/1.1\r\n\r\n", id="no-host"),
        pytest.param(b"GET /tests/a HTTP/1.1\r\nHost: \xff[\r\n\r\n", id="a-host-of-no-text"),
        pytest.param(b"PUT /tests/a HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n", id="minus"),
        pytest.param(b"GET /tests/a HTTP/1.1\r\nX: " + b"a" * 99_999, id="a-long-head"),
        pytest.param(
            b"GET /tests/a HTTP/1.1\r\nHost: a\r\nAuthorization: SharedKey \xff:\xfe\r\n\r\n",
            id="a-signature-of-no-text",
        ),
    ],
)  # fmt: skip
async def test_a_request_that_is_none_is_the_callers_error(local: Emulator, sent: bytes) -> None:
    for port in (local.blob_port, local.table_port):
        assert 400 <= await answer_to(port, sent) < 500


def head(method: str, path: str, headers: Mapping[str, str], length: int) -> bytes:
    """Return the head of a request whose body is still to come."""
    given = {"Host": "127.0.0.1", "Content-Length": str(length), **headers}
    lines = [f"{method} /{ACCOUNT}{path} HTTP/1.1", *(f"{n}: {v}" for n, v in given.items())]
    return "\r\n".join([*lines, "", ""]).encode()


BLOCK = {"x-ms-blob-type": "BlockBlob"}


@pytest.mark.real
async def test_a_body_over_its_bound_is_refused_before_it_comes(requests: Requests) -> None:
    for path, length, headers in (
        ("/known/a", 256 * 2**20 + 1, BLOCK),
        ("/known/a?comp=block&blockid=YQ==", 256 * 2**20 + 1, {}),
        ("/known/a?comp=blocklist", 8 * 2**20 + 1, {}),
    ):
        signed = requests.blob_headers("PUT", path, length, headers)
        sent = head("PUT", path, signed, length)
        assert await answer_to(requests.emulator.blob_port, sent) == 413
    for path in ("/$batch", "/Tables"):
        length = 4 * 2**20 + 1
        sent = head("POST", path, requests.table_headers("POST", path, {}), length)
        assert await answer_to(requests.emulator.table_port, sent) == 413


@pytest.mark.real
async def test_a_body_without_its_length_is_not_read(requests: Requests) -> None:
    signed = requests.blob_headers("PUT", "/known/a", 0, BLOCK)
    sent = head("PUT", "/known/a", signed, 0).replace(
        b"Content-Length: 0", b"Transfer-Encoding: chunked"
    )

    assert await answer_to(requests.emulator.blob_port, sent + b"5\r\nhello\r\n0\r\n\r\n") == 411


@pytest.mark.real
async def test_a_body_that_stops_changes_nothing_and_is_given_up(tmp_path: Path) -> None:
    async with (
        wired_storage(tmp_path, piece_within_s=1.0) as served,
        ClientSession() as http,
    ):
        requests = Requests(served, http)
        await requests.blob("PUT", "/known?restype=container")
        await requests.blob("PUT", "/known/a", b"before", BLOCK)
        signed = requests.blob_headers("PUT", "/known/a", 10, BLOCK)

        status = await answer_to(served.blob_port, head("PUT", "/known/a", signed, 10) + b"half")

        assert status == 408
        assert (await requests.blob("GET", "/known/a")).body == b"before"
        assert not [*(tmp_path / "blobs/known/.blocks/.parts").iterdir()]


@pytest.mark.real
@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/known/a", {"x-ms-range": "bytes=5-1"}), ("/known/a", {"x-ms-range": "lines=1-2"}),
        ("/known/a", {"x-ms-range": "bytes=-5"}),
        ("/known/a", {"x-ms-range": f"bytes=0-{'9' * 99}"}),
        ("/known/a", {"x-ms-range": "bytes=999-"}), ("/known/%00", {}), ("/known/.parts/a", {}),
        ("/known/a%2F..%2Fb", {}), ("/known/a//b", {}), ("/known/" + "%F0%9D%84%9E" * 900, {}),
        ("/known?restype=container&comp=list&maxresults=0", {}),
        ("/known?restype=container&comp=list&maxresults=x", {}),
        ("/known?restype=container&comp=list&marker=%C3%A9", {}),
        ("/known?restype=container&comp=list&prefix=%00", {}),
        ("/known?restype=container&comp=list&comp=list", {}),
    ],
)  # fmt: skip
async def test_a_read_of_what_cannot_be_is_the_callers_error(
    requests: Requests, path: str, headers: dict[str, str]
) -> None:
    await requests.blob("PUT", "/known/a", b"x", BLOCK)

    assert 400 <= (await requests.blob("GET", path, headers=headers)).status < 500


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, len(TRANSACTION)),
    st.integers(0, 60),
    st.binary(max_size=20) | st.sampled_from([b"\r\n", b"'", b"--c1", b"\xff", b"{", b"1" * 500]),
)
def test_a_transaction_that_is_wrong_anywhere_is_refused(at: int, gone: int, put: bytes) -> None:
    body = TRANSACTION[:at] + put + TRANSACTION[at + gone :]

    with suppress(StorageRefused, Refused):
        checked_rows([change.row for change in transaction_of(MIXED, body, ACCOUNT).changes])


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(ENTITY)), st.integers(0, 20), st.binary(max_size=9))
def test_an_entity_that_is_wrong_anywhere_is_refused(at: int, gone: int, put: bytes) -> None:
    with suppress(StorageRefused, Refused):
        checked_rows([row_of(ENTITY[:at] + put + ENTITY[at + gone :])])


@given(st.text(max_size=40) | st.text("PartionKeyRw eqand'()", max_size=60))
def test_a_filter_of_any_text_is_read_or_refused(text: str) -> None:
    with suppress(StorageRefused):
        assert filter_of(f"PartitionKey eq 'p' and {text}").partition_key == "p"
