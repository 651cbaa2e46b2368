"""One query to every app of the platform."""

from collections.abc import Iterator, Mapping
from typing import Any

from cli.client import Client
from cli.exit_codes import ExitCode
from cli.failure import Failure
from shared.kernel.ids import APPS


def query_apps(
    client: Client, collection: str, query: Mapping[str, str | None] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield every item of `/v1/platform/<app>/<collection>`, with the app as `app`.

    An app that does not run is skipped.
    """
    for app in APPS:
        try:
            for item in client.list_all(f"/v1/platform/{app}/{collection}", query):
                yield {"app": app, **item}
        except Failure as failure:
            if failure.exit_code is not ExitCode.NOT_FOUND:
                raise


def each_app(client: Client, resource: str) -> Iterator[Mapping[str, Any]]:
    """Yield what every app that runs answers for `/v1/platform/<app>/<resource>`, with `app`."""
    for app in APPS:
        try:
            yield {"app": app, **client.get(f"/v1/platform/{app}/{resource}").body}
        except Failure as failure:
            if failure.exit_code is not ExitCode.NOT_FOUND:
                raise
