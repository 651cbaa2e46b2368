"""Entity group transactions: a batch with one change set, by multipart messages.

https://learn.microsoft.com/rest/api/storageservices/performing-entity-group-transactions
"""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final, NamedTuple
from urllib.parse import parse_qs, unquote

from local_cloud.sqlite.table import Change, Verb
from local_cloud.storage_endpoint.entities import Address, address_of, error_body, row_of
from local_cloud.storage_endpoint.errors import StorageRefused, invalid, not_implemented
from shared.persistence.table_rules import ROWS_MAX
from shared.persistence.tables import TableRow

_BOUNDARY: Final = re.compile(
    r"multipart/mixed; ?boundary=\"?([\w'()+,./:=?-]{1,70})\"?", re.IGNORECASE
)
_REQUEST: Final = re.compile(r"([A-Z]{1,10}) (?:https?://[^/ ]+)?/([^/ ]+)/(\S+) HTTP/1\.1")
_HEADS_MAX: Final = 8 * 1024


class Transaction(NamedTuple):
    """Changes of one table, in order."""

    table: str
    changes: Sequence[Change]


def transaction_of(content_type: str, body: bytes, account: str) -> Transaction:
    """Return what *body* asks. Raises StorageRefused: it is no transaction that is served."""
    sections = _sections(content_type, body)
    if len(sections) != 1:
        raise invalid("a transaction has one change set")
    heads, _, inner = sections[0].partition(b"\r\n\r\n")
    content_type = _header(heads, "Content-Type")
    if content_type.startswith("application/http"):
        raise not_implemented("a query in a transaction")
    parts = _sections(content_type, inner)
    if len(parts) > ROWS_MAX:
        raise invalid("The batch request operation exceeds the maximum 100 changes per change set.")
    changes, tables = [], set()
    for part in parts:
        table, change = _change(part.partition(b"\r\n\r\n")[2], account)
        tables.add(table)
        changes.append(change)
    if len({change.row.row_key for change in changes}) < len(changes):
        raise invalid("An entity can appear only once in a transaction.", "InvalidDuplicateRow")
    if len(tables) != 1:
        raise invalid("All parts of a transaction are of one table.")
    return Transaction(tables.pop(), changes)


def _sections(content_type: str, body: bytes) -> Sequence[bytes]:
    """Return what stands between the boundaries that *content_type* names."""
    boundary = _BOUNDARY.match(content_type)
    if boundary is None:
        raise invalid("a transaction is multipart/mixed with a boundary", "InvalidHeaderValue")
    # A boundary begins a line, and in JSON a line's end is escaped: no value looks like one.
    pieces = (b"\r\n" + body).split(b"\r\n--" + boundary[1].encode())
    if len(pieces) < 3 or pieces[0].strip() or not pieces[-1].startswith(b"--"):  # noqa: PLR2004
        raise invalid("the parts of a multipart message are cut off or out of order")
    return [piece.removeprefix(b"\r\n") for piece in pieces[1:-1]]


def _change(request: bytes, account: str) -> tuple[str, Change]:
    """Return the table and the change of one part."""
    heads, _, body = request.partition(b"\r\n\r\n")
    line = _REQUEST.match(heads[:_HEADS_MAX].decode("latin-1"))
    if line is None or line[2] != account:
        raise invalid("a part of a transaction is a request to this account")
    path, _, query = line[3].partition("?")
    for name in parse_qs(query, keep_blank_values=True):
        # Go's client says in each part in which form it would have an entity.
        if name != "$format":
            raise not_implemented(f"the parameter {name[:80]!r} in a transaction")
    try:
        address = address_of(unquote(path, errors="strict"))
    except UnicodeDecodeError as problem:
        raise invalid("the address is no UTF-8", "InvalidUri") from problem
    return address.table, _asked(line[1], address, _header(heads, "If-Match"), body)


def _asked(method: str, address: Address, if_match: str, body: bytes) -> Change:
    match method, address.keys, if_match:
        case "POST", None, "":
            return Change(Verb.INSERT, row_of(body))
        case "PUT", (_, _), "":
            return Change(Verb.PUT, row_of(body, address.keys))
        case "DELETE", (partition_key, row_key), "*":
            return Change(Verb.DELETE, TableRow(partition_key, row_key, {}))
        case "POST" | "PUT" | "DELETE" | "PATCH" | "MERGE" | "GET", _, _:
            condition = f" with If-Match: {if_match[:80]}" if if_match else ""
            kind = "table" if address.keys is None else "entity"
            raise not_implemented(f"{method} of a {kind}{condition} in a transaction")
        case _:
            raise invalid(f"a transaction has no {method}")


def _header(heads: bytes, name: str) -> str:
    """Return the header *name* of a part, empty where it has none."""
    match = re.search(
        rf"^{name}: *([^\r\n]*)", heads[:_HEADS_MAX].decode("latin-1"), re.MULTILINE | re.IGNORECASE
    )
    return match[1].strip() if match else ""


def answer_to(changes: Sequence[Change], etags: Sequence[str], boundary: str) -> bytes:
    """Return the answer to changes that are done."""
    parts = []
    for change, etag in zip(changes, etags, strict=True):
        heads = [] if change.verb is Verb.DELETE else [f"ETag: {etag}"]
        parts.append(_part(204, heads, b""))
    return _multipart(parts, boundary)


def refusal(refused: StorageRefused, index: int, boundary: str) -> bytes:
    """Return the answer to changes of which the one at *index* was refused, and none was done."""
    heads = ["Content-Type: application/json;odata=minimalmetadata;charset=utf-8"]
    return _multipart([_part(refused.status, heads, error_body(refused, index))], boundary)


def _part(status: int, heads: Sequence[str], body: bytes) -> bytes:
    lines = [
        "Content-Type: application/http",
        "Content-Transfer-Encoding: binary",
        "",
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "DataServiceVersion: 3.0;",
        *heads,
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + body + b"\r\n"


def _multipart(parts: Sequence[bytes], boundary: str) -> bytes:
    change_set = f"changesetresponse_{boundary}".encode()
    inner = b"".join(b"--" + change_set + b"\r\n" + part for part in parts)
    outer = f"--batchresponse_{boundary}".encode()
    heads = b"\r\nContent-Type: multipart/mixed; boundary=" + change_set + b"\r\n\r\n"
    return outer + heads + inner + b"--" + change_set + b"--\r\n" + outer + b"--\r\n"
