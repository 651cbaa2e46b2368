"""Requests read, and answers written, in the form of the Cosmos DB REST protocol."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from local_cloud.cosmos_endpoint.account import KEY_RANGES, Container
from local_cloud.cosmos_endpoint.documents import (
    Documents,
    OperationResult,
    PartitionRange,
)
from local_cloud.cosmos_endpoint.errors import CosmosError, bad_request
from local_cloud.cosmos_endpoint.faults import Fault
from local_cloud.cosmos_endpoint.partition_keys import partition_of

_TRIGGERS: Final = (
    "x-ms-documentdb-pre-trigger-include", "x-ms-documentdb-post-trigger-include",
)  # fmt: skip
PAGE_SIZE: Final = 100
PAGE_SIZE_MAX: Final = 1000
_LSN: Final = re.compile(r"[0-9]{1,18}")
_SIZE: Final = re.compile(r"-?[0-9]{1,9}")


def json_response(
    body: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    text = json.dumps(body, separators=(",", ":"))
    return web.Response(text=text, status=status, headers=headers, content_type="application/json")


def parsed_json(text: bytes) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as problem:
        raise bad_request(f"the body is not JSON: {problem}") from problem


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


async def json_object(request: web.Request) -> dict[str, Any]:
    body = parsed_json(await request.read())
    if not isinstance(body, dict):
        raise bad_request("the body must be a JSON object")
    return body


def query_parameters(given: object) -> dict[str, Any]:
    """Return the parameters of a query by name. Raises CosmosError (400)."""
    listed = [] if given is None else given
    if not isinstance(listed, list) or not all(
        isinstance(each, dict) and isinstance(each.get("name"), str) for each in listed
    ):
        raise bad_request("parameters are a list of objects with name and value")
    return {each["name"]: each.get("value") for each in listed}


def is_set(request: web.Request, header: str) -> bool:
    return request.headers.get(header, "").lower() == "true"


def refuse_triggers(request: web.Request) -> None:
    """Raise CosmosError (400) where a write asks for triggers, which would not run."""
    for header in _TRIGGERS:
        if request.headers.get(header):
            raise bad_request(f"{header}: triggers are not served here")


def page_size(request: web.Request) -> int:
    text = request.headers.get("x-ms-max-item-count") or str(PAGE_SIZE)
    if not _SIZE.fullmatch(text):
        raise bad_request(f"x-ms-max-item-count is a whole number, got {text[:80]!r}")
    size = int(text)
    return PAGE_SIZE if size < 1 else min(size, PAGE_SIZE_MAX)


def _key_values(request: web.Request) -> list[Any] | None:
    header = request.headers.get("x-ms-documentdb-partitionkey")
    if not header:
        return None
    values = parsed_json(header.encode(errors="replace"))
    if not isinstance(values, list):
        raise bad_request(f"a partition key is a JSON list, got {header!r}")
    return values


def partition_key(request: web.Request, container: Container) -> str:
    """Return the stored key of the whole partition key in the header."""
    values = _key_values(request)
    if values is None or len(values) != len(container.paths):
        raise bad_request(
            f"expected a partition key of {len(container.paths)} values, got {values}",
            substatus=1001,
        )
    return partition_of(values)


def partition_range(request: web.Request, container: Container) -> PartitionRange:
    values = _key_values(request)
    range_id = request.headers.get("x-ms-documentdb-partitionkeyrangeid")
    if range_id is not None and range_id not in {str(key_range["id"]) for key_range in KEY_RANGES}:
        raise CosmosError(410, "Gone", f"there is no key range {range_id!r}", substatus=1002)
    return PartitionRange(
        partition_of(values) if values and len(values) == len(container.paths) else None,
        None if range_id is None else int(range_id),
        request.headers.get("x-ms-start-epk", ""),
        request.headers.get("x-ms-end-epk", "FF"),
    )


def feed_lsn(request: web.Request, documents: Documents) -> int:
    """Return the lsn after which the feed goes on."""
    continuation = request.headers.get("if-none-match", "").strip('"')
    if continuation == "*":
        return documents.last_lsn
    if "if-modified-since" in request.headers and not continuation:
        raise bad_request("a change feed from a date on is not served")
    if continuation and not _LSN.fullmatch(continuation):
        raise bad_request(f"not a continuation of a feed: {continuation[:80]!r}")
    return int(continuation or 0)


def content_headers(container: Container) -> dict[str, str]:
    return {"x-ms-alt-content-path": container.link, "x-ms-content-path": container.rid}


def session_headers(container: Container, documents: Documents) -> dict[str, str]:
    lsn = documents.last_lsn
    return {**content_headers(container), "x-ms-session-token": f"0:-1#{lsn},1:-1#{lsn}"}


def batch_result(result: OperationResult, fault: Fault | None = None) -> dict[str, Any]:
    shown: dict[str, Any] = {"statusCode": result.status, "requestCharge": 1}
    if result.document is not None:
        shown |= {"eTag": result.document["_etag"], "resourceBody": result.document}
    if fault is not None and result.status == fault.status:
        shown["retryAfterMilliseconds"] = fault.retry_after_ms
    return shown
