"""The Table service: tables that were declared, rows of one partition, transactions.

https://learn.microsoft.com/rest/api/storageservices/table-service-rest-api. Entities have no
`Timestamp`; an etag is of what an entity holds.
"""

import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from aiohttp import web
from pydantic_core import from_json

from local_cloud.sqlite.table import Change, ChangeRefused, SqliteTable, Verb
from local_cloud.storage import LocalStorage
from local_cloud.storage_endpoint.entities import (
    address_of,
    entity_of,
    error_body,
    filter_of,
    key_of,
    token_of,
)
from local_cloud.storage_endpoint.errors import StorageRefused, invalid
from local_cloud.storage_endpoint.operations import TABLE_SERVED, TABLE_SHAPES, operation
from local_cloud.storage_endpoint.requests import Call, ServiceName
from local_cloud.storage_endpoint.server import CheckWrite
from local_cloud.storage_endpoint.transactions import answer_to, refusal, transaction_of
from shared.kernel.entropy import Entropy
from shared.persistence.query_rules import PAGE_MAX
from shared.persistence.table_rules import TRANSACTION_MAX_BYTES, checked_table
from shared.persistence.tables import TableRow

BODY_MAX_BYTES: Final = TRANSACTION_MAX_BYTES
_JSON: Final = "application/json;odata=minimalmetadata;streaming=true;charset=utf-8"
_NAMED: Final = re.compile(r"Tables\('([^']*)'\)")


class TableService:
    """The tables of *storage*."""

    name: ServiceName = "table"

    def __init__(self, storage: LocalStorage, entropy: Entropy) -> None:
        self._storage = storage
        self._entropy = entropy

    async def answer(self, call: Call, check_write: CheckWrite) -> web.StreamResponse:
        handlers: Mapping[str, Handler] = {
            "Create Table": self._create,
            "Query Entities": self._query,
            "Entity Group Transaction": self._change,
        }
        name = operation(call, _addressed(call.path), TABLE_SHAPES, TABLE_SERVED)
        return await handlers[name](call, check_write)

    def error(self, refused: StorageRefused) -> web.Response:
        headers = {"Content-Type": _JSON, "x-ms-error-code": refused.code, **refused.headers}
        return web.Response(body=error_body(refused), status=refused.status, headers=headers)

    async def _create(self, call: Call, check_write: CheckWrite) -> web.StreamResponse:
        try:
            body = from_json(await call.body(BODY_MAX_BYTES))
        except ValueError:
            body = None
        name = body.get("TableName") if isinstance(body, dict) else None
        if not isinstance(name, str):
            raise invalid("a table is made of a JSON object with TableName")
        checked_table(name)
        await check_write(name)
        if self._storage.has_table(name):
            raise StorageRefused(409, "TableAlreadyExists", "The table specified already exists.")
        self._storage.table(name)
        return _json(call, "Tables/@Element", {"TableName": name}, 201)

    async def _query(self, call: Call, _check_write: CheckWrite) -> web.StreamResponse:
        name = address_of(call.path).table
        table, asked = self._table(name), filter_of(call.query.get("$filter", ""))
        bounds = list(asked.bounds)
        if "nextrowkey" in call.query:
            if key_of(call.query.get("nextpartitionkey", "")) != asked.partition_key:
                raise invalid("the continuation is of another partition")
            bounds.append(("ge", key_of(call.query["nextrowkey"])))
        page = table.page(asked.partition_key, bounds, _page_size(call))
        select = call.query.get("$select")
        selected = None if select is None else set(select.split(","))
        entities = [{"odata.etag": _etag(row), **entity_of(row, selected)} for row in page.rows]
        response = _json(call, name, {"value": entities})
        if page.next_key is not None:
            prefix = "x-ms-continuation-Next"
            response.headers[f"{prefix}PartitionKey"] = token_of(asked.partition_key)
            response.headers[f"{prefix}RowKey"] = token_of(page.next_key)
        return response

    async def _change(self, call: Call, check_write: CheckWrite) -> web.StreamResponse:
        body = await call.body(BODY_MAX_BYTES)
        name, changes = transaction_of(call.header("Content-Type"), body, call.account)
        await check_write(name)
        boundary = str(self._entropy.uuid())
        try:
            await self._table(name).change(changes)
        except StorageRefused as absent:
            answer = refusal(absent, 0, boundary)
        except ChangeRefused as refused:
            answer = refusal(_refused(changes[refused.index]), refused.index, boundary)
        else:
            answer = answer_to(changes, [_etag(change.row) for change in changes], boundary)
        content_type = f"multipart/mixed; boundary=batchresponse_{boundary}"
        return web.Response(body=answer, status=202, headers={"Content-Type": content_type})

    def _table(self, name: str) -> SqliteTable:
        """Return the table. Raises StorageRefused where there is none."""
        if not self._storage.has_table(name):
            raise StorageRefused(404, "TableNotFound", "The table specified does not exist.")
        return self._storage.table(name)


Handler = Callable[[Call, CheckWrite], Awaitable[web.StreamResponse]]


def _addressed(path: str) -> str:
    """Return what *path* addresses. Raises StorageRefused."""
    match path:
        case "":
            return "service"
        case "Tables" | "Tables()":
            return "tables"
        case "$batch":
            return "transaction"
        case _ if _NAMED.fullmatch(path):
            return "table"
        case _:
            return "entities" if address_of(path).keys is None else "entity"


def _refused(change: Change) -> StorageRefused:
    if change.verb is Verb.INSERT:
        return StorageRefused(409, "EntityAlreadyExists", "The specified entity already exists.")
    return StorageRefused(404, "ResourceNotFound", "The specified resource does not exist.")


def _page_size(call: Call) -> int:
    asked = call.query.get("$top", str(PAGE_MAX))
    size = int(asked) if re.fullmatch(r"[0-9]{1,4}", asked) else 0
    if not 1 <= size <= PAGE_MAX:
        raise invalid(f"$top must be 1 to {PAGE_MAX}", "InvalidQueryParameterValue")
    return size


def _etag(row: TableRow) -> str:
    text = json.dumps([row.partition_key, row.row_key, dict(row.values)])
    return f"W/\"'{hashlib.sha256(text.encode()).hexdigest()[:32]}'\""


def _json(call: Call, context: str, body: Mapping[str, Any], status: int = 200) -> web.Response:
    url = f"{call.request.scheme}://{call.request.host}/{call.account}"
    whole = {"odata.metadata": f"{url}/$metadata#{context}", **body}
    text = json.dumps(whole, separators=(",", ":")).encode()
    return web.Response(body=text, status=status, headers={"Content-Type": _JSON})
