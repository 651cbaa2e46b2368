"""One query to every app of the platform."""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, Final, TypeVar

from cli.client import Client
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.output import Item
from shared.kernel.ids import APPS

T = TypeVar("T")
NEWEST_FIRST: Final = {"before": str(10**12 - 1)}
"""The query for a trail from its end: before a number that no entry has."""


def query_apps(
    client: Client, collection: str, query: Mapping[str, str | None] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield every item of `/v1/platform/<app>/<collection>`, with the app as `app`.

    An app that does not run is skipped.
    """
    for app, items in _each_app(collection, lambda path: [*client.list_all(path, query)]):
        for item in items or ():
            yield {"app": app, **item}


def newest_of_apps(
    client: Client,
    collection: str,
    at: str,
    is_asked: Callable[[Item], bool],
    last: int | None = None,
) -> list[dict[str, Any]]:
    """Return the *last* items of all apps that are asked for, by their field *at*; None for all.

    No app is read further back than to its own *last* of them.
    """
    found = _each_app(
        collection,
        lambda path: [*islice(filter(is_asked, client.list_all(path, NEWEST_FIRST)), last)],
    )
    items = [{"app": app, **item} for app, newest in found for item in reversed(newest or [])]
    items.sort(key=lambda item: (item[at], item["app"], item["number"]))
    return items if last is None else items[-last:]


def ask_apps(
    client: Client, resource: str, query: Mapping[str, str] | None = None
) -> Iterator[tuple[str, Mapping[str, Any] | None]]:
    """Yield each app with its `/v1/platform/<app>/<resource>`; None of one that does not run."""
    yield from _each_app(resource, lambda path: client.get(path, query).body)


def _each_app(resource: str, ask: Callable[[str], T]) -> Iterator[tuple[str, T | None]]:
    for app in APPS:
        try:
            yield app, ask(f"/v1/platform/{app}/{resource}")
        except Failure as failure:
            if failure.exit_code is not ExitCode.NOT_FOUND:
                raise
            yield app, None
