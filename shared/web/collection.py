"""Lists over HTTP: filters, `top`, continuation and an absolute `nextLink`, the same everywhere."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from shared.persistence.codec import DocumentCodec
from shared.persistence.store import (
    Comparison,
    Page,
    Partition,
    Prefix,
    Query,
    Store,
    Where,
)
from shared.web.request import Answer, Request, ok

T = TypeVar("T")
TOP_DEFAULT: Final = 50
TOP_MAX: Final = 200
PAGED: Final = ("top", "continuation")


@dataclass(frozen=True)
class Collection(Generic[T]):
    """One kind of document as a list. `filters` maps query parameters to stored fields.

    `choices` has the values of a filter that takes no others.
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

        Raises:
            Invalid: a filter has a value that no document can have.
        """
        for name, allowed in self.choices.items():
            request.choice(name, allowed)
        return await query_page(
            request,
            store,
            within or Prefix(request.ctx.tenant),
            [
                Where("type", Comparison.EQ, self.codec.type_name),
                *(
                    Where(stored, Comparison.EQ, request.query[name])
                    for name, stored in self.filters.items()
                    if name in request.query
                ),
            ],
            order_by=self.order_by,
            descending=self.descending,
        )

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
        return answer_page(request, page, shown)


async def query_page(
    request: Request[None],
    store: Store,
    within: Partition | Prefix,
    where: Sequence[Where],
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
            limit=request.number("top", TOP_DEFAULT, least=1, most=TOP_MAX),
            continuation=request.query.get("continuation"),
        ),
    )


def answer_page(request: Request[None], page: Page, resources: Sequence[Any]) -> Answer:
    """Answer *resources*, those of *page*, as `{"value": […], "nextLink": …}`."""
    value = [_json(resource) for resource in resources]
    return ok({"value": value, "nextLink": request.next_link(page.continuation)})


def _json(resource: Any) -> Any:
    is_model = hasattr(resource, "model_dump")
    return resource.model_dump(mode="json", by_alias=True) if is_model else resource
