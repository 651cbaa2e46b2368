"""The same question put to every app of the platform; an app that does not run is passed over."""

from collections.abc import Iterator, Mapping
from typing import Any

from cli.client import Client
from cli.exit_codes import ExitCode
from cli.failure import Failure
from shared.kernel.ids import APPS


def over_apps(
    client: Client, what: str, query: Mapping[str, str | None] | None = None
) -> Iterator[Mapping[str, Any]]:
    """Yield every item of `/v1/platform/<app>/<what>`, with the app under `app`."""
    for app in APPS:
        try:
            for item in client.each(f"/v1/platform/{app}/{what}", query):
                yield {"app": app, **item}
        except Failure as absent:
            if absent.exit_code is not ExitCode.NOT_FOUND:
                raise
