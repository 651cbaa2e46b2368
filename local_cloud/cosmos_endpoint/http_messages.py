"""Requests read, and answers written, in the form of the Cosmos DB REST protocol."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, Final

from aiohttp import web

from local_cloud.cosmos_endpoint.account import KEY_RANGES, Container
from local_cloud.cosmos_endpoint.documents import OperationResult
from local_cloud.cosmos_endpoint.errors import CosmosError, bad_request
from local_cloud.cosmos_endpoint.faults import Fault
from local_cloud.cosmos_endpoint.feeds import Feeds
from local_cloud.cosmos_endpoint.partition_keys import key_values, partition_of, whole_key
from local_cloud.cosmos_endpoint.partition_ranges import PartitionRange, range_below
from local_cloud.cosmos_endpoint.query.values import finite
from shared.persistence.effective_key import feed_range_of

_TRIGGERS: Final = (
    "x-ms-documentdb-pre-trigger-include", "x-ms-documentdb-post-trigger-include",
)  # fmt: skip
PLAN_HEADER: Final = "x-ms-cosmos-is-query-plan-request"
QUERY_TYPE: Final = "application/query+json"
PAGE_SIZE: Final = 100
PAGE_SIZE_MAX: Final = 1000
_LSN: Final = re.compile(r"[0-9]{1,18}")
_SIZE: Final = re.compile(r"-?[0-9]{1,9}")


def json_response(
    body: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    text = json.dumps(body, separators=(",", ":"))
    return web.Response(text=text, status=status, headers=headers, content_type="application/json")


def parsed_json(text: bytes, parse_float: Callable[[str], float] | None = None) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant, parse_float=parse_float)
    except (ValueError, RecursionError) as problem:
        raise bad_request(f"the body is not JSON: {problem}") from problem


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


async def json_object(request: web.Request) -> dict[str, Any]:
    body = parsed_json(await request.read())
    if not isinstance(body, dict):
        raise bad_request("the body must be a JSON object")
    return body


async def asked_query(request: web.Request) -> tuple[str, dict[str, Any]]:
    """Return the text of the query in a request, and its parameters. Raises CosmosError (400)."""
    body = parsed_json(await request.read(), parse_float=finite)
    text = body.get("query") if isinstance(body, dict) else None
    if not isinstance(text, str):
        raise bad_request("a query is an object with the text of it in 'query'")
    return text, query_parameters(body.get("parameters"))


def query_parameters(given: object) -> dict[str, Any]:
    """Return the parameters of a query by name. Raises CosmosError (400)."""
    listed = [] if given is None else given
    if not isinstance(listed, list) or not all(
        isinstance(each, dict) and isinstance(each.get("name"), str) for each in listed
    ):
        raise bad_request("parameters are a list of objects with name and value")
    return {each["name"]: each.get("value") for each in listed}


def is_set(headers: Mapping[str, str], name: str) -> bool:
    return headers.get(name, "").lower() == "true"


def is_query(headers: Mapping[str, str]) -> bool:
    """Return whether a POST is a query: the REST protocol says so in either of two headers."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return is_set(headers, "x-ms-documentdb-isquery") or kind == QUERY_TYPE


def wants_minimal(request: web.Request) -> bool:
    """Return whether the answer to a write is to have no document."""
    return request.headers.get("prefer", "").strip().lower() == "return=minimal"


def refuse_triggers(request: web.Request) -> None:
    """Raise CosmosError (400) where a write asks for triggers, which would not run."""
    for header in _TRIGGERS:
        if request.headers.get(header):
            raise bad_request(f"{header}: triggers are not served here")


def check_container(request: web.Request, container: Container) -> None:
    """Raise CosmosError (400, 1024) where a client means a container that was there before."""
    meant = request.headers.get("x-ms-cosmos-intended-collection-rid")
    if meant and meant != container.rid:
        raise bad_request("the container was made anew since the client read it", substatus=1024)


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
    return list(key_values(header.encode(errors="replace").decode()))


