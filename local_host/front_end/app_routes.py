"""Which app answers a path: read from the OpenAPI document that each app has of itself."""

import json
from collections.abc import Mapping
from typing import Any, Final

from local_host.http_trigger import gateway
from local_host.routing import route_templates
from local_host.routing.route_table import Route, RouteTable
from local_host.routing.route_templates import TemplateRefused

_OWN: Final = "/v1/platform/"
_ANY: Final = "GET"


class AppRoutes:
    """The paths of several apps. *names* are as in paths: `secret-bindings`."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = frozenset(names)
        self._routes: dict[str, list[Route[str]]] = {}
        self._table: RouteTable[str] = RouteTable([])

    @property
    def missing(self) -> frozenset[str]:
        """Return the apps of which no document was read yet."""
        return self._names - self._routes.keys()

    def read(self, app: str, document: bytes) -> None:
        """Take the paths of *app* from its OpenAPI *document*. Raises ValueError."""
        paths = _paths(json.loads(document))
        try:
            templates = [route_templates.parse(path) for path in paths]
        except TemplateRefused as refused:
            raise ValueError(str(refused)) from refused
        self._routes[app] = [
            Route(template.text, template, frozenset(), app) for template in templates
        ]
        self._table = RouteTable([route for routes in self._routes.values() for route in routes])

    def app_of(self, path: str) -> str | None:
        """Return the app that has *path*; None where none has, or none that was read."""
        path = gateway.mapped(path)
        if path.lower().startswith(_OWN):  # as the routes of the host, which ignore case
            app = path[len(_OWN) :].partition("/")[0].lower()
            return app if app in self._names else None
        match = self._table.find(_ANY, path)
        return None if match is None else match[0]


def _paths(document: Any) -> Mapping[str, Any]:
    paths = document.get("paths") if isinstance(document, dict) else None
    if not isinstance(paths, dict):
        raise ValueError("an OpenAPI document has paths, this one has none")  # noqa: TRY004
    return paths
