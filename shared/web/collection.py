"""Lists over HTTP: filters, `top`, continuation and an absolute `nextLink`, the same everywhere."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field, replace
from typing import Any, Final, Generic, TypeVar

from shared.kernel.dataclass import dataclass
from shared.persistence.codec import DocumentCodec
from shared.persistence.store import (
    AnyOf,
    Comparison,
    Condition,
    Document,
    Page,
    Partition,
    Prefix,
    Query,
    Store,
    UnreadableDocument,
    Where,
)
from shared.web.request import Answer, Request, ok

T = TypeVar("T")
R = TypeVar("R")
TOP_DEFAULT: Final = 50
TOP_MAX: Final = 200
PAGED: Final = ("top", "continuation")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Collection(Generic[T]):
    """One kind of document as a list. `filters` maps query parameters to stored fields.

    `choices` has the values of a filter that takes no others. A document of an earlier schema may
    have its fields under other names, so it is filtered by what today's schema would store.
    """

    codec: DocumentCodec[T]
    filters: Mapping[str, str] = field(default_factory=dict)
    choices: Mapping[str, Iterable[str]] = field(default_factory=dict)
    order_by: str = "id"
    descending: bool = False

    @property
    def parameters(self) -> Sequence[str]:
        """Return the names of the query parameters that a route lists."""
        return (*self.filters, *PAGED)

    async def page(
        self, request: Request[None], store: Store, within: Partition | Prefix | None = None
    ) -> Page:
        """Return the page that *request* asks for; without *within*, of the whole tenant.

        It may hold fewer than `top` while there is a next one, where documents of an earlier schema
        are among what is filtered.

        Raises:
            Invalid: a filter has a value that no document can have.
        """
        asked = {self.filters[name]: value for name, value in self._asked(request).items()}
        page = await query_page(
            request,
            store,
            within or Prefix(request.ctx.tenant),
            [
                *self.codec.conditions,
                *(self._condition(stored, value) for stored, value in asked.items()),
            ],
            order_by=self.order_by,
            descending=self.descending,
        )
        return replace(
            page, documents=[document for document in page.documents if self._fits(document, asked)]
        )

    def fitting(self, request: Request[None], resources: Sequence[R]) -> list[R]:
        """Return those of *resources* that the filters of *request* select, by fields of that name.

        Raises:
            Invalid: a filter has a value that no document can have.
        """
        asked = self._asked(request).items()
        return [each for each in resources if asked <= _json(each).items()]

    def _asked(self, request: Request[None]) -> Mapping[str, str]:
        """Return the values of the filters of *request*. Raises Invalid."""
        for name, allowed in self.choices.items():
            request.choice(name, allowed)
        return {name: request.query[name] for name in self.filters if name in request.query}

    def _condition(self, stored: str, value: str) -> Condition:
        is_asked = Where(stored, Comparison.EQ, value)
        if self.codec.schema == 1:
            return is_asked
        return AnyOf([is_asked, Where("schema", Comparison.IS_NOT, self.codec.schema)])

    def _fits(self, document: Document, asked: Mapping[str, str]) -> bool:
        """Return whether *document* is in the list; one of today's schema fits by its query."""
        if not asked or document.body.get("schema", 1) == self.codec.schema:
            return True
        try:
            body = self.codec.encode(self.codec.decode(document.body))
        except UnreadableDocument:
            _log.exception("%s in %s cannot be read", document.id, document.partition.values)
            return False
        return asked.items() <= body.items()

    async def answer(
        self,
        request: Request[None],
        store: Store,
        to_resource: Callable[[T], Any],
    ) -> Answer:
        """Answer the page of the tenant that *request* asks for, as *to_resource* shows each.

        A document that cannot be read is left out and logged: the others are fine.
        """
        page = await self.page(request, store)
        shown = self.codec.shown(page.documents, lambda _, value: to_resource(value))
        return answer_page(request, shown, page.continuation)


async def query_page(
    request: Request[None],
    store: Store,
    within: Partition | Prefix,
    where: Sequence[Condition],
    *,
    order_by: str = "id",
    descending: bool = False,
) -> Page:
    """Return one page of the documents that *where* selects, as `top` and `continuation` say."""
    return await store.query(
        within,
        Query(
            where=where,
            order_by=order_by,
            descending=descending,
            limit=asked_top(request),
            continuation=request.query.get("continuation"),
        ),
    )


def asked_top(request: Request[None], most: int = TOP_MAX) -> int:
    """Return how many resources a page has at most. Raises Invalid."""
    return request.number("top", TOP_DEFAULT, least=1, most=most)


def answer_page(
    request: Request[None], resources: Sequence[Any], continuation: str | None
) -> Answer:
    """Answer *resources* as `{"value": […], "nextLink": …}`, the link to what comes after."""
    value = [_json(resource) for resource in resources]
    return ok({"value": value, "nextLink": request.next_link(continuation)})


def _json(resource: Any) -> Any:
    is_model = hasattr(resource, "model_dump")
    return resource.model_dump(mode="json", by_alias=True) if is_model else resource
