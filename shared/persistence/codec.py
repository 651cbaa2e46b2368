"""Stored documents and their values: one codec per document type, with id and schema number.

A document of a released version is read by every later one: a missing field takes its default, an
unknown one is left out, an older schema is upgraded on read. Golden documents of each released
schema are kept in `tests/golden/documents/`.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from functools import cached_property
from typing import Any, Final, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from shared.contracts.retention import Kept
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import NotFound
from shared.persistence.store import Body, Comparison, Document, UnreadableDocument, Where

T = TypeVar("T")
R = TypeVar("R")
Upgrade = Callable[[dict[str, Any]], dict[str, Any]]
_SCHEMA: Final = "schema"
_log = logging.getLogger(__name__)


def _no_fields(_value: object) -> Mapping[str, Any]:
    return {}


def _always(_value: object) -> bool:
    return True


@dataclass(frozen=True)
class Put:
    """Create the document, or replace exactly the version that was read.

    One that is *kept* for some time is gone after it, unless it is put again.
    """

    id: str
    body: Body
    kept: Kept | None = None


@dataclass(frozen=True)
class DocumentCodec(Generic[T]):
    """The codec of documents whose `type` is *type_name*.

    `key` names the field of a value that has the id of its aggregate; `document` makes the id of
    the document of that. Where there is none, `initial` makes an aggregate that begins empty, or
    `missing` the refusal.

    Lists in *type* are declared as `tuple[X, ...]`: a `Sequence` is read back as a list, which is
    unequal to the tuple that was stored.
    `upgrades` maps each earlier schema to the function that makes a body of the next one.
    `queried` returns fields that only queries use (`dueAt`). A value that `has_ended` is `kept` for
    some time, without it for ever. It is asked at each write, so what begins again stays.
    """

    type: type[T]
    type_name: str
    key: str
    document: str = "{}"
    missing: Callable[[str], NotFound] | None = None
    initial: Callable[[str], T] | None = None
    schema: int = 1
    upgrades: Mapping[int, Upgrade] = field(default_factory=dict)
    queried: Callable[[T], Mapping[str, Any]] = _no_fields
    kept: Kept | None = None
    has_ended: Callable[[T], bool] = _always
    omits_defaults: bool = False
    """Leave fields with their default value out: for documents that must stay small."""
    overwritten: Callable[[T], Sequence[object]] | None = None
    """What of a value a writer would overwrite: the etag that is shown of it is of that only.

    For aggregates that also change by themselves: `If-Match` of a read fits while nobody wrote.
    """
    stored_as: Mapping[str, str] = field(default_factory=dict)
    """The names that fields have in documents, where the code has better ones since."""

    @cached_property
    def _adapter(self) -> TypeAdapter[T]:
        """What pydantic makes of *type*, when the first document is read or written.

        It takes 20 to 100 ms, which a cold start is spared.
        """
        return TypeAdapter(self.type)

    def document_id(self, identity: str) -> str:
        """Return the id of the document of the aggregate *identity*."""
        return self.document.format(identity)

    @property
    def conditions(self) -> Sequence[Where]:
        """Return the conditions of a query for these documents.

        Where all of them have the same id, one condition is that id: the documents then come in the
        order of their partitions, without a sort, and a store reads no more than the page.
        """
        of_type = Where("type", Comparison.EQ, self.type_name)
        has_one_id = "{}" not in self.document
        return [Where("id", Comparison.EQ, self.document), of_type] if has_one_id else [of_type]

    def absent(self, identity: str) -> T:
        """Return the aggregate *identity* of which there is no document. Raises NotFound."""
        if self.initial is not None:
            return self.initial(identity)
        if self.missing is not None:
            raise self.missing(identity)
        raise NotFound(f"no {self.type_name} {identity!r}")

    def etag(self, document: Document) -> str:
        """Return the etag of an aggregate that callers see, and that `If-Match` names."""
        if self.overwritten is None:
            return document.etag
        content = json.dumps(self.overwritten(self.decode(document.body)), default=str)
        return f'"{hashlib.sha256(content.encode()).hexdigest()[:16]}"'

    def put(self, value: T) -> Put:
        """Return the write of *value*."""
        document_id = self.document_id(getattr(value, self.key))
        kept = self.kept if self.has_ended(value) else None
        return Put(document_id, self.encode(value), kept)

    def encode(self, value: T) -> dict[str, Any]:
        """Return the document body of *value*."""
        fields: dict[str, Any] = self._adapter.dump_python(
            value, mode="json", exclude_defaults=self.omits_defaults
        )
        fields = {self.stored_as.get(name, name): each for name, each in fields.items()}
        return fields | {"type": self.type_name, _SCHEMA: self.schema, **self.queried(value)}

    def decode(self, body: Body) -> T:
        """Return the value that *body* holds.

        Raises:
            UnreadableDocument: it is damaged, or of a later schema than this version knows.
        """
        try:
            return self._adapter.validate_python(self._fields(body), extra="ignore")
        except (ValidationError, KeyError, TypeError, ValueError) as problem:
            reason = f"a document of type {self.type_name} cannot be read: {problem}"
            raise UnreadableDocument(reason) from problem

    def readable(self, documents: Sequence[Document]) -> list[tuple[Document, T]]:
        """Return each of *documents* with its value; one that cannot be read is logged, left out.

        For lists, where one damaged document must not hide the others.
        """
        return self.shown(documents, lambda document, value: (document, value))

    def shown(self, documents: Sequence[Document], show: Callable[[Document, T], R]) -> list[R]:
        """Return what *show* makes of each of *documents*; one that it fails on is left out too.

        Some damage shows only where a value is used: a field that its resource needs is missing.
        """
        resources = []
        for document in documents:
            try:
                resources.append(show(document, self.decode(document.body)))
            except (UnreadableDocument, LookupError, TypeError, ValueError):
                _log.exception("%s in %s cannot be read", document.id, document.partition.values)
        return resources

    def _fields(self, body: Body) -> Mapping[str, Any]:
        """Return what *body* says, by the names that fields have in the code."""
        fields = dict(self._upgraded(body))
        for name, stored in self.stored_as.items():
            if stored in fields:
                fields[name] = fields.pop(stored)
        return fields

    def _upgraded(self, body: Body) -> Mapping[str, Any]:
        schema = body.get(_SCHEMA, 1)
        if schema == self.schema:
            return body
        if not isinstance(schema, int) or not 1 <= schema < self.schema:
            msg = f"schema {schema!r}, this version reads 1 to {self.schema}"
            raise ValueError(msg)
        upgraded = dict(body)
        for earlier in range(schema, self.schema):
            upgraded = self.upgrades[earlier](upgraded)
        return upgraded
