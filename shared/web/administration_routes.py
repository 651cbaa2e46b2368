"""The routes that every app serves below `/v1/platform/<app>/`, as one table."""

from collections.abc import Sequence

from shared.web import alert_routes, audit_routes, health_routes, operation_routes, parked_routes
from shared.web.routes import Route


def administration_routes(app: str) -> Sequence[Route]:
    """Return the rows for *app*, named as outside Python (`secret-bindings`)."""
    root = f"v1/platform/{app}"
    return (
        *operation_routes.rows(root),
        *parked_routes.rows(root),
        *audit_routes.rows(root),
        *alert_routes.rows(root),
        *health_routes.rows(root),
    )
