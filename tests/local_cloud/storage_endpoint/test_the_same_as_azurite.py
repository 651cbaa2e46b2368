"""The same calls to the local cloud and to Azurite, through the official SDKs: the same results."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError
from azure.data.tables import EdmType
from azure.data.tables.aio import TableServiceClient
from azure.storage.blob import BlobBlock
from azure.storage.blob.aio import BlobServiceClient

from shared.kernel.entropy import SystemEntropy
from shared.persistence.storage_errors import code_of
from tests.kit.storage_accounts import Emulator
from tests.kit.storage_wire import wired_storage

pytestmark = pytest.mark.real


class Told:
    """What each call of one account came to, in order."""

    def __init__(self) -> None:
        self.results: list[Any] = []

    async def __call__(self, call: Callable[[], Awaitable[Any]]) -> None:
        try:
            self.results.append(await call())
        except HttpResponseError as failed:
            self.results.append((failed.status_code, code_of(failed)))


def keys(*pairs: tuple[str, str], **values: Any) -> list[dict[str, Any]]:
    return [{"PartitionKey": p, "RowKey": r, **values} for p, r in pairs]


async def blobs_told(emulator: Emulator, name: str) -> list[Any]:
    """Return what the calls about blobs come to, but for times and etags."""
    told = Told()
    options = {"retry_total": 0, "max_single_get_size": 4, "max_chunk_get_size": 4}
    async with BlobServiceClient.from_connection_string(
        emulator.connection_string(), **options
    ) as service:
        container, absent = service.get_container_client(name), service.get_blob_client("none", "a")
        blob, blocks = container.get_blob_client("a b/ü+%20"), container.get_blob_client("blocks")

        async def content(**options: Any) -> bytes:
            return await (await blob.download_blob(**options)).readall()

        async def shown() -> tuple[Any, ...]:
            about = await blob.get_blob_properties()
            return about.size, about.blob_type, about.content_settings.content_type, about.name

        async def etag() -> str:
            return str((await blob.get_blob_properties()).etag)

        async def listed(prefix: str = "", size: int | None = None) -> list[list[Any]]:
            found = container.list_blobs(name_starts_with=prefix, results_per_page=size)
            return [
                [(b.name, b.size, b.blob_type) async for b in page]
                async for page in found.by_page()
            ]

        async def empty(call: Awaitable[Any]) -> None:
            await call

        await told(lambda: empty(container.create_container()))
        await told(lambda: empty(container.create_container()))
        await told(lambda: empty(blob.upload_blob(b"first")))
        await told(lambda: empty(blob.upload_blob(b"second")))
        await told(lambda: empty(blob.upload_blob(b"0123456789", overwrite=True)))
        old = await etag()
        await told(content)
        await told(lambda: content(offset=3, length=2))
        await told(lambda: content(offset=8, length=9))
        await told(lambda: content(offset=99, length=1))
        await told(shown)
        is_same, is_other = MatchConditions.IfNotModified, MatchConditions.IfModified
        for condition in (
            {"etag": old, "match_condition": is_same},
            {"etag": '"0x1"', "match_condition": is_same},
            {"etag": old, "match_condition": is_other},
            {"etag": '"0x1"', "match_condition": is_other},
        ):
            await told(lambda c=condition: content(**c))
        for condition in (
            {"etag": old, "match_condition": is_same},
            {"etag": old, "match_condition": is_same},
            {"match_condition": MatchConditions.IfMissing},
        ):
            await told(lambda c=condition: empty(blob.upload_blob(b"x", overwrite=True, **c)))
        await told(lambda: empty(blocks.stage_block("1", b"one")))
        await told(lambda: empty(blocks.stage_block("2", b"two")))
        await told(lambda: empty(blocks.get_blob_properties()))
        await told(lambda: empty(blocks.commit_block_list([BlobBlock("3")])))
        await told(lambda: empty(blocks.commit_block_list([BlobBlock("2"), BlobBlock("1")])))
        await told(lambda: empty(blocks.commit_block_list([BlobBlock("2"), BlobBlock("1")])))
        await told(lambda: empty(blocks.commit_block_list([BlobBlock("9")])))
        for number in range(4):
            await container.upload_blob(f"many/{number}", b"x" * number)
        await told(listed)
        await told(lambda: listed("many/", 3))
        await told(lambda: listed("many/", 4))
        await told(lambda: listed("none"))
        await told(lambda: empty(blocks.delete_blob()))
        await told(lambda: empty(blocks.delete_blob()))
        await told(lambda: empty(absent.upload_blob(b"x")))
        await told(lambda: empty(absent.get_blob_properties()))
        await told(lambda: empty(absent.delete_blob()))
        return told.results


async def tables_told(emulator: Emulator, name: str) -> list[Any]:
    """Return what the calls about tables come to, but for times and etags."""
    told = Told()
    async with TableServiceClient.from_connection_string(
        emulator.connection_string(), retry_total=0
    ) as service:
        table = service.get_table_client(name)

        async def done(*operations: Any) -> int:
            return len(await table.submit_transaction(operations))

        async def found(where: str, **options: Any) -> list[list[dict[str, Any]]]:
            pages = table.query_entities(where, **options).by_page()
            return [[dict(entity) async for entity in page] async for page in pages]

        async def made() -> str:
            return (await table.create_table()).name

        values = {
            "t": "ü'\n", "n": (2**40, EdmType.INT64), "f": 0.5, "w": 3.0, "yes": True, "e": "",
        }  # fmt: skip
        await told(lambda: found("PartitionKey eq 'p'"))
        await told(lambda: done(("create", keys(("p", "1"))[0])))
        await told(made)
        await told(made)
        await told(lambda: done(*(("create", e) for e in keys(("p", "2"), ("p", "1"), **values))))
        await told(lambda: done(*(("create", e) for e in keys(("p", "0"), ("p", "1")))))
        await told(lambda: done(("upsert", keys(("p", "2"), x="y")[0], {"mode": "replace"})))
        await told(lambda: done(*(("delete", e) for e in keys(("p", "1"), ("p", "9")))))
        hundred = [("create", entity) for entity in keys(*(("p", f"a{n}") for n in range(100)))]
        await told(lambda: done(*hundred))
        await told(lambda: done(*(("create", e) for e in keys(("p", "b"), ("p", "b")))))
        await told(lambda: found("PartitionKey eq 'p'", select=["RowKey"]))
        for number in range(5):
            await done(*(("create", e) for e in keys(("q", f"{number}"), ("q", f"{number}'"))))
        for where in (
            "PartitionKey eq 'p'", "PartitionKey eq 'p' and RowKey eq '1'",
            "PartitionKey eq 'q' and RowKey gt '1' and RowKey lt '4'",
            "PartitionKey eq 'q' and RowKey ge '1''' and RowKey le '3'",
            "PartitionKey eq 'none' and RowKey ge ''",
        ):  # fmt: skip
            await told(lambda w=where: found(w))
        await told(lambda: found("PartitionKey eq 'q'", results_per_page=4))
        await told(lambda: found("PartitionKey eq 'p'", select=["RowKey", "t", "n"]))
        return told.results


@pytest.mark.parametrize("told", [blobs_told, tables_told])
async def test_the_same_calls_have_the_same_results(
    azurite: Emulator, tmp_path: Path, told: Callable[[Emulator, str], Awaitable[list[Any]]]
) -> None:
    name = f"t{SystemEntropy().uuid().hex}"
    async with wired_storage(tmp_path) as local:
        ours = await told(local, name)
    theirs = await told(azurite, name)

    pairs = enumerate(zip(ours, theirs, strict=True))
    assert not [(call, pair) for call, pair in pairs if pair[0] != pair[1]]
    assert len(ours) > 15
