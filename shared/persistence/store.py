"""The Store port: documents in hierarchical partitions, written in batches under etags.

Shaped after what Cosmos DB really gives (NoSQL API, hierarchical partition keys, transactional
batch, TTL, change feed): https://learn.microsoft.com/azure/cosmos-db/nosql/. Every adapter passes
`tests/persistence/`, the same suite with the same results.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, NewType, Protocol

from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Refused, Unavailable
from shared.kernel.ids import parse_id, service_id

Etag = NewType("Etag", str)
Body = Mapping[str, Any]
"""JSON. A value of another type that pydantic writes as JSON (an instant, a UUID) comes back as
that text. `id` is kept apart; names with a leading `_` are the store's."""

BATCH_MAX_OPERATIONS: Final = 100
BATCH_MAX_BYTES: Final = 1024 * 1024
"""Ours; Cosmos DB takes 2 MB. Half leaves room for its own framing."""
READ_MAX_DOCUMENTS: Final = 8


@dataclass(frozen=True)
class Partition:
    """A whole hierarchical key; `unit` is `-` or a service's id."""

    tenant: str
    environment: str
    unit: str = "-"

    @property
    def values(self) -> tuple[str, str, str]:
        return (self.tenant, self.environment, self.unit)


def partition_of(tenant: str, resource: str) -> Partition:
    """Return the partition of the document that the id *resource* names, in *tenant*.

    Ids with a module key belong to a service (`svc-`, `gate-`, `sp-`, most `df-`, some `op-`) and
    lead to the service's own partition.

    Raises:
        NotFound: *resource* is no id.
    """
    parsed = parse_id(resource)
    unit = service_id(parsed.environment, parsed.module) if parsed.module else "-"
    return Partition(tenant, parsed.environment, unit)


@dataclass(frozen=True)
class Prefix:
    """A prefix of the key: one environment of a tenant, or the tenant."""

    tenant: str
    environment: str | None = None

    @property
    def values(self) -> tuple[str, ...]:
        return (self.tenant,) if self.environment is None else (self.tenant, self.environment)


@dataclass(frozen=True)
class Document:
    """A stored document. `body` has no `id` and no system fields."""

    partition: Partition
    id: str
    body: Body
    etag: Etag
    changed_at_s: int
    """Whole epoch seconds, as Cosmos DB's `_ts`."""


@dataclass(frozen=True)
class Create:
    """Fails the batch with 409 when the id is there."""

    id: str
    body: Body
    ttl_s: int | None = None


@dataclass(frozen=True)
class Replace:
    """Fails with 404 when absent, with 412 when the etag differs."""

    id: str
    body: Body
    if_match: Etag
    ttl_s: int | None = None


@dataclass(frozen=True)
class Upsert:
    """Writes whatever was there; only for rows that nobody else decides on."""

    id: str
    body: Body
    ttl_s: int | None = None


@dataclass(frozen=True)
class Delete:
    """Fails with 404 when absent, with 412 when *if_match* is given and differs."""

    id: str
    if_match: Etag | None = None


BatchOperation = Create | Replace | Upsert | Delete


class Comparison(StrEnum):
    EQ = "="
    NE = "!="
    IS_NOT = "IS NOT"
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="
    STARTS_WITH = "STARTSWITH"
    IN = "IN"


@dataclass(frozen=True)
class Where:
    """A condition on a top-level or dotted field (`status`, `lastUpdate.state`), or on `id`.

    A document without the field does not match, whatever the comparison (Cosmos DB's undefined),
    except IS_NOT: it holds for whatever EQ does not.
    """

    path: str
    comparison: Comparison
    value: str | int | float | bool | Sequence[str] | None


@dataclass(frozen=True)
class AnyOf:
    """A condition that holds where at least one of *conditions* does."""

    conditions: Sequence[Where]


Condition = Where | AnyOf


@dataclass(frozen=True)
class Query:
    """All conditions hold; ordered by id unless *order_by* says otherwise."""

    where: Sequence[Condition] = ()
    order_by: str = "id"
    descending: bool = False
    limit: int = 100
    continuation: str | None = None


@dataclass(frozen=True)
class Unreadable:
    """A stored document that a page leaves out, and the reason: one stops none of the others."""

    partition: Partition
    id: str
    reason: str


@dataclass(frozen=True)
class Page:
    """At most 4 MB of documents, or one: a short page may still have more behind it.

    `continuation` goes on with a `query`; None at the end, and always from `query_due`.
    """

    documents: Sequence[Document]
    continuation: str | None = None
    more: bool = False
    unreadable: Sequence[Unreadable] = ()


@dataclass(frozen=True)
class ChangePage:
    """The latest versions of changed documents; deletes are not shown, as in Cosmos DB's default.

    `continuation` is always there: an empty page has it too.
    """

    documents: Sequence[Document]
    continuation: str
    unreadable: Sequence[Unreadable] = ()


class BatchRefused(Refused):
    """One operation of a batch failed, so none took effect.

    `status` is that operation's (404, 409, 412), `index` its position.
    """

    http_status = 409
    code = "Conflict"

    def __init__(self, status: int, index: int, operation_id: str) -> None:
        super().__init__(f"operation {index} on {operation_id!r} failed with status {status}")
        self.status = status
        self.index = index
        self.operation_id = operation_id


class UnreadableDocument(Exception):
    """A stored document that cannot be read: damaged, of a later schema, or written by others.

    A defect, not a refusal: the caller can do nothing about it, and the other documents are fine.
    """

    code = "UnreadableDocument"


class AnswerLost(Unavailable):
    """The connection broke after the batch was sent: it may or may not have taken effect."""


class Store(Protocol):
    """One container."""

    async def read(self, partition: Partition, document_id: str) -> Document | None:
        """Point read.

        Raises:
            UnreadableDocument: it is there and cannot be read.
            Unavailable: throttled or away.
        """
        ...

    async def read_many(self, partition: Partition, ids: Sequence[str]) -> Mapping[str, Document]:
        """Return those of at most 8 *ids* that are there, in one request.

        Raises:
            UnreadableDocument: one of them cannot be read.
            Unavailable: throttled or away.
        """
        ...

    async def query(self, within: Partition | Prefix, query: Query) -> Page:
        """Return one page. The order of pages is stable while nothing is written."""
        ...

    async def query_due(self, query: Query) -> Page:
        """Across all tenants, ordered, one page of at most 100: for timers only."""
        ...

    async def batch(
        self, partition: Partition, operations: Sequence[BatchOperation]
    ) -> Sequence[Etag | None]:
        """Apply all *operations* or none; return the new etags (None for deletes).

        Raises:
            BatchRefused: an operation failed; nothing took effect.
            AnswerLost: unknown whether it took effect.
            Unavailable: throttled (also 207 with 429 inside) or away; nothing took effect.
        """
        ...

    async def feed_ranges(self) -> Sequence[str]:
        """Return opaque names of the ranges whose change feeds together are the container's."""
        ...

    async def changes(
        self, feed_range: str, continuation: str | None, *, limit: int = 100
    ) -> ChangePage:
        """Return what changed since *continuation* (None: since the beginning), oldest first.

        A page has at most *limit* documents, and at most 1,000 or 4 MB.
        """
        ...


async def pages(store: Store, within: Partition | Prefix, query: Query) -> AsyncIterator[Document]:
    """Yield every document of *query*, page by page."""
    while True:
        page = await store.query(within, query)
        for document in page.documents:
            yield document
        if page.continuation is None:
            return
        query = Query(query.where, query.order_by, query.descending, query.limit, page.continuation)