def partition_key(request: web.Request, container: Container) -> str:
    """Return the stored key of the whole partition key in the header."""
    values = _key_values(request)
    if values is None:
        raise bad_request("PartitionKey value must be supplied for this operation.", substatus=1001)
    return partition_of(whole_key(values, container.paths))


def partition_range(request: web.Request, container: Container) -> PartitionRange:
    values = _key_values(request)
    range_id = request.headers.get("x-ms-documentdb-partitionkeyrangeid")
    if range_id is not None and range_id not in {str(key_range["id"]) for key_range in KEY_RANGES}:
        raise CosmosError(410, "Gone", f"there is no key range {range_id!r}", substatus=1002)
    if values and len(values) < len(container.paths):
        return range_below(partition_of(values))
    return PartitionRange(
        partition_of(whole_key(values, container.paths)) if values else None,
        None if range_id is None else int(range_id),
        request.headers.get("x-ms-start-epk", ""),
        request.headers.get("x-ms-end-epk", "FF"),
    )


def feed_lsn(request: web.Request, feeds: Feeds) -> int:
    """Return the lsn after which the feed goes on."""
    continuation = request.headers.get("if-none-match", "").strip('"')
    since = request.headers.get("if-modified-since")
    if continuation == "*":
        return feeds.last_lsn
    if since is not None and not continuation:
        return feeds.lsn_before(_second_of(since))
    if continuation and not _LSN.fullmatch(continuation):
        raise bad_request(f"not a continuation of a feed: {continuation[:80]!r}")
    return int(continuation or 0)


def _second_of(date: str) -> int:
    try:
        return int(parsedate_to_datetime(date).timestamp())
    except (ValueError, TypeError, OverflowError) as problem:
        raise bad_request(f"if-modified-since is an HTTP date, got {date[:80]!r}") from problem


def resource_headers(etag: str, content_path: str, alternative: str) -> dict[str, str]:
    """Return the headers of a database's or container's answer."""
    return {
        "etag": etag, "x-ms-content-path": content_path, "x-ms-alt-content-path": alternative,
    }  # fmt: skip


def session_headers(
    container: Container, feeds: Feeds, partitions: PartitionRange
) -> dict[str, str]:
    """Return the headers of a document's or feed's answer; the token names its own ranges.

    The Python SDK reads all key ranges again after an answer that names none.
    """
    if partitions.partition is not None:
        ranges = [str(feed_range_of(partitions.partition))]
    elif partitions.feed_range is not None:
        ranges = [str(partitions.feed_range)]
    else:
        ranges = [str(key_range["id"]) for key_range in KEY_RANGES]
    lsn = feeds.last_lsn
    return {
        "x-ms-alt-content-path": container.link,
        "x-ms-content-path": container.rid,
        "x-ms-documentdb-partitionkeyrangeid": ranges[0],
        "x-ms-session-token": ",".join(f"{each}:-1#{lsn}" for each in ranges),
        "lsn": str(lsn),
    }


def batch_results(
    asked: Sequence[Mapping[str, Any]], results: Sequence[OperationResult], *, minimal: bool
) -> list[dict[str, Any]]:
    """Return the results of a batch; writes show no document if that, or they, asked for none."""
    shown = list(map(batch_result, results))
    for operation, result in zip(asked, shown, strict=True):
        is_short = minimal or operation.get("minimalReturnPreference") is True
        if is_short and operation.get("operationType") != "Read":
            result.pop("resourceBody", None)
    return shown


def batch_result(result: OperationResult, fault: Fault | None = None) -> dict[str, Any]:
    shown: dict[str, Any] = {"statusCode": result.status, "requestCharge": 1}
    if result.document is not None:
        shown["eTag"] = result.document["_etag"]
        if result.status != 304:  # noqa: PLR2004  not modified
            shown["resourceBody"] = result.document
    if result.message:
        shown["message"] = result.message
    if fault is not None and result.status == fault.status:
        shown["retryAfterMilliseconds"] = fault.retry_after_ms
    return shown
