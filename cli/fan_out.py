"""One query to every app of the platform."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from cli.client import Client
from cli.exit_codes import ExitCode
from cli.failure import Failure
from shared.kernel.ids import APPS

T = TypeVar("T")


def query_apps(
    client: Client, collection: str, query: Mapping[str, str | None] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield every item of `/v1/platform/<app>/<collection>`, with the app as `app`.

    An app that does not run is skipped.
    """
    for app, items in _each_app(collection, lambda path: [*client.list_all(path, query)]):
        for item in items or ():
            yield {"app": app, **item}


def apps_by_time(client: Client, collection: str, at: str) -> list[dict[str, Any]]:
    """Return every item of all apps by its field *at*, then by app and number."""
    return sorted(
        query_apps(client, collection), key=lambda item: (item[at], item["app"], item["number"])
    )


def ask_apps(client: Client, resource: str) -> Iterator[tuple[str, Mapping[str, Any] | None]]:
    """Yield each app with its `/v1/platform/<app>/<resource>`; None of one that does not run."""
    yield from _each_app(resource, lambda path: client.get(path).body)


def _each_app(resource: str, ask: Callable[[str], T]) -> Iterator[tuple[str, T | None]]:
    for app in APPS:
        try:
            yield app, ask(f"/v1/platform/{app}/{resource}")
        except Failure as failure:
            if failure.exit_code is not ExitCode.NOT_FOUND:
                raise
            yield app, None
