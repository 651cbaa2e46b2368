"""The form of a document inside Cosmos DB, which the embedded store uses too.

`{"id", "tenantId", "environmentKey", "unit", "ttl"?, "body": {…}}` and the system fields. The body
is nested because its own `tenantId`, `unit` or `ttl` would otherwise be read as the container's. A
Cosmos DB trigger gets documents of this form: `document_of` reads them.
"""

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from shared.kernel.errors import Invalid, TooLarge
from shared.persistence.json_text import encoded
from shared.persistence.store import (
    BATCH_MAX_BYTES,
    BATCH_MAX_OPERATIONS,
    READ_MAX_DOCUMENTS,
    BatchOperation,
    Body,
    Delete,
    Document,
    Etag,
    Partition,
    Unreadable,
    UnreadableDocument,
)

Stored = TypeVar("Stored")
_log = logging.getLogger(__name__)

PARTITION_FIELDS: Final = ("tenantId", "environmentKey", "unit")
ID_MAX_BYTES: Final = 1023
"""Cosmos DB's own bound, https://learn.microsoft.com/azure/cosmos-db/concepts-limits."""

TTL_MAX_S: Final = 2**31 - 1
"""Cosmos DB's own bound, https://learn.microsoft.com/azure/cosmos-db/nosql/time-to-live."""

# Cosmos DB refuses `/ \ ? #` in an id. `/` is common in ours and becomes `|`, the others `~xx`.
_SPECIAL: Final = re.compile(r"[\\?#|~\x00-\x1f\x7f]")
_ESCAPED: Final = re.compile(r"\||~([0-9a-f]{2})")

_NO_BODY: Final[Body] = {}


def stored_id(document_id: str) -> str:
    """Return *document_id* as Cosmos DB takes it; different ids stay different.

    Raises:
        Invalid: empty, longer than 1023 bytes, or with a lone surrogate.
    """
    text = document_id
    if _SPECIAL.search(text):
        text = _SPECIAL.sub(lambda match: f"~{ord(match[0]):02x}", text)
    text = text.replace("/", "|")
    try:
        size = len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError as problem:
        raise Invalid(f"a document id is Unicode text, got {text[:80]!r}") from problem
    if not 1 <= size <= ID_MAX_BYTES:
        raise Invalid(
            f"a document id has 1 to {ID_MAX_BYTES} bytes, got {len(text)} characters:"
            f" {document_id[:80]!r}"
        )
    return text


def document_id_of(stored: str) -> str:
    """Return the id that `stored_id` was given."""
    if "|" not in stored and "~" not in stored:
        return stored
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)) if match[1] else "/", stored)


def encoded_batch(operations: Sequence[BatchOperation]) -> Sequence[bytes]:
    """Return the JSON of each operation's body (`{}` for deletes), within the batch limits.

    Raises:
        TooLarge: more than 100 operations or 1 MB.
        Invalid: nothing to do, a body that is not JSON, or a time to live below a second.
    """
    if not operations:
        raise Invalid("a batch has at least one operation, got none")
    if len(operations) > BATCH_MAX_OPERATIONS:
        raise TooLarge(
            f"a batch has at most {BATCH_MAX_OPERATIONS} operations, got {len(operations)}"
        )
    texts = encoded([_body_of(operation) for operation in operations])
    size = sum(map(len, texts))
    if size > BATCH_MAX_BYTES:
        raise TooLarge(f"a batch has at most {BATCH_MAX_BYTES} bytes, got {size}")
    return texts


def _body_of(operation: BatchOperation) -> Body:
    if isinstance(operation, Delete):
        return _NO_BODY
    if operation.ttl_s is not None and not 1 <= operation.ttl_s <= TTL_MAX_S:
        raise Invalid(
            f"a time to live is 1 to {TTL_MAX_S} seconds, got {operation.ttl_s} for"
            f" {operation.id!r}"
        )
    return operation.body


def checked_ids(ids: Sequence[str]) -> Sequence[str]:
    """Return *ids* if they are few enough for one read. Raises TooLarge."""
    if len(ids) > READ_MAX_DOCUMENTS:
        raise TooLarge(f"one read takes at most {READ_MAX_DOCUMENTS} ids, got {len(ids)}")
    return ids


def document_of(raw: Mapping[str, Any]) -> Document:
    """Return the document that Cosmos DB (a read, a query, the change feed) shows as *raw*.

    Raises:
        UnreadableDocument: *raw* was not written by a Store.
    """
    missing = [name for name in (*PARTITION_FIELDS, "id", "body") if name not in raw]
    if missing:
        raise UnreadableDocument(f"it has no {', '.join(missing)}: it was not written by a store")
    return Document(
        Partition(*(raw[name] for name in PARTITION_FIELDS)),
        document_id_of(raw["id"]),
        checked_body(raw["body"]),
        Etag(raw["_etag"]),
        int(raw["_ts"]),
    )


def checked_body(body: object) -> Body:
    """Return *body* if a Store may have written it. Raises UnreadableDocument."""
    if not isinstance(body, dict):
        raise UnreadableDocument("its body is not an object: it was not written by a store")
    return body


def documents_of(
    raws: Iterable[Mapping[str, Any]],
) -> tuple[Sequence[Document], Sequence[Unreadable]]:
    """Return the documents that Cosmos DB shows as *raws*, and those of them that are none."""

    def key_of(raw: Mapping[str, Any]) -> tuple[Partition, str]:
        partition = Partition(*(str(raw.get(name)) for name in PARTITION_FIELDS))
        return partition, str(raw.get("id"))

    return readable(raws, document_of, key_of)


def readable(
    stored: Iterable[Stored],
    read: Callable[[Stored], Document],
    key_of: Callable[[Stored], tuple[Partition, str]],
) -> tuple[Sequence[Document], Sequence[Unreadable]]:
    """Return the documents that *read* returns for *stored*, and those that it cannot read."""
    documents, unreadable = [], []
    for item in stored:
        try:
            documents.append(read(item))
        except UnreadableDocument as problem:
            unreadable.append(left_out(*key_of(item), problem))
    return tuple(documents), tuple(unreadable)


def left_out(partition: Partition, document_id: str, problem: UnreadableDocument) -> Unreadable:
    """Return, and log, that a page leaves a document out."""
    _log.error(
        "document %r in %s is left out: %s", document_id, "/".join(partition.values), problem
    )
    return Unreadable(partition, document_id, str(problem))


def raw_of(partition: Partition, document_id: str, body: Body, ttl_s: int | None) -> dict[str, Any]:
    """Return the document for Cosmos DB, without the fields that it adds itself."""
    fields = zip(PARTITION_FIELDS, partition.values, strict=True)
    ttl = {} if ttl_s is None else {"ttl": ttl_s}
    return {"id": stored_id(document_id), **dict(fields), **ttl, "body": body}
